import { z } from 'zod';
import { path } from './primitives.ts';

const address = z
  .string()
  .max(254)
  .regex(/^[^\s@<>"\\%*,;:]+@[^\s@<>"\\%*,;:]+$/, 'must be a mailbox address');

/** What holds for the addresses of one domain. */
export const domain = z
  .strictObject({
    backend: z.string(),
    sign_in: z.strictObject({ method: z.literal('imap') }),
    mfa: z.enum(['required', 'optional', 'off']).default('required'),
    /** No default: whoever holds a leaked main password could enroll first, so the operator chooses (S-74). */
    enrollment: z.literal('open', 'must be chosen; this version offers open'),
    main_password: z
      .literal('refuse', 'this version never accepts a main password on a mail port')
      .default('refuse'),
    /** Which senders of a message must belong to the account: MAIL FROM, or From and Sender in its header too (S-53). */
    sender_policy: z.enum(['off', 'envelope', 'both']).default('envelope'),
    /** Who else may send as an address, beside the account of that name. */
    aliases: z.record(address, z.array(address).min(1)).default({}),
    /** More of them, as Postfix reads virtual(5). */
    aliases_file: path.optional(),
  })
  .transform(({ backend, sign_in, mfa, enrollment, sender_policy, aliases, aliases_file }) => ({
    backend,
    signIn: sign_in.method,
    mfa,
    enrollment,
    senderPolicy: sender_policy,
    aliases,
    aliasesFile: aliases_file ?? null,
  }));

export type Domain = z.output<typeof domain>;
