import type { Logger } from '../../observability/logger.ts';
import { type ClientReply, describeReply, forClient, type Reply } from '../../protocol/smtp/reply.ts';
import { UpstreamError } from '../../upstream/upstream-error.ts';

/** Also what a client hears once its session has ended, and nobody is left to ask. */
export const lost: ClientReply = {
  code: 451,
  enhanced: '4.4.2',
  text: 'Connection to the mail server was lost',
};

export const noEightBit: ClientReply = {
  code: 554,
  enhanced: '5.6.3',
  text: 'The mail server takes no 8-bit messages',
};

export interface BackendAnswersParts {
  readonly logger: Logger;
  /** Counts it; called once for each. */
  readonly onUpstreamError: (error: UpstreamError) => void;
}

/** What the client hears of the backend. What went wrong between the two of us is 451, never a doubt of the client's credential. */
export class BackendAnswers {
  readonly #parts: BackendAnswersParts;
  #told: UpstreamError | null = null;

  constructor(parts: BackendAnswersParts) {
    this.#parts = parts;
  }

  /** The backend's own reply. */
  relayed(reply: Reply): ClientReply {
    // These speak of a login, and the backend's login is ours: the client would ask for its password (wire 81).
    if ([530, 534, 535, 538].includes(reply.code)) {
      this.#parts.logger.error({ reply: describeReply(reply) }, 'backend asks the gateway to log in again');
      return { code: 451, enhanced: '4.3.0', text: 'Temporary failure of the mail server' };
    }
    return forClient(reply, `${Math.floor(reply.code / 100)}.0.0`);
  }

  /** For an order that failed. `isExpected`: we cut the connection, so it is no error of the backend's. */
  failed(error: unknown, isExpected: boolean): ClientReply {
    if (!(error instanceof UpstreamError)) {
      this.#parts.logger.error({ err: error }, 'SMTP relay failed by a fault');
      return { code: 421, enhanced: '4.3.0', text: 'Internal error' };
    }
    // One lost connection fails every order that was under way.
    if (!isExpected && error !== this.#told) this.#parts.onUpstreamError(error);
    this.#told = error;
    return lost;
  }
}
