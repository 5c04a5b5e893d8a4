import type { JournalEntry } from '../credentials/journal.ts';
import { errorText } from '../observability/error-text.ts';
import type { ControlCommand } from './server.ts';

/** What the journal says of an order that was carried out. */
type Told = (result: unknown, details: unknown) => JournalEntry['event'];

const told: Readonly<Record<string, Told>> = {
  'session-end': (result, details) => {
    const { ended } = result as { readonly ended?: unknown };
    const what = JSON.stringify(details);
    return { action: 'sessions.ended', count: typeof ended === 'number' ? ended : null, what };
  },
  'throttle-clear': (_, details) => ({ action: 'throttles.cleared', what: JSON.stringify(details) }),
};

/**
 * The same orders, each in the journal once it is done (S-94). What was done stays done where the journal cannot be written:
 * sessions are ended in outages too.
 */
export function journaledOrders(
  commands: Readonly<Record<string, ControlCommand>>,
  record: (entry: JournalEntry) => Promise<void>,
): Readonly<Record<string, ControlCommand>> {
  const journaled = Object.entries(commands).map(([name, command]): [string, ControlCommand] => {
    const tell = told[name];
    if (tell === undefined) return [name, command];
    return [
      name,
      async (details, by) => {
        const result = await command(details, by);
        const event = tell(result, details);
        const user = by.operator.replace(/^cli:/, '');
        const why = by.reason === null ? {} : { reason: by.reason };
        const entry: JournalEntry = { account: null, actor: { kind: 'operator', user }, event, ...why };
        await record(entry).catch((error: unknown) => {
          by.logger.error({ order: name, detail: errorText(error) }, 'an order is not in the audit trail');
        });
        return result;
      },
    ];
  });
  return Object.fromEntries(journaled);
}
