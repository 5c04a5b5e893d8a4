import { z } from 'zod';
import { certificateFiles } from './listen-schema.ts';
import { domainName, port } from './primitives.ts';

/** What people and their mail programs are told to connect to, where that is not what the gateway itself listens on. */
export const clientSetup = z
  .strictObject({
    /** Default: `hostname`. */
    host: domainName.optional(),
    /** Default: the ports of `listen`. */
    services: z
      .array(
        z.strictObject({
          door: z.enum(['imap', 'pop3', 'smtp']),
          port: port.min(1),
          tls: z.enum(['implicit', 'starttls']),
        }),
      )
      .min(1)
      .optional(),
  })
  .prefault({})
  .transform(({ host, services }) => ({ host: host ?? null, services: services ?? null }));

/** What signs profiles for Apple's devices: the portal's own TLS certificate, another one, or nothing. */
export const profileSigning = z.union([z.enum(['tls', 'none']), certificateFiles]).default('tls');
