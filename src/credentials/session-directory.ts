import { z } from 'zod';

/** A live session as `session list` shows it: plain, so that another process can be told of it. */
export const sessionViewSchema = z.object({
  /** As in the logs and toward the backend. */
  id: z.string().max(64),
  protocol: z.enum(['imap', 'pop3', 'smtp']),
  account: z.string().max(320),
  /** The app password's id, as `app-password list` shows it. */
  credential: z.string().max(64),
  peerAddress: z.string().max(64),
  /** /32 of IPv4, /64 of IPv6. */
  network: z.string().max(64),
  /** Milliseconds since 1970. */
  since: z.number(),
  /** What the client calls itself, fit to print; null where it said nothing or is not logged in yet. */
  client: z.string().nullable(),
  /** SASL mechanism, or the command; null while not logged in yet. */
  mechanism: z.string().nullable(),
  security: z.enum(['tls', 'legacy-tls', 'clear']),
  backend: z.string(),
  /** Client to backend, up to now. */
  bytesUp: z.number(),
  bytesDown: z.number(),
  /** `opening`: the password is right and the backend is being asked. `ending`: was ended, and is not gone yet. */
  state: z.enum(['opening', 'open', 'ending']),
});
export type SessionView = Readonly<z.output<typeof sessionViewSchema>>;

const hexId = z.string().regex(/^[0-9a-f]{32}$/);

/** Which sessions. `owner` is for people at their own: of one account by its id, or one session if it is that account's. */
export const sessionFilterSchema = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('all') }),
  z.strictObject({ by: z.literal('account'), account: z.string().max(254) }),
  z.strictObject({ by: z.literal('credential'), credential: hexId }),
  z.strictObject({ by: z.literal('session'), session: z.string().max(64) }),
  z.strictObject({
    by: z.literal('owner'),
    accountId: hexId,
    session: z.string().max(64).nullable(),
    /** Those of one app password. */
    credential: hexId.optional(),
  }),
]);
export type SessionFilter = Readonly<z.output<typeof sessionFilterSchema>>;

/** The sessions of this process. */
export interface LocalSessions {
  list(filter: SessionFilter): readonly SessionView[];
  /** How many were ended; one that was ending already is not counted again. */
  end(filter: SessionFilter, reason: string): number;
}

/** A session and the name of the node that has it. */
export const nodeSessionSchema = sessionViewSchema.extend({ node: z.string() });
export type NodeSession = Readonly<z.output<typeof nodeSessionSchema>>;

/** How far an order reached beyond this node. */
export const reachSchema = z.object({
  /** Names of nodes that did not answer, or not to the end. One that died is among them for as long as it is missed. */
  silent: z.array(z.string()),
  /** Redis did not carry the order: no other node was asked. */
  isAlone: z.boolean(),
});
export const sessionListingSchema = reachSchema.extend({
  sessions: z.array(nodeSessionSchema),
  /** Sessions that exist besides: a node tells of 10,000 at most. */
  omitted: z.number(),
});
export const sessionEndingSchema = reachSchema.extend({ ended: z.number() });
export type SessionListing = z.output<typeof sessionListingSchema>;
export type SessionEnding = z.output<typeof sessionEndingSchema>;

/** The sessions of every node. Neither rejects: what could not be asked is named in the answer. */
export interface SessionDirectory {
  list(filter: SessionFilter): Promise<SessionListing>;
  /** `reason` is for the logs; at most 200 characters. */
  end(filter: SessionFilter, reason: string): Promise<SessionEnding>;
}
