import { imapLimits } from './limits.ts';
import type { Connection, Refusal, Transition } from './preauth-state.ts';
import { tagged, untagged } from './response.ts';

/**
 * A login that did not succeed. The last failure a connection may have is answered too, then it ends (wire 54). An outage
 * does not count: the client may try again on this connection until the backend is back (wire 47).
 */
export function failed(
  connection: Connection,
  tag: string,
  { alert, code, text }: Refusal,
  countsAsFailure: boolean,
): Transition {
  const lines = [tagged(tag, 'NO', code, text)];
  if (alert !== null) lines.unshift(untagged('NO', 'ALERT', alert));
  const failedLogins = connection.failedLogins + (countsAsFailure ? 1 : 0);
  if (failedLogins < imapLimits.failedLogins) return reply({ ...connection, failedLogins }, ...lines);
  return end(connection, ...lines, untagged('BYE', null, 'Too many failed logins.'));
}

/**
 * A login in clear: whatever it was, nobody checked it (S-01, RFC 2595 3.2). Who has exposed a password is told so, once,
 * in Dovecot's words (wire 29).
 */
export function privacyRequired(
  connection: Connection,
  tag: string,
  what: 'exposed' | 'nothing-exposed',
): Transition {
  const line = tagged(tag, 'NO', 'PRIVACYREQUIRED', 'Use TLS (STARTTLS, or port 993).');
  if (what === 'nothing-exposed' || connection.hasBeenWarned) return reply(connection, line);
  const warning = untagged('BAD', 'ALERT', exposed);
  return reply({ ...connection, hasBeenWarned: true }, warning, line);
}

const exposed =
  'Cleartext authentication not allowed without SSL/TLS, but your client did it anyway. ' +
  'If anyone was listening, the password was exposed.';

/** An answer to what is no command of ours; to a line without a fit tag `* BAD`, nothing echoed (wire 12). */
export function bad(connection: Connection, tag: string | null, text: string): Transition {
  const line = tagged(tag ?? '*', 'BAD', null, text);
  const badCommands = connection.badCommands + 1;
  if (badCommands < imapLimits.badCommands) return reply({ ...connection, badCommands }, line);
  return end(connection, line, untagged('BYE', null, 'Too many invalid commands.'));
}

/** Lines in one write; a command is expected next. */
export function reply(connection: Connection, ...lines: readonly Buffer[]): Transition {
  return { state: { name: 'ready', connection }, effects: [{ type: 'send', bytes: Buffer.concat(lines) }] };
}

/** Last words, and the connection ends; what it sent besides is forgotten. */
export function end(connection: Connection, ...lines: readonly Buffer[]): Transition {
  connection.reader.clear();
  return {
    state: { name: 'closed' },
    effects: [{ type: 'send', bytes: Buffer.concat(lines) }, { type: 'close' }],
  };
}
