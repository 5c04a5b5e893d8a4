import { z } from 'zod';
import { signIn } from './oidc-schema.ts';
import { path } from './primitives.ts';
import { enrollment, enrollmentNetworks } from './second-factors-schema.ts';

const address = z
  .string()
  .max(254)
  .regex(/^[^\s@<>"\\%*,;:]+@[^\s@<>"\\%*,;:]+$/, 'must be a mailbox address');

/** What holds for the addresses of one domain. */
export const domain = z
  .strictObject({
    backend: z.string(),
    sign_in: signIn,
    mfa: z.enum(['required', 'optional', 'off']).default('required'),
    enrollment,
    enrollment_networks: enrollmentNetworks,
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
  .transform(
    ({ backend, sign_in, mfa, enrollment, enrollment_networks, sender_policy, aliases, aliases_file }) => ({
      backend,
      signIn: sign_in,
      mfa,
      enrollment,
      enrollmentNetworks: enrollment_networks,
      senderPolicy: sender_policy,
      aliases,
      aliasesFile: aliases_file ?? null,
    }),
  );

export type Domain = z.output<typeof domain>;
