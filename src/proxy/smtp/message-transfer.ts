import type { Logger } from '../../observability/logger.ts';
import { tooBig } from '../../protocol/smtp/envelope.ts';
import { HeaderSection } from '../../protocol/smtp/header-section.ts';
import type { Offence, ReadMessage } from '../../protocol/smtp/message-reader.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';
import type { SubmissionLink } from '../../upstream/submission-link.ts';
import type { BackendAnswers } from './backend-answers.ts';
import type { SubmissionPolicy } from './submission-policy.ts';

export interface MessageTransferParts {
  /** Has answered DATA with 354. */
  readonly submission: SubmissionLink;
  readonly policy: SubmissionPolicy;
  readonly messageBytes: number;
  /** Read at most of a message that is refused. Not twice a small fence, or who sends more hears of a passing trouble and comes back for ever. */
  readonly readBytes: number;
  readonly answers: BackendAnswers;
  readonly logger: Logger;
  /** The session was ended from outside: what fails from then on is nobody's error. */
  readonly isEnded: () => boolean;
}

const offences: Readonly<Record<Offence, string>> = {
  nul: 'Message contains a NUL character',
  'bare-cr': 'Bare <CR> not allowed',
  'bare-lf': 'Bare <LF> not allowed',
};
const headerTooLong: ClientReply = { code: 552, enhanced: '5.3.4', text: 'Message header is too long' };
const endless: ClientReply = { code: 421, enhanced: '4.7.0', text: 'Message too big' };

/**
 * One message on its way to the backend, as it comes. It is ended there only when its end was read here and nothing was
 * wrong with it; a client that goes before, and every refusal of ours, cuts the backend in the middle of it.
 */
export class MessageTransfer {
  /** The reply, once there is one: a client hears it when it has sent everything. null where it went away before. Never rejects. */
  readonly done: Promise<ClientReply | null>;
  readonly #parts: MessageTransferParts;
  readonly #settle: (reply: ClientReply | null) => void;
  #header: HeaderSection | null;
  #verdict: ClientReply | null = null;
  #isOver = false;

  constructor(parts: MessageTransferParts) {
    this.#parts = parts;
    this.#header = parts.policy.wantsHeader ? new HeaderSection() : null;
    const { promise, resolve } = Promise.withResolvers<ClientReply | null>();
    this.done = promise;
    this.#settle = resolve;
  }

  /** Nothing the client does can change what becomes of it. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Takes the next piece; null: another is welcome at once. The promise does not reject. */
  take(read: ReadMessage): Promise<void> | null {
    if (this.#isOver) return null;
    this.#verdict ??= this.#unfit(read) ?? this.#pass(read);
    if (read.rest !== null) {
      this.#isOver = true;
      void this.#finish();
      return null;
    }
    // Reading on is a courtesy: clients hear a refusal only when they have sent everything.
    if (read.reader.size > this.#parts.readBytes) {
      this.#isOver = true;
      this.#settle(endless);
      return null;
    }
    return this.#verdict === null && this.#parts.submission.isFull ? this.#parts.submission.room() : null;
  }

  /** The client is gone. A final dot would deliver half of its message (wire 100). */
  abandon(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#parts.submission.cut();
    this.#settle(null);
  }

  #unfit({ offence, reader, bytes, rest }: ReadMessage): ClientReply | null {
    const reply =
      offence !== null
        ? { code: 550, enhanced: '5.6.11', text: offences[offence] }
        : reader.size > this.#parts.messageBytes
          ? tooBig.reply
          : this.#headerVerdict(bytes, rest !== null);
    if (reply !== null) this.#parts.submission.cut();
    return reply;
  }

  #headerVerdict(bytes: Buffer, isEnd: boolean): ClientReply | null {
    if (this.#header === null) return null;
    const collected = this.#header.add(bytes, isEnd);
    if (collected.kind === 'need-more') return null;
    this.#header = null;
    if (collected.kind === 'too-long') return headerTooLong;
    try {
      return this.#parts.policy.header(collected.section);
    } catch (error) {
      return this.#parts.answers.failed(error, false);
    }
  }

  #pass({ bytes }: ReadMessage): ClientReply | null {
    const { submission, answers } = this.#parts;
    try {
      const early = submission.write(bytes);
      return early === null ? null : answers.relayed(early);
    } catch (error) {
      return answers.failed(error, this.#parts.isEnded());
    }
  }

  async #finish(): Promise<void> {
    this.#settle(this.#verdict ?? (await this.#end()));
  }

  async #end(): Promise<ClientReply> {
    const { submission, answers, logger } = this.#parts;
    try {
      return answers.relayed(await submission.finish());
    } catch (error) {
      // Wire 99: the client sends it again, and somebody may ask why it came twice.
      logger.warn('message possibly delivered: the backend was lost between end of data and reply');
      return answers.failed(error, this.#parts.isEnded());
    }
  }
}
