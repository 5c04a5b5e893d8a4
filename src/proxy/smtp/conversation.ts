import type { VerifiedLogin } from '../../credentials/verifier.ts';
import type { ForwardedPeer } from '../../protocol/forwarded-peer.ts';
import type { AuthStep } from '../../protocol/smtp/auth-exchange.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';
import { openSubmission } from '../../upstream/submission.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import type { Upstream } from '../../upstream/upstreams.ts';
import type { Connection, DoorParts } from '../door/door.ts';
import type { LiveSession } from '../live-session.ts';
import { type LoginResult, logIn } from '../login.ts';
import type { ClientLeg, ClientLegs, Conversation } from './client-leg.ts';
import { Relay } from './relay.ts';

const timeout: ClientReply = { code: 421, enhanced: '4.4.2', text: 'Timeout' };
const shuttingDown: ClientReply = { code: 421, enhanced: '4.3.2', text: 'Server shutting down' };
const tooManyFailures: ClientReply = {
  code: 421,
  enhanced: '4.7.0',
  text: 'Too many failed logins, try later',
};
const sessionEnded: ClientReply = { code: 421, enhanced: '4.7.0', text: 'Session ended' };
const loggedIn: ClientReply = { code: 235, enhanced: '2.7.0', text: 'Authentication successful' };
/** The client leg lets nobody in here; an answer is needed all the same. */
const anonymous: ClientReply = { code: 530, enhanced: '5.7.0', text: 'Authentication required' };

/** One client: what its leg asks is answered, has it logged in, and then goes to the relay. */
export class SmtpConversation implements Conversation {
  readonly #parts: DoorParts;
  readonly #connection: Connection;
  readonly #onClosed: () => void;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #leg: ClientLeg | null = null;
  #helo: ForwardedPeer['helo'] = null;
  #failures = 0;
  #session: LiveSession | null = null;
  #relay: Relay | null = null;
  #isDraining = false;
  #isClosed = false;

  constructor(parts: DoorParts, connection: Connection, onClosed: () => void) {
    this.#parts = parts;
    this.#connection = connection;
    this.#onClosed = onClosed;
    // Whatever trickles in: nobody stays without a login (wire 151).
    this.#deadline = setTimeout(() => this.#leg?.say(timeout), parts.config.limits.loginTimeMs);
  }

  begin(legs: ClientLegs): void {
    this.#leg = legs.admit(this.#connection, this);
  }

  /** A transaction under way is finished first; {@link goodbye} then ends the session. */
  drain(): void {
    this.#isDraining = true;
    if (this.#relay?.isInTransaction !== true) this.#leg?.say(shuttingDown);
  }

  /** At once, both legs. A message under way is not delivered; the client hears 421 (S-57). */
  end(reason: string): void {
    if (this.#session === null) this.#cut(reason);
    else this.#session.end(reason);
  }

  #cut(reason: string): void {
    this.#gone.abort();
    this.#relay?.cut();
    this.#leg?.say(reason === 'shutdown' ? shuttingDown : sessionEnded);
  }

  greeted(name: string, isExtended: boolean): void {
    this.#helo = { name, isExtended };
  }

  async logIn(step: AuthStep & { kind: 'credentials' | 'nameless' }): Promise<ClientReply> {
    return await logIn(
      this.#parts,
      {
        protocol: 'smtp',
        connection: this.#connection,
        credentials: step.kind === 'credentials' ? step.credentials : null,
        mechanism: step.mechanism,
        client: this.#helo?.name ?? null,
        gone: this.#gone.signal,
        open: async (upstream, login, signal) => ({
          kind: 'open',
          link: await this.#open(upstream, login, signal),
        }),
        end: (reason) => this.#cut(reason),
      },
      (result) => this.#answer(result),
    );
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
    return this.#isDraining && this.#relay?.isInTransaction !== true ? shuttingDown : null;
  }

  closed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    this.#gone.abort();
    this.#relay?.end();
    this.#onClosed();
    // Until then a revocation must still find it.
    if (this.#relay?.isStreaming !== true) this.#leave();
  }

  async #open(upstream: Upstream, login: VerifiedLogin, signal: AbortSignal): Promise<SubmissionLink> {
    const { peer, sessionId, logger } = this.#connection;
    const link = await openSubmission(upstream, login, {
      hostname: this.#parts.config.hostname,
      peer: { ...peer, sessionId, helo: this.#helo },
      signal,
    });
    if (upstream.backend.forward.xclient && !link.isAnnounced) {
      logger.warn({ backend: login.backend }, 'backend offers no XCLIENT to this gateway');
    }
    return link;
  }

  #answer(result: LoginResult<SubmissionLink>): ClientReply {
    switch (result.kind) {
      case 'gone':
        // The leg is closed already; what is said here is not heard.
        return sessionEnded;
      case 'refused':
        if (result.refusal.countsAsFailure) this.#failures++;
        return this.#failures < smtpLimits.failedLogins ? result.refusal.smtp : tooManyFailures;
      case 'logged-in':
        clearTimeout(this.#deadline);
        this.#session = result.session;
        this.#relay = this.#relayFor(result.session, result.link, result.upstream);
        return loggedIn;
      default:
        return result satisfies never;
    }
  }

  #relayFor(session: LiveSession, submission: SubmissionLink, upstream: Upstream): Relay {
    return new Relay({
      submission,
      reopen: () => this.#open(upstream, session.login, this.#gone.signal),
      limits: this.#parts.config.limits,
      logger: this.#connection.logger,
      onUpstreamError: (error) => session.report(error),
      onTraffic: (bytes) => session.count(bytes),
    });
  }

  #leave(): void {
    this.#session?.leave('client', { messages: this.#relay?.messages ?? 0 });
  }
}
