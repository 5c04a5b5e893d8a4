import { z } from 'zod';
import { duration } from './duration.ts';
import { argon2Maxima } from './primitives.ts';

/** `app_passwords` of the configuration. */
export const appPasswords = z
  .strictObject({
    max_per_account: z.int().min(1).max(1_000).default(40),
    /** Of one account, in the portal; the command line is held by max_per_account alone (requirements 4.3). */
    created_per_hour: z.int().min(1).max(1_000).default(10),
    default_expiry: duration('1m', '3650d').nullable().default(null),
    /** One made in the portal ends then unless it was used before (S-84). */
    unused_after: duration('10m', '3650d').nullable().prefault('24h'),
    cache_ttl: duration('1m', '1d').prefault('1h'),
    /** Of revoked and expired ones; never less than a cached record may live, with room for clocks that differ. */
    keep_ended: duration('2d', '3650d').prefault('400d'),
    argon2: z
      .strictObject({
        memory_kib: z.int().min(7_168).max(argon2Maxima.memoryKib).default(12_288),
        passes: z.int().min(1).max(argon2Maxima.passes).default(3),
        lanes: z.int().min(1).max(argon2Maxima.lanes).default(1),
      })
      .prefault({})
      .transform(({ memory_kib, passes, lanes }) => ({ memoryKib: memory_kib, passes, lanes })),
  })
  .prefault({})
  .transform(
    ({ max_per_account, created_per_hour, default_expiry, unused_after, cache_ttl, keep_ended, argon2 }) => ({
      maxPerAccount: max_per_account,
      createdPerHour: created_per_hour,
      defaultExpiryMs: default_expiry,
      unusedAfterMs: unused_after,
      cacheTtlMs: cache_ttl,
      keepEndedMs: keep_ended,
      argon2,
    }),
  );
