import { z } from 'zod';
import { backendHost, path, port } from './primitives.ts';

const backendEndpoint = z
  .strictObject({
    host: backendHost,
    port: port.min(1),
    tls: z.enum(['implicit', 'starttls', 'none']),
    ca_file: path.optional(),
    /** Name in the certificate where it is not `host`, for backends addressed by IP. */
    server_name: backendHost.optional(),
  })
  .transform(({ host, port, tls, ca_file, server_name }) => ({
    host,
    port,
    tls,
    caFile: ca_file ?? null,
    serverName: server_name ?? host,
  }));

/** Where the mail is, and how the gateway gets in there. */
export const backend = z
  .strictObject({
    imap: backendEndpoint,
    smtp: backendEndpoint,
    /** Needed where a pop3 door is. */
    pop3: backendEndpoint.optional(),
    login: z.strictObject({
      method: z.literal('master'),
      user: z
        .string()
        .max(255)
        .regex(/^[^\x00-\x1f\x7f]+$/, 'must hold no control characters'),
      password: z.string().min(1).optional(),
      password_file: path.optional(),
    }),
    forward: z
      .strictObject({
        imap_id: z.boolean().default(false),
        xclient: z.boolean().default(false),
        /** A PROXY v2 header in front of everything, for backends that expect it from the gateway. */
        proxy_protocol: z.enum(['none', 'v2']).default('none'),
      })
      .prefault({})
      .transform(({ imap_id, xclient, proxy_protocol }) => ({
        imapId: imap_id,
        xclient,
        proxyProtocol: proxy_protocol,
      })),
    /** S-47: mailboxes that nobody opens through the gateway. The master user itself always is one. */
    deny_users: z.array(z.string()).default([]),
  })
  .refine(({ login }) => (login.password === undefined) !== (login.password_file === undefined), {
    path: ['login'],
    message: 'needs exactly one of password and password_file',
  })
  .transform(({ imap, smtp, pop3, login, forward, deny_users }) => ({
    imap,
    smtp,
    pop3: pop3 ?? null,
    login: {
      method: login.method,
      user: login.user,
      password: login.password ?? null,
      passwordFile: login.password_file ?? null,
    },
    forward,
    denyUsers: deny_users,
  }));

export type BackendEndpoint = z.output<typeof backendEndpoint>;
