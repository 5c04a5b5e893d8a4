import { formatDuration } from '../config/duration.ts';
import { describeAppPassword } from '../credentials/app-password-json.ts';
import type { AppPasswordView } from '../credentials/app-passwords.ts';
import { printable } from '../observability/logger.ts';
import type { StaleClient } from '../store/stale-clients.ts';
import { moment } from './io.ts';

/** An app password as `--json` prints it. */
export function describe(view: AppPasswordView) {
  return {
    ...describeAppPassword(view),
    expiresUnused: view.maxIdleMs === null ? null : formatDuration(view.maxIdleMs),
  };
}

/** What ends it by itself, in a cell. */
export function expiryOf(view: AppPasswordView): string {
  const parts = [
    view.notAfter === null ? null : moment(view.notAfter),
    view.maxIdleMs === null ? null : `after ${formatDuration(view.maxIdleMs)} without use`,
    view.firstUseBy === null ? null : `unless used by ${moment(view.firstUseBy)}`,
  ].filter((part) => part !== null);
  return parts.length === 0 ? 'never' : parts.join(', ');
}

/** When, from where, over what and by whom, in a cell. */
export function lastUseOf(view: AppPasswordView): string {
  if (view.lastUsedAt === null) return 'never';
  const from = view.lastUsedAddress === null ? '' : ` from ${view.lastUsedAddress}`;
  const over = view.lastUsedProtocol === null ? '' : ` over ${view.lastUsedProtocol}`;
  const by = view.lastUsedClient === null ? '' : ` by "${shown(view.lastUsedClient)}"`;
  return `${moment(view.lastUsedAt)}${from}${over}${by}`;
}

export function warningOf(stale: StaleClient): string {
  const by = stale.client === null ? '' : ` by "${shown(stale.client)}"`;
  return (
    `Warning: "${stale.label}" ended on ${moment(stale.endedAt)} and is still being sent from ${stale.address}${by}: ` +
    `${stale.times} times, last at ${moment(stale.last_at)} over ${stale.protocol}.`
  );
}

/** A stranger's text, for one line of a terminal. */
function shown(client: string): string {
  return printable(client).slice(0, 48);
}
