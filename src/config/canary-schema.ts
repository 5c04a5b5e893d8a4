import { z } from 'zod';
import { duration } from './duration.ts';
import { path } from './primitives.ts';

/** An account by which the gateway tries its own doors (S-24). */
export const canary = z
  .strictObject({
    account: z.string().min(1).max(254),
    /** A live app password of it, for every protocol there is a door for. */
    app_password_file: path,
    /** What no door may take. */
    main_password_file: path.optional(),
    revoked_password_file: path.optional(),
    every: duration('1m', '1d').prefault('10m'),
  })
  .transform((canary) => ({
    account: canary.account,
    appPasswordFile: canary.app_password_file,
    mainPasswordFile: canary.main_password_file ?? null,
    revokedPasswordFile: canary.revoked_password_file ?? null,
    everyMs: canary.every,
  }))
  .optional();
