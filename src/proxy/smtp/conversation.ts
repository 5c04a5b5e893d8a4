import type { VerifiedLogin } from '../../credentials/verifier.ts';
import type { ForwardedPeer } from '../../protocol/forwarded-peer.ts';
import type { AuthStep } from '../../protocol/smtp/auth-exchange.ts';
import { announced } from '../../protocol/smtp/extensions.ts';
import { smtpLimits } from '../../protocol/smtp/limits.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';
import { openSubmission } from '../../upstream/submission.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import type { Upstream } from '../../upstream/upstreams.ts';
import type { Connection, DoorParts } from '../door/door.ts';
import type { LiveSession } from '../live-session.ts';
import { type LoginResult, logIn } from '../login.ts';
import { ClearLeg } from './clear-leg.ts';
import type { ClientLeg, Conversation } from './client-leg.ts';
import type { ClientLegs } from './client-legs.ts';
import type { MessageTransfer } from './message-transfer.ts';
import type { Offers } from './offers.ts';
import { Relay } from './relay.ts';
import type { SubmissionPolicies } from './submission-policy.ts';

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

/** What the conversations of a door share. */
export interface Shared {
  readonly legs: ClientLegs;
  readonly offers: Offers;
  readonly policies: SubmissionPolicies;
}

/** One client: what its leg asks is answered, has it logged in, and then goes to the relay. */
export class SmtpConversation implements Conversation {
  readonly #parts: DoorParts;
  readonly #shared: Shared;
  #connection: Connection;
  readonly #onClosed: () => void;
  readonly #gone = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  /** Before STARTTLS, where there is such a time. */
  #clear: ClearLeg | null = null;
  #leg: ClientLeg | null = null;
  #helo: ForwardedPeer['helo'] = null;
  #failures = 0;
  #session: LiveSession | null = null;
  #relay: Relay | null = null;
  #isDraining = false;
  #isClosed = false;

  constructor(parts: DoorParts, shared: Shared, connection: Connection, onClosed: () => void) {
    this.#parts = parts;
    this.#shared = shared;
    this.#connection = connection;
    this.#onClosed = onClosed;
    // Whatever trickles in: nobody stays without a login (wire 151).
    this.#deadline = setTimeout(() => {
      this.#clear?.expire();
      this.#leg?.say(timeout);
    }, parts.config.limits.loginTimeMs);
  }

  begin(): void {
    if (this.#connection.security !== 'clear') {
      this.#leg = this.#shared.legs.admit(this.#connection, this, { isGreeted: false });
      return;
    }
    this.#clear = new ClearLeg(this.#connection, this.#parts.config.hostname, {
      secured: (connection) => this.#secured(connection),
      closed: () => this.closed(),
    });
    this.#clear.begin();
  }

  #secured(connection: Connection): void {
    this.#clear = null;
    this.#connection = connection;
    this.#leg = this.#shared.legs.admit(connection, this, { isGreeted: true });
    if (this.#isDraining) this.#leg.say(shuttingDown);
  }

  /** A transaction under way is finished first; {@link goodbye} then ends the session. */
  drain(): void {
    this.#isDraining = true;
    this.#clear?.drain();
    if (this.#relay?.isInTransaction !== true) this.#leg?.say(shuttingDown);
  }

  /** At once, both legs. A message under way is not delivered; the client hears 421 (S-57). */
  end(reason: string): void {
    if (this.#session === null) this.#cut(reason);
    else this.#session.end(reason);
  }

  #cut(reason: string): void {
    this.#gone.abort('gone');
    this.#relay?.cut();
    this.#clear?.destroy();
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

  message(): MessageTransfer {
    // Only a relay's data() opens a message.
    if (this.#relay === null) throw new Error('a message without a login');
    const transfer = this.#relay.receive();
    void transfer.done.then(() => {
      if (this.#isClosed) this.#leave();
    });
    return transfer;
  }

  async announced(): Promise<readonly string[]> {
    return announced(await this.#shared.offers.current(), this.#parts.config.limits.messageBytes);
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
    this.#gone.abort('gone');
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
    this.#shared.offers.seen(login.backend, link.extensions);
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
      policy: this.#shared.policies(session.login, this.#connection.logger),
      reopen: () => this.#open(upstream, session.login, this.#gone.signal),
      limits: this.#parts.config.limits,
      maxBytes: session.login.fence.maxBytes,
      logger: this.#connection.logger,
      onUpstreamError: (error) => session.report(error),
      onTraffic: (bytes) => session.count(bytes),
    });
  }

  #leave(): void {
    this.#session?.leave('client', { messages: this.#relay?.messages ?? 0 });
  }
}
