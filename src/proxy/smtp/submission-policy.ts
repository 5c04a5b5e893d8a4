import type { VerifiedLogin } from '../../credentials/verifier.ts';
import type { Logger } from '../../observability/logger.ts';
import type { MailOrder, RcptOrder } from '../../protocol/smtp/envelope.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';

/** What a logged-in client may send. Asked about one transaction at a time, in the order of its commands. */
export interface SubmissionPolicy {
  /** {@link header} is to be called; it costs a copy of every header section. */
  readonly wantsHeader: boolean;
  /** Before MAIL goes to the backend; null lets it pass. */
  mail(order: MailOrder): Promise<ClientReply | null>;
  rcpt(order: RcptOrder): Promise<ClientReply | null>;
  /**
   * The header section as the backend gets it (bounded to 64 KB), once it is complete, with the empty line behind it where
   * there is one; a refusal cuts the backend before the end of data. A longer section never gets here: it is refused.
   */
  header(section: Buffer): ClientReply | null;
  /** The backend accepted the message for this many recipients. */
  accepted(recipients: number): void;
  /** The transaction is over, whatever became of it. Once for each {@link mail} that passed. */
  closed(): void;
}

export type SubmissionPolicies = (login: VerifiedLogin, logger: Logger) => SubmissionPolicy;

const unlimited: SubmissionPolicy = {
  wantsHeader: false,
  mail: async () => null,
  rcpt: async () => null,
  header: () => null,
  accepted: () => undefined,
  closed: () => undefined,
};

/** Whoever is logged in may send whatever the backend takes. */
export const everythingAllowed: SubmissionPolicies = () => unlimited;
