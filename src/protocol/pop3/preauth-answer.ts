import { pop3Limits } from './limits.ts';
import type { Connection, Pop3Refusal, Transition } from './preauth-state.ts';
import { err } from './response.ts';

/**
 * A login that did not succeed. The last failure a connection may have is answered too, then it ends (wire 54); POP3 has
 * no last word to add. An outage does not count: the client may try again until the backend is back (wire 47).
 */
export function failed(
  connection: Connection,
  { code, text }: Pop3Refusal,
  countsAsFailure: boolean,
): Transition {
  const failedLogins = connection.failedLogins + (countsAsFailure ? 1 : 0);
  if (failedLogins < pop3Limits.failedLogins) return reply({ ...connection, failedLogins }, err(code, text));
  return end(connection, err(code, text));
}

/**
 * A login in clear: whatever it was, nobody checked it (S-01). The code is Dovecot's, of RFC 3206 6 for what policy
 * forbids: a client that took it for an outage would go on sending the password every few minutes.
 */
export function privacyRequired(connection: Connection, what: 'exposed' | 'nothing-exposed'): Transition {
  const text = 'Use TLS (STLS, or port 995).';
  return reply(connection, err('AUTH', what === 'nothing-exposed' ? text : `${text} ${exposed}`));
}

const exposed = 'Your client sent a password without it: if anyone was listening, the password was exposed.';

/** An answer to what is no command of ours; nothing of it is echoed. The last one ends the connection (wire 11). */
export function bad(connection: Connection, text: string): Transition {
  const badCommands = connection.badCommands + 1;
  if (badCommands < pop3Limits.badCommands) return reply({ ...connection, badCommands }, err(null, text));
  return end(connection, err(null, text));
}

/** A reply; a command is expected next. */
export function reply(connection: Connection, bytes: Buffer): Transition {
  return { state: { name: 'ready', connection }, effects: [{ type: 'send', bytes }] };
}

/** Last words, and the connection ends; what it sent besides is forgotten. */
export function end(connection: Connection, bytes: Buffer): Transition {
  connection.reader.clear();
  return { state: { name: 'closed' }, effects: [{ type: 'send', bytes }, { type: 'close' }] };
}
