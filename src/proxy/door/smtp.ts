import { printable } from '../../observability/logger.ts';
import type { AuthStep } from '../../protocol/smtp/auth-exchange.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';
import type { UpstreamError } from '../../upstream/upstream-error.ts';
import type { LateRefusal, RefusedVerdict } from '../auth-reply.ts';
import type { Session } from '../session-registry.ts';
import { type ClientLeg, ClientLegs, type Conversation } from '../smtp/client-leg.ts';
import { logIn } from '../smtp/login.ts';
import { Relay } from '../smtp/relay.ts';
import type { Connection, Door, DoorParts } from './door.ts';

/** The SMTP submission door: `smtp-server` toward the client, one backend connection per client, a relay in between. */
export function createSmtpDoor(parts: DoorParts): Door {
  const { hostname, limits } = parts.config;
  const legs = new ClientLegs({ hostname, messageBytes: limits.messageBytes });
  const conversations = new Set<SmtpConversation>();
  let isDraining = false;

  return {
    accept(connection) {
      const conversation = new SmtpConversation(parts, connection, {
        isDraining: () => isDraining,
        onClosed: () => conversations.delete(conversation),
      });
      conversations.add(conversation);
      conversation.begin(legs);
    },
    refuse({ socket }) {
      socket.on('error', () => {});
      socket.end('421 4.7.0 Too many connections\r\n');
      socket.resume();
      socket.setTimeout(refusalTimeMs, () => socket.destroy());
    },
    drain() {
      isDraining = true;
      for (const conversation of [...conversations]) conversation.drain();
    },
    close() {
      for (const conversation of [...conversations]) conversation.end('shutdown');
    },
  };
}

/** For a refused client to read the line and close. */
const refusalTimeMs = 5_000;

const timeout: ClientReply = { code: 421, enhanced: '4.4.2', text: 'Timeout' };
const shuttingDown: ClientReply = { code: 421, enhanced: '4.3.2', text: 'Server shutting down' };
const tooManyFailures: ClientReply = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Too many failed logins, try later',
};
const sessionEnded: ClientReply = { code: 421, enhanced: '4.7.0', text: 'Session ended' };
const loggedIn: ClientReply = { code: 235, enhanced: '2.7.0', text: 'Authentication successful' };
const fault: ClientReply = { code: 421, enhanced: '4.3.0', text: 'Internal error' };
/** The client leg lets nobody in here; an answer is needed all the same. */
const anonymous: ClientReply = { code: 530, enhanced: '5.7.0', text: 'Authentication required' };

interface DoorState {
  isDraining(): boolean;
  onClosed(): void;
}

class SmtpConversation implements Conversation {
  readonly #parts: DoorParts;
  readonly #connection: Connection;
  readonly #door: DoorState;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #leg: ClientLeg | null = null;
  #helo = '';
  #isExtended = false;
  #failures = 0;
  #session: Session | null = null;
  #relay: Relay | null = null;
  #endedBecause: string | null = null;
  #isClosed = false;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(parts: DoorParts, connection: Connection, door: DoorState) {
    this.#parts = parts;
    this.#connection = connection;
    this.#door = door;
    // Whatever trickles in: nobody stays without a login (wire 151).
    this.#deadline = setTimeout(() => this.#leg?.say(timeout), parts.config.limits.loginTimeMs);
  }

  begin(legs: ClientLegs): void {
    this.#leg = legs.admit(this.#connection, this);
    if (this.#door.isDraining()) this.#leg.say(shuttingDown);
  }

  /** A transaction under way is finished first; {@link goodbye} then ends the session. */
  drain(): void {
    if (this.#relay?.isInTransaction !== true) this.#leg?.say(shuttingDown);
  }

  /** Ends both legs at once. A message under way is not delivered; the client hears 421 (S-57). */
  end(reason: string): void {
    this.#endedBecause ??= reason;
    this.#gone.abort();
    this.#relay?.cut();
    this.#leg?.say(reason === 'shutdown' ? shuttingDown : sessionEnded);
  }

  greeted(name: string, extended: boolean): void {
    this.#helo = name;
    this.#isExtended = extended;
  }

  async logIn(step: AuthStep & { kind: 'credentials' | 'nameless' }): Promise<ClientReply> {
    const { metrics } = this.#parts;
    const stop = metrics.loginSeconds.startTimer({ protocol: 'smtp' });
    try {
      const { outcome, reply } = await this.#tryLogin(step);
      metrics.logins.inc({ protocol: 'smtp', outcome });
      return reply;
    } catch (error) {
      // A fault of ours: the client must not think that its password was wrong.
      this.#connection.logger.error({ err: error }, 'SMTP login failed by a fault');
      metrics.logins.inc({ protocol: 'smtp', outcome: 'bug' });
      return fault;
    } finally {
      stop();
    }
  }

  async mail(line: Buffer): Promise<ClientReply> {
    return (await this.#relay?.mail(line)) ?? anonymous;
  }

  async rcpt(line: Buffer): Promise<ClientReply> {
    return (await this.#relay?.rcpt(line)) ?? anonymous;
  }

  async data(): Promise<ClientReply | null> {
    return this.#relay === null ? anonymous : await this.#relay.data();
  }

  async message(content: Parameters<Conversation['message']>[0]): Promise<ClientReply | null> {
    if (this.#relay === null) return anonymous;
    const reply = await this.#relay.message(content);
    if (this.#isClosed) this.#leave();
    return reply;
  }

  async reset(): Promise<void> {
    await this.#relay?.reset();
  }

  goodbye(): ClientReply | null {
    return this.#door.isDraining() && this.#relay?.isInTransaction !== true ? shuttingDown : null;
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    this.#gone.abort();
    this.#relay?.end();
    this.#door.onClosed();
    // Until then a revocation must still find it.
    if (this.#relay?.isStreaming !== true) this.#leave();
  }

  async #tryLogin(step: AuthStep & { kind: 'credentials' | 'nameless' }) {
    const { mechanism } = step;
    if (step.kind === 'nameless') {
      const verdict = { kind: 'rejected', reason: 'malformed-name', appPasswordRequired: false } as const;
      return this.#turnAway(verdict, '', mechanism);
    }
    const name = step.credentials.authcid.toString('utf8');
    const { peer } = this.#connection;
    const result = await logIn(this.#parts, step.credentials, {
      connection: this.#connection,
      client: {
        address: peer.address,
        port: peer.port,
        helo: this.#helo,
        protocol: this.#isExtended ? 'ESMTP' : 'SMTP',
      },
      gone: this.#gone.signal,
      end: (reason) => this.end(reason),
    });
    switch (result.kind) {
      case 'gone':
        return { outcome: 'gone', reply: fault };
      case 'refused':
        if (result.error !== null) this.#report(result.error);
        return this.#turnAway(result.verdict, name, mechanism);
      case 'logged-in':
        // Ended between the second look and here: nobody else would close what was opened.
        if (this.#gone.signal.aborted) {
          result.submission.cut();
          this.#parts.registry.remove(result.session);
          return { outcome: 'gone', reply: fault };
        }
        clearTimeout(this.#deadline);
        this.#session = result.session;
        this.#relay = new Relay({
          submission: result.submission,
          reopen: result.reopen,
          limits: this.#parts.config.limits,
          logger: this.#connection.logger,
          onUpstreamError: (error) => this.#report(error),
          onTraffic: ({ bytesUp, bytesDown }) => this.#count(bytesUp, bytesDown),
        });
        this.#enter(result.session, mechanism);
        return { outcome: 'verified', reply: loggedIn };
      default:
        return result satisfies never;
    }
  }

  #turnAway(verdict: RefusedVerdict | LateRefusal, name: string, mechanism: string) {
    const { network } = this.#connection.peer;
    const refusal = this.#parts.replies.refusal(verdict, { protocol: 'smtp', name, network });
    this.#connection.logger.info(
      {
        account: printable(name),
        outcome: refusal.outcome,
        reason: verdict.kind === 'rejected' ? verdict.reason : verdict.kind,
        mechanism,
        client: printable(this.#helo),
      },
      'SMTP login refused',
    );
    // An outage is not counted: nobody is shown out for our faults.
    if (refusal.outcome !== 'unavailable') this.#failures++;
    const isLast = this.#failures >= smtpLimits.failedLogins;
    return { outcome: refusal.outcome, reply: isLast ? tooManyFailures : refusal.smtp };
  }

  #enter(session: Session, mechanism: string): void {
    this.#parts.metrics.sessions.inc({ protocol: 'smtp' });
    this.#connection.logger.info(
      {
        account: session.login.address,
        credential: session.login.credentialId.toString('hex'),
        mechanism,
        client: printable(this.#helo),
      },
      'SMTP session begins',
    );
  }

  #leave(): void {
    const { metrics, registry, now } = this.#parts;
    const session = this.#session;
    if (session === null) return;
    this.#session = null;
    registry.remove(session);
    metrics.sessions.dec({ protocol: 'smtp' });
    this.#connection.logger.info(
      {
        account: session.login.address,
        ended: this.#endedBecause ?? 'client',
        seconds: Math.round((now() - session.since) / 1_000),
        messages: this.#relay?.messages ?? 0,
        bytesUp: this.#bytesUp,
        bytesDown: this.#bytesDown,
      },
      'SMTP session ends',
    );
  }

  #report(error: UpstreamError): void {
    const { backend, kind, message } = error;
    this.#parts.metrics.upstreamErrors.inc({ backend, kind });
    this.#connection.logger.error({ backend, kind, detail: message }, 'backend leg failed');
  }

  #count(bytesUp: number, bytesDown: number): void {
    this.#bytesUp += bytesUp;
    this.#bytesDown += bytesDown;
    this.#parts.metrics.bytes.inc({ protocol: 'smtp', direction: 'up' }, bytesUp);
    this.#parts.metrics.bytes.inc({ protocol: 'smtp', direction: 'down' }, bytesDown);
  }
}
