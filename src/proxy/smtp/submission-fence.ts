import { canonicalName } from '../../credentials/account-name.ts';
import { allowsRecipient, type Fence } from '../../credentials/fence.ts';
import type { Reservation, SendCounters, SendLimit, SendUnit } from '../../credentials/send-counters.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';

/** By one transaction, and not yet known to be sent. */
interface Counted {
  message: Reservation | null;
  recipients: Reservation[];
}

/** What the fence of one session's app password leaves of where, how much and how large (S-58); senders are elsewhere. */
export class SubmissionFence {
  readonly #fence: Fence;
  readonly #credentialId: Buffer;
  readonly #counters: SendCounters;
  #counted: Counted = { message: null, recipients: [] };

  constructor(parts: {
    readonly fence: Fence;
    readonly credentialId: Buffer;
    readonly counters: SendCounters;
  }) {
    this.#fence = parts.fence;
    this.#credentialId = parts.credentialId;
    this.#counters = parts.counters;
  }

  /** By the size that was declared; null where none was. */
  size(bytes: number | null): ClientReply | null {
    const { maxBytes } = this.#fence;
    if (maxBytes === null || bytes === null || bytes <= maxBytes) return null;
    return {
      code: 552,
      enhanced: '5.3.4',
      text: `This app password may send at most ${maxBytes} bytes`,
    };
  }

  /** Counts the message from MAIL on: transactions side by side must not all fit into the last place. */
  async message(): Promise<ClientReply | null> {
    const reserving = await this.#counters.reserve(this.#credentialId, this.#fence, 'messages');
    if (reserving.kind === 'exceeded') return tooMany('messages', reserving.limit);
    this.#counted.message = reserving.reservation;
    return null;
  }

  async recipient(path: string): Promise<ClientReply | null> {
    const refusal = this.#place(path);
    if (refusal !== null) return refusal;
    const counted = this.#counted;
    const reserving = await this.#counters.reserve(this.#credentialId, this.#fence, 'recipients');
    if (reserving.kind === 'exceeded') return tooMany('recipients', reserving.limit);
    // The client may have gone meanwhile.
    if (counted === this.#counted) counted.recipients.push(reserving.reservation);
    else reserving.reservation.release();
    return null;
  }

  /** What was sent stays counted; recipients that the backend did not want do not. */
  accepted(recipients: number): void {
    this.#counted.message = null;
    this.#counted.recipients = this.#counted.recipients.slice(recipients);
  }

  /** Gives back what was not sent. */
  closed(): void {
    const { message, recipients } = this.#counted;
    this.#counted = { message: null, recipients: [] };
    message?.release();
    for (const recipient of recipients) recipient.release();
  }

  #place(path: string): ClientReply | null {
    if (this.#fence.recipientDomains === null) return null;
    const name = canonicalName(path, null);
    // `a%b.example@c.example` and `b.example!a@c.example` go to b.example where a server knows the old ways.
    const isPlain = name !== null && !name.local.includes('!');
    if (isPlain && allowsRecipient(this.#fence, name.domain)) return null;
    const place = isPlain ? name.domain : path;
    return { code: 550, enhanced: '5.7.1', text: `This app password may not send to ${place}` };
  }
}

function tooMany(unit: SendUnit, { limit, per }: SendLimit): ClientReply {
  const what = unit === 'messages' ? `${limit} messages` : `to ${limit} recipients`;
  return {
    code: 451,
    enhanced: '4.7.1',
    text: `This app password may send ${what} per ${per}, try again later`,
  };
}
