import type { Readable } from 'node:stream';
import type { Config } from '../../config/schema.ts';
import type { Logger } from '../../observability/logger.ts';
import { parseMail, parseRcpt, type Refused, tooBig } from '../../protocol/smtp/envelope.ts';
import { type ClientReply, describeReply, forClient, type Reply } from '../../protocol/smtp/reply.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';

/** What a relay needs of its session. */
export interface RelayParts {
  /** Logged in, no transaction begun. */
  readonly submission: SubmissionLink;
  /** Another connection in its place. Rejects with {@link UpstreamError}. */
  readonly reopen: () => Promise<SubmissionLink>;
  readonly limits: Pick<Config['limits'], 'messageBytes' | 'recipients'>;
  readonly logger: Logger;
  /** Counts it; called once for each. */
  readonly onUpstreamError: (error: UpstreamError) => void;
  readonly onTraffic: (bytes: { readonly bytesUp: number; readonly bytesDown: number }) => void;
}

interface Transaction {
  attempted: number;
  accepted: number;
}

const lost: ClientReply = { code: 451, enhanced: '4.4.2', text: 'Connection to the mail server was lost' };
const noEightBit: ClientReply = {
  code: 554,
  enhanced: '5.6.3',
  text: 'The mail server takes no 8-bit messages',
};
const unfit: ClientReply = { code: 550, enhanced: '5.6.0', text: 'Message contains a NUL character' };

/**
 * One logged-in client's transactions, one to one on the backend: nothing is answered before the backend answered it,
 * nothing is kept. What went wrong between the two of us is 451, never a refusal of the client's credential.
 */
export class Relay {
  readonly #parts: RelayParts;
  #submission: SubmissionLink;
  #transaction: Transaction | null = null;
  /** A connection that has carried a transaction may have been closed for idling; a new one has no excuse. */
  #hasBeenUsed = false;
  #isStreaming = false;
  #messages = 0;
  #ended = false;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#submission = parts.submission;
  }

  get isInTransaction(): boolean {
    return this.#transaction !== null;
  }

  /** A message is on its way, or its final reply is. */
  get isStreaming(): boolean {
    return this.#isStreaming;
  }

  /** Messages the backend took. */
  get messages(): number {
    return this.#messages;
  }

  async mail(line: Buffer): Promise<ClientReply> {
    const order = parseMail(line, this.#parts.limits);
    if (order.kind === 'refused') return order.reply;
    if (this.#transaction !== null) return badSequence('Nested MAIL command');
    return await this.#exchange(async () => {
      if (this.#submission.isOver) await this.#reopen();
      // RFC 6152 3: what was promised here and cannot be passed on is refused.
      if (order.body === '8BITMIME' && !this.#submission.extensions.has('8BITMIME')) return noEightBit;
      let reply = await this.#tryMail(order);
      // Backends close what idles (Postfix after 5 minutes), and MAIL may be said twice: it has no effect.
      if (reply === null || (reply.code === 421 && this.#hasBeenUsed)) {
        await this.#reopen();
        reply = await this.#submission.envelope(order);
      }
      this.#hasBeenUsed = true;
      if (reply.code < 300) this.#transaction = { attempted: 0, accepted: 0 };
      return this.#relayed(reply);
    });
  }

  async rcpt(line: Buffer): Promise<ClientReply> {
    const order = parseRcpt(line);
    if (order.kind === 'refused') return order.reply;
    const transaction = this.#transaction;
    if (transaction === null) return badSequence('Need MAIL command');
    transaction.attempted++;
    if (transaction.accepted >= this.#parts.limits.recipients) {
      return { code: 452, enhanced: '4.5.3', text: 'Too many recipients' };
    }
    return await this.#exchange(async () => {
      const reply = await this.#submission.envelope(order);
      if (reply.code < 300) transaction.accepted++;
      return this.#relayed(reply);
    });
  }

  /** null: the backend said 354, and {@link message} follows. */
  async data(): Promise<ClientReply | null> {
    const transaction = this.#transaction;
    if (transaction === null) return badSequence('Need MAIL command');
    if (transaction.attempted === 0) return badSequence('Need RCPT command');
    if (transaction.accepted === 0 && !this.#submission.isOver) {
      return { code: 554, enhanced: '5.5.1', text: 'No valid recipients' };
    }
    let isOpen = false;
    const refusal = await this.#exchange(async () => {
      const reply = await this.#submission.data();
      isOpen = reply.code === 354;
      return this.#relayed(reply);
    });
    if (isOpen) return null;
    await this.reset();
    return refusal;
  }

  /**
   * Streams the message to the backend and answers with its final reply. Reads `content` to its end whatever happens,
   * because the client hears nothing before. null where the client went away: the backend then has no end of data.
   */
  async message(content: Readable): Promise<ClientReply | null> {
    this.#isStreaming = true;
    const reply = await this.#stream(content);
    this.#isStreaming = false;
    this.#transaction = null;
    if (this.#ended) this.#leave();
    return reply;
  }

  /** Ends the transaction here and on the backend. */
  async reset(): Promise<void> {
    if (this.#transaction === null) return;
    this.#transaction = null;
    if (this.#submission.isOver) return;
    try {
      const reply = await this.#submission.reset();
      if (reply.code >= 300) this.#submission.cut();
    } catch (error) {
      this.#fault(error);
    }
  }

  /** Leaves the backend in order: a message whose end the client has sent is still delivered. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#isStreaming) this.#leave();
  }

  /** Leaves at once, a message under way unfinished (S-57). */
  cut(): void {
    const wasEnded = this.#ended;
    this.#ended = true;
    this.#submission.cut();
    if (!wasEnded && !this.#isStreaming) this.#leave();
  }

  async #stream(content: Readable): Promise<ClientReply | null> {
    const submission = this.#submission;
    const limit = this.#parts.limits.messageBytes;
    let bytes = 0;
    let verdict: ClientReply | null = null;
    try {
      for await (const chunk of content as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        verdict ??= bytes > limit ? this.#tooBig(submission) : await this.#pass(submission, chunk);
        // Reading on is a courtesy: clients hear a refusal only when they have sent everything.
        if (bytes > 2 * limit) return { code: 421, enhanced: '4.7.0', text: 'Message too big' };
      }
    } catch {
      // Only `content` throws here: the client is gone, and a final dot would deliver half of its message (wire 100).
      submission.cut();
      return null;
    }
    return verdict ?? (await this.#finish(submission));
  }

  /** null: closed, perhaps long before. */
  async #tryMail(order: Exclude<ReturnType<typeof parseMail>, Refused>): Promise<Reply | null> {
    try {
      return await this.#submission.envelope(order);
    } catch (error) {
      const isClosed = error instanceof UpstreamError && error.kind === 'closed';
      if (isClosed && this.#hasBeenUsed && !this.#ended) return null;
      throw error;
    }
  }

  async #pass(submission: SubmissionLink, chunk: Buffer): Promise<ClientReply | null> {
    try {
      const progress = await submission.write(chunk);
      switch (progress.kind) {
        case 'taken':
          return null;
        case 'refused':
          return this.#relayed(progress.reply);
        case 'unfit':
          return unfit;
        default:
          return progress satisfies never;
      }
    } catch (error) {
      return this.#fault(error);
    }
  }

  #tooBig(submission: SubmissionLink): ClientReply {
    submission.cut();
    return tooBig.reply;
  }

  async #finish(submission: SubmissionLink): Promise<ClientReply> {
    // What was lost before the end of data was not delivered, whatever had been sent.
    const late = await this.#pass(submission, Buffer.alloc(0));
    if (late !== null) return late;
    try {
      const reply = await submission.finish();
      if (reply.code < 300) this.#messages++;
      return this.#relayed(reply);
    } catch (error) {
      // Wire 99: the client sends it again, and somebody may ask why it came twice.
      this.#parts.logger.warn(
        'message possibly delivered: the backend was lost between end of data and reply',
      );
      return this.#fault(error);
    }
  }

  async #reopen(): Promise<void> {
    this.#submission.cut();
    this.#parts.onTraffic(this.#submission.counts);
    const submission = await this.#parts.reopen();
    this.#submission = submission;
    this.#hasBeenUsed = false;
    if (this.#ended) submission.cut();
  }

  #leave(): void {
    this.#submission.quit();
    this.#parts.onTraffic(this.#submission.counts);
  }

  async #exchange(talk: () => Promise<ClientReply>): Promise<ClientReply> {
    // What a lost connection had accepted cannot be taken up by another.
    if (this.#ended || (this.#transaction !== null && this.#submission.isOver)) return lost;
    try {
      return await talk();
    } catch (error) {
      return this.#fault(error);
    }
  }

  #fault(error: unknown): ClientReply {
    if (!(error instanceof UpstreamError)) {
      this.#parts.logger.error({ err: error }, 'SMTP relay failed by a fault');
      this.#submission.cut();
      return { code: 421, enhanced: '4.3.0', text: 'Internal error' };
    }
    if (!this.#ended) this.#parts.onUpstreamError(error);
    return lost;
  }

  /** The backend's reply as the client gets it. */
  #relayed(reply: Reply): ClientReply {
    // These speak of a login, and the backend's login is ours: the client would ask for its password (wire 81).
    if ([530, 534, 535, 538].includes(reply.code)) {
      this.#parts.logger.error({ reply: describeReply(reply) }, 'backend asks the gateway to log in again');
      return { code: 451, enhanced: '4.3.0', text: 'Temporary failure of the mail server' };
    }
    return forClient(reply, `${Math.floor(reply.code / 100)}.0.0`);
  }
}

function badSequence(text: string): ClientReply {
  return { code: 503, enhanced: '5.5.1', text };
}
