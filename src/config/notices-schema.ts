import { z } from 'zod';
import { duration } from './duration.ts';
import { path } from './primitives.ts';

/** What people are told of changes to their account (S-83). */
export const notices = z
  .strictObject({
    enabled: z.boolean().default(true),
    /** The sender; left out, the account's own address, which every backend lets it use. */
    from: z.email().max(254).optional(),
    /** Of one account, about app passwords and about factors each; what is more is one mail. */
    per_hour: z.int().min(1).max(1_000).default(20),
    /** The way that who reads the mailbox cannot close (S-83). */
    webhook: z
      .strictObject({
        url: z.url({ protocol: /^https$/ }),
        /** Signs what is sent: at least 32 bytes. */
        secret_file: path,
        /** Left out: the authorities that the system trusts. */
        ca_file: path.optional(),
      })
      .transform(({ url, secret_file, ca_file }) => ({
        url: new URL(url),
        secretFile: secret_file,
        caFile: ca_file ?? null,
      }))
      .optional(),
  })
  .prefault({})
  .transform(({ enabled, from, per_hour, webhook }) => ({
    enabled,
    from: from ?? null,
    perHour: per_hour,
    webhook: webhook ?? null,
  }));

/** What was done to accounts, by whom (S-92). */
export const audit = z
  .strictObject({ keep: duration('30d', '3650d').prefault('400d') })
  .prefault({})
  .transform(({ keep }) => ({ keepMs: keep }));
