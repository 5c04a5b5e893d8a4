import type { Config } from '../../config/schema.ts';
import type { SendCounters } from '../../credentials/send-counters.ts';
import type { VerifiedLogin } from '../../credentials/verifier.ts';
import { type Logger, printable } from '../../observability/logger.ts';
import type { MailOrder, RcptOrder } from '../../protocol/smtp/envelope.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';
import type { SenderAliases } from './sender-aliases.ts';
import { SenderPolicy, type SenderRefusal } from './sender-policy.ts';
import { SubmissionFence } from './submission-fence.ts';
import type { SubmissionPolicies, SubmissionPolicy } from './submission-policy.ts';
import type { SubmissionSlot, SubmissionSlots } from './submission-slots.ts';

export interface SubmissionPoliciesParts {
  readonly domains: Config['domains'];
  /** As of now: a reload may have changed them. */
  readonly aliases: () => SenderAliases;
  readonly counters: SendCounters;
  readonly slots: SubmissionSlots;
}

const tooManyAtOnce: ClientReply = {
  code: 451,
  enhanced: '4.3.2',
  text: 'Too many messages of this account at once, try again later',
};

/** Who may send as whom, and how much: the policy of a domain and the fence of an app password together. */
export function createSubmissionPolicies(parts: SubmissionPoliciesParts): SubmissionPolicies {
  return (login, logger) => new AccountSubmissionPolicy(parts, login, logger);
}

class AccountSubmissionPolicy implements SubmissionPolicy {
  readonly #sender: SenderPolicy;
  readonly #fence: SubmissionFence;
  readonly #slots: SubmissionSlots;
  readonly #account: string;
  readonly #logger: Logger;
  /** Of the transaction that is open, or was last. */
  #path = '';
  #slot: SubmissionSlot | null = null;

  constructor(parts: SubmissionPoliciesParts, login: VerifiedLogin, logger: Logger) {
    const domain = parts.domains[login.domain];
    if (domain === undefined) throw new Error(`there is no domain ${login.domain}`);
    const { fence, credentialId, address } = login;
    this.#sender = new SenderPolicy({
      account: address,
      policy: domain.senderPolicy,
      fence,
      aliases: () => parts.aliases().get(address),
    });
    this.#fence = new SubmissionFence({ fence, credentialId, counters: parts.counters });
    this.#slots = parts.slots;
    this.#account = login.accountId.toString('hex');
    this.#logger = logger;
  }

  /** Depends on the transaction: ask once it has begun. */
  get wantsHeader(): boolean {
    return this.#sender.wantsHeader(this.#path);
  }

  /** What it takes for the transaction it keeps only where it lets that pass. */
  async mail(order: MailOrder): Promise<ClientReply | null> {
    this.closed();
    this.#path = order.path;
    const refusal =
      this.#refuse(this.#sender.envelope(order.path)) ?? this.#tell(this.#fence.size(order.size));
    if (refusal !== null) return refusal;
    const slot = await this.#slots.take(this.#account);
    if (slot === null) return this.#tell(tooManyAtOnce);
    try {
      const exceeded = await this.#fence.message();
      if (exceeded === null) this.#slot = slot;
      return this.#tell(exceeded);
    } finally {
      if (this.#slot !== slot) slot.release();
    }
  }

  async rcpt(order: RcptOrder): Promise<ClientReply | null> {
    return this.#tell(await this.#fence.recipient(order.path));
  }

  header(section: Buffer): ClientReply | null {
    return this.#refuse(this.#sender.header(section, this.#path));
  }

  accepted(recipients: number): void {
    this.#fence.accepted(recipients);
  }

  closed(): void {
    this.#fence.closed();
    this.#slot?.release();
    this.#slot = null;
  }

  #refuse(refusal: SenderRefusal | null): ClientReply | null {
    if (refusal === null) return null;
    this.#logger.info({ sender: printable(refusal.cause) }, 'sender refused');
    return refusal.reply;
  }

  #tell(reply: ClientReply | null): ClientReply | null {
    if (reply !== null) this.#logger.info({ code: reply.code, detail: reply.text }, 'submission refused');
    return reply;
  }
}
