import { z } from 'zod';
import type { SessionDirectory } from '../credentials/session-directory.ts';
import { type ControlCommand, RefusedOrder } from './server.ts';

const filterSchema = z.discriminatedUnion('by', [
  z.strictObject({ by: z.literal('all') }),
  z.strictObject({ by: z.literal('account'), account: z.string().max(254) }),
  z.strictObject({ by: z.literal('credential'), credential: z.string().regex(/^[0-9a-f]{32}$/) }),
  z.strictObject({ by: z.literal('session'), session: z.string().max(64) }),
]);

/** As `SessionView` of credentials/session-directory.ts. */
export const sessionViewSchema = z.object({
  id: z.string(),
  protocol: z.enum(['imap', 'pop3', 'smtp']),
  account: z.string(),
  credential: z.string(),
  peerAddress: z.string(),
  network: z.string(),
  since: z.number(),
  client: z.string().nullable(),
  mechanism: z.string().nullable(),
  security: z.enum(['tls', 'legacy-tls', 'clear']),
  backend: z.string(),
  bytesUp: z.number(),
  bytesDown: z.number(),
  state: z.enum(['opening', 'open', 'ending']),
});

/** `session-list` and `session-end`; both take a SessionFilter. */
export function sessionOrders(sessions: SessionDirectory): Readonly<Record<string, ControlCommand>> {
  return {
    'session-list': async (details) => await sessions.list(filterOf(details)),
    'session-end': async (details, { operator, logger }) => {
      const filter = filterOf(details);
      const ended = await sessions.end(filter, `ended by ${operator}`);
      logger.info({ operator, ...filter, ended }, 'sessions ended by an operator');
      return { ended };
    },
  };
}

function filterOf(details: unknown) {
  const filter = filterSchema.safeParse(details);
  if (!filter.success) throw new RefusedOrder('The order names no sessions in a way the gateway knows.');
  return filter.data;
}
