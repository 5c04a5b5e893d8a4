import type { Domain } from '../../config/schema.ts';
import { type AccountName, canonicalName } from '../../credentials/account-name.ts';
import { allowsSender, type Fence } from '../../credentials/fence.ts';
import { readHeaderFrom } from '../../protocol/smtp/header-from.ts';
import type { ClientReply } from '../../protocol/smtp/reply.ts';

const notYours: ClientReply = {
  code: 553,
  enhanced: '5.7.1',
  text: 'Sender address not allowed for this user',
};
const noFrom: ClientReply = { code: 550, enhanced: '5.7.1', text: 'Message has no From field' };

/** Why a sender is refused, beside the reply. */
export interface SenderRefusal {
  readonly reply: ClientReply;
  /** For the log: the address, or what cannot be read. */
  readonly cause: string;
}

/** As whom one session may send: what belongs to its account, within what the fence of its app password leaves (S-53). */
export class SenderPolicy {
  readonly #account: string;
  readonly #policy: Domain['senderPolicy'];
  readonly #fence: Fence;
  readonly #aliases: () => ReadonlySet<string> | undefined;

  constructor(parts: {
    /** Canonical. */
    readonly account: string;
    readonly policy: Domain['senderPolicy'];
    readonly fence: Fence;
    /** Of this account, as of now. */
    readonly aliases: () => ReadonlySet<string> | undefined;
  }) {
    this.#account = parts.account;
    this.#policy = parts.policy;
    this.#fence = parts.fence;
    this.#aliases = parts.aliases;
  }

  /** Whether {@link header} is to be asked about a message of this envelope sender. */
  wantsHeader(path: string): boolean {
    return this.#fence.from !== null || this.#mustHeaderBelong(path);
  }

  /** `path` as in the envelope: empty is for receipts and reports, which say in their header who they are from. */
  envelope(path: string): SenderRefusal | null {
    if (path === '') return null;
    return this.#judge(path, this.#policy !== 'off');
  }

  header(section: Buffer, path: string): SenderRefusal | null {
    const from = readHeaderFrom(section);
    switch (from.kind) {
      case 'missing':
        return { reply: noFrom, cause: 'no From field' };
      case 'uncertain':
        return {
          reply: {
            code: 550,
            enhanced: '5.7.1',
            text: `From or Sender field cannot be read with certainty: ${from.problem}`,
          },
          cause: from.problem,
        };
      case 'read': {
        for (const address of [...from.addresses, ...from.shown]) {
          const refusal = this.#judge(address, this.#mustHeaderBelong(path));
          if (refusal !== null) return refusal;
        }
        return null;
      }
      default:
        return from satisfies never;
    }
  }

  /** An empty MAIL FROM says nothing, so then the header must, or a stolen app password sends as anybody. */
  #mustHeaderBelong(path: string): boolean {
    return this.#policy === 'both' || (this.#policy === 'envelope' && path === '');
  }

  #judge(address: string, mustBelong: boolean): SenderRefusal | null {
    const name = canonicalName(address, null);
    if (mustBelong && (name === null || !this.#belongs(name))) return { reply: notYours, cause: address };
    if (this.#fence.from === null || (name !== null && allowsSender(this.#fence, name))) return null;
    return {
      reply: {
        code: 550,
        enhanced: '5.7.1',
        text: `This app password may not send as ${address}`,
      },
      cause: address,
    };
  }

  /** The account, its aliases, and every `+tag` of them. */
  #belongs(name: AccountName): boolean {
    const plus = name.local.indexOf('+');
    const untagged = plus > 0 ? `${name.local.slice(0, plus)}@${name.domain}` : name.address;
    const aliases = this.#aliases();
    return [name.address, untagged].some((own) => own === this.#account || aliases?.has(own) === true);
  }
}
