import { SMTPServer } from 'smtp-server';
import { offeredMechanisms } from '../../protocol/sasl/offered.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import type { BareNewlines } from '../../protocol/smtp/message-reader.ts';
import type { Connection } from '../door/door.ts';
import { ClientLeg, type Conversation, type LegServer } from './client-leg.ts';

/** RFC 5321 4.5.3.2.7: a server waits at least this long for a command. */
const idleMs = 5 * 60_000;

/** One `smtp-server` for all connections; it never listens. */
export class ClientLegs extends SMTPServer implements LegServer {
  readonly bareNewlines: BareNewlines;

  constructor(options: {
    readonly hostname: string;
    readonly bareNewlines: BareNewlines;
    readonly idleMs?: number;
  }) {
    super({
      name: options.hostname,
      // TLS is the listener's: `secured` says that it is done.
      secure: true,
      secured: true,
      logger: false,
      socketTimeout: options.idleMs ?? idleMs,
      authMethods: [...offeredMechanisms],
      authOptional: false,
      authRequiredMessage: 'Authentication required',
      hideENHANCEDSTATUSCODES: false,
      hideDSN: true,
      // PTR names are the client's to choose, and asking for them delays the greeting (wire 89).
      disableReverseLookup: true,
      // At once: who speaks before it is settled would be cut off, behind STARTTLS an honest client too.
      onConnect: (_session, callback) => callback(),
      onSecure: (_socket, _session, callback) => callback(),
      // It also counts the lines of an AUTH exchange; failed logins have their own, lower limit.
      maxAllowedUnauthenticatedCommands: smtpLimits.clearCommands,
      disabledCommands: ['HELP', 'WIZ', 'SHELL', 'KILL', 'LHLO', 'XCLIENT', 'XFORWARD'],
    });
    this.bareNewlines = options.bareNewlines;
    // Of single connections, long gone; the door hears of them by `closed`.
    this.on('error', () => {});
  }

  /** Serves the client from here on. `isGreeted`: behind STARTTLS it has been greeted (RFC 3207 4.2). */
  admit(
    connection: Connection,
    conversation: Conversation,
    options: { readonly isGreeted: boolean },
  ): ClientLeg {
    const leg = new ClientLeg(this, connection, conversation, options.isGreeted);
    this.connections.add(leg);
    leg.on('error', (error) => this._onError(error));
    leg.init();
    return leg;
  }
}
