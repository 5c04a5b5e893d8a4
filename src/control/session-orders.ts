import { type SessionDirectory, sessionFilterSchema } from '../credentials/session-directory.ts';
import { printable } from '../observability/logger.ts';
import { type ControlCommand, RefusedOrder } from './server.ts';

/** What the nodes tell each other of a reason. */
const maxWhy = 200;

/** `session-list` and `session-end`, of all nodes; both take a SessionFilter. */
export function sessionOrders(sessions: SessionDirectory): Readonly<Record<string, ControlCommand>> {
  return {
    'session-list': async (details) => await sessions.list(filterOf(details)),
    'session-end': async (details, { operator, reason, logger }) => {
      const filter = filterOf(details);
      const why = `ended by ${operator}${reason === null ? '' : `: ${printable(reason)}`}`;
      const ending = await sessions.end(filter, why.slice(0, maxWhy));
      logger.info({ operator, ...filter, ...ending }, 'sessions ended by an operator');
      return ending;
    },
  };
}

function filterOf(details: unknown) {
  const filter = sessionFilterSchema.safeParse(details);
  if (!filter.success) throw new RefusedOrder('The order names no sessions in a way the gateway knows.');
  return filter.data;
}
