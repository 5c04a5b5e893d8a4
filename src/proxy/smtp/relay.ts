import type { Config } from '../../config/schema.ts';
import type { Logger } from '../../observability/logger.ts';
import {
  type MailOrder,
  parseMail,
  parseRcpt,
  type RcptOrder,
  unsupported,
} from '../../protocol/smtp/envelope.ts';
import { missingExtension } from '../../protocol/smtp/envelope-line.ts';
import type { ClientReply, Reply } from '../../protocol/smtp/reply.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';
import { BackendAnswers, type BackendAnswersParts, lost, noEightBit } from './backend-answers.ts';
import { MessageTransfer } from './message-transfer.ts';
import type { SubmissionPolicy } from './submission-policy.ts';
import { Transaction } from './transaction.ts';

/** What a relay needs of its session. */
export interface RelayParts extends BackendAnswersParts {
  /** Logged in, no transaction begun. */
  readonly submission: SubmissionLink;
  /** Another connection in its place. Rejects with {@link UpstreamError}. */
  readonly reopen: () => Promise<SubmissionLink>;
  readonly policy: SubmissionPolicy;
  readonly limits: Pick<Config['limits'], 'messageBytes' | 'recipients'>;
  /** Of the app password's fence, held while the message streams: a declared SIZE is only a promise. */
  readonly maxBytes: number | null;
  readonly logger: Logger;
  readonly onTraffic: (bytes: { readonly bytesUp: number; readonly bytesDown: number }) => void;
}

const needMail = badSequence('Need MAIL command');
const tooManyRecipients: ClientReply = { code: 452, enhanced: '4.5.3', text: 'Too many recipients' };

/**
 * One logged-in client's transactions, one to one on the backend: nothing is answered before the backend answered it,
 * nothing is kept. MAIL and RCPT may come without waiting; answers are promises, in the order of their commands.
 */
export class Relay {
  readonly #parts: RelayParts;
  readonly #answers: BackendAnswers;
  #submission: SubmissionLink;
  #transaction: Transaction | null = null;
  /** A connection that has carried a transaction may have been closed for idling; a new one has no excuse. */
  #hasBeenUsed = false;
  /** The order before is on its way or refused: the policy is asked, and the backend told, one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #isStreaming = false;
  #messages = 0;
  #ended = false;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    this.#answers = new BackendAnswers(parts);
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
    if (this.#ended) return lost;
    const transaction = new Transaction(order.smtpUtf8);
    this.#transaction = transaction;
    const reply = await this.#inTurn(
      async (policy) => {
        const refusal = this.#unfit(order) ?? (await policy.mail(order));
        transaction.isAllowed = refusal === null;
        return refusal;
      },
      () => {
        const begun = this.#begin(order);
        transaction.begun = begun.catch(() => undefined);
        return begun;
      },
    );
    if (reply.code >= 300) this.#close(transaction);
    return reply;
  }

  async rcpt(line: Buffer): Promise<ClientReply> {
    const transaction = this.#transaction;
    const order = parseRcpt(line, { smtpUtf8: transaction?.smtpUtf8 ?? false });
    if (order.kind === 'refused') return order.reply;
    if (transaction === null) return needMail;
    transaction.attempted++;
    const reply = await transaction.recipient(this.#parts.limits.recipients, () =>
      this.#inTurn(
        async (policy) => (transaction.isAllowed ? await policy.rcpt(order) : needMail),
        () => this.#recipient(order, transaction),
      ),
    );
    return reply ?? tooManyRecipients;
  }

  /** null: the backend said 354, and {@link receive} follows. Asked when MAIL and RCPT have their answers. */
  async data(): Promise<ClientReply | null> {
    const transaction = this.#transaction;
    if (transaction === null) return needMail;
    if (transaction.attempted === 0) return badSequence('Need RCPT command');
    if (transaction.accepted === 0 && !this.#submission.isOver) {
      return { code: 554, enhanced: '5.5.1', text: 'No valid recipients' };
    }
    const refusal = await this.#answered(async () => {
      // What a lost connection had accepted cannot be taken up by another.
      if (this.#submission.isOver) return lost;
      const reply = await this.#submission.data();
      return reply.code === 354 ? null : this.#answers.relayed(reply);
    });
    if (refusal !== null) await this.reset();
    return refusal;
  }

  /** Begins to take the message. Its `done` is the reply of the backend, or ours. */
  receive(): MessageTransfer {
    this.#isStreaming = true;
    const { policy, limits, maxBytes, logger } = this.#parts;
    const transfer = new MessageTransfer({
      submission: this.#submission,
      policy,
      messageBytes: Math.min(limits.messageBytes, maxBytes ?? limits.messageBytes),
      readBytes: 2 * limits.messageBytes,
      answers: this.#answers,
      logger,
      isEnded: () => this.#ended,
    });
    void transfer.done.then((reply) => this.#received(reply));
    return transfer;
  }

  /** Ends the transaction here and on the backend. */
  async reset(): Promise<void> {
    const transaction = this.#transaction;
    if (transaction === null) return;
    this.#close(transaction);
    if (this.#submission.isOver) return;
    await this.#answered(async () => {
      const reply = await this.#submission.reset();
      if (reply.code >= 300) this.#submission.cut();
      return null;
    });
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

  /** Asks the policy, then sends; the answer comes when it comes, and the next order does not wait for it. */
  async #inTurn(
    ask: (policy: SubmissionPolicy) => Promise<ClientReply | null>,
    send: () => Promise<ClientReply>,
  ): Promise<ClientReply> {
    const before = this.#turn;
    const sent = (async () => {
      await before;
      const refusal = await ask(this.#parts.policy);
      return { answer: refusal === null ? this.#answered(send) : Promise.resolve(refusal) };
    })();
    this.#turn = sent.catch(() => undefined);
    const turn = await this.#answered(async () => await sent);
    return 'answer' in turn ? await turn.answer : turn;
  }

  /** RFC 6152 3: what the backend cannot pass on as it was declared is refused. */
  #unfit(order: MailOrder): ClientReply | null {
    if (this.#submission.isOver) return null;
    const missing = missingExtension(order, this.#submission.extensions);
    if (missing === null) return null;
    return missing === '8BITMIME' ? noEightBit : unsupported.reply;
  }

  async #begin(order: MailOrder): Promise<ClientReply> {
    if (this.#submission.isOver) await this.#reopen();
    const unfit = this.#unfit(order);
    if (unfit !== null) return unfit;
    let reply = await this.#tryMail(order);
    // Backends close what idles (Postfix after 5 minutes), and MAIL may be said twice: it has no effect.
    if (reply === null || (reply.code === 421 && this.#hasBeenUsed)) {
      await this.#reopen();
      reply = await this.#submission.envelope(order);
    }
    this.#hasBeenUsed = true;
    return this.#answers.relayed(reply);
  }

  /** null: closed, perhaps long before. */
  async #tryMail(order: MailOrder): Promise<Reply | null> {
    try {
      return await this.#submission.envelope(order);
    } catch (error) {
      const isClosed = error instanceof UpstreamError && error.kind === 'closed';
      if (isClosed && this.#hasBeenUsed && !this.#ended) return null;
      throw error;
    }
  }

  async #recipient(order: RcptOrder, transaction: Transaction): Promise<ClientReply> {
    const submission = this.#submission;
    let failure: unknown = null;
    try {
      if (!submission.isOver) return await this.#sendRecipient(order, submission);
    } catch (error) {
      failure = error;
    }
    // MAIL, just before, may have found the connection closed for idling and said itself again on another.
    await transaction.begun;
    if (this.#submission === submission) {
      if (failure !== null) throw failure;
      return lost;
    }
    return transaction === this.#transaction ? await this.#sendRecipient(order, this.#submission) : needMail;
  }

  async #sendRecipient(order: RcptOrder, submission: SubmissionLink): Promise<ClientReply> {
    if (missingExtension(order, submission.extensions) !== null) return unsupported.reply;
    return this.#answers.relayed(await submission.envelope(order));
  }

  #received(reply: ClientReply | null): void {
    const transaction = this.#transaction;
    this.#isStreaming = false;
    if (reply !== null && reply.code < 300) {
      this.#messages++;
      this.#tell((policy) => policy.accepted(transaction?.accepted ?? 0));
    }
    if (transaction !== null) this.#close(transaction);
    if (this.#ended) this.#leave();
  }

  #close(transaction: Transaction): void {
    if (this.#transaction === transaction) this.#transaction = null;
    if (transaction.isAllowed) this.#tell((policy) => policy.closed());
    transaction.isAllowed = false;
  }

  /** A fault of the policy's is logged, and changes no answer that the backend has given. */
  #tell(talk: (policy: SubmissionPolicy) => void): void {
    try {
      talk(this.#parts.policy);
    } catch (error) {
      this.#answers.failed(error, this.#ended);
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
    if (this.#transaction !== null) this.#close(this.#transaction);
    this.#submission.quit();
    this.#parts.onTraffic(this.#submission.counts);
  }

  async #answered<T>(talk: () => Promise<T>): Promise<T | ClientReply> {
    if (this.#ended) return lost;
    try {
      return await talk();
    } catch (error) {
      const reply = this.#answers.failed(error, this.#ended);
      if (reply !== lost) this.#submission.cut();
      return reply;
    }
  }
}

function badSequence(text: string): ClientReply {
  return { code: 503, enhanced: '5.5.1', text };
}
