import { lookup as systemLookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { errorText } from '../observability/error-text.ts';

/** All addresses of a name, in the order the system prefers. */
export type Lookup = (name: string) => Promise<readonly string[]>;

/** More are nobody's backend; each costs a connection attempt. */
const addressesTried = 10;

/** By the resolver of the system, `/etc/hosts` included. */
export const lookupAll: Lookup = async (name) =>
  (await systemLookup(name, { all: true, order: 'verbatim' })).map(({ address }) => address);

/** The addresses of one endpoint, and what was learnt of them: one address, however many logins. */
export class Addresses {
  readonly #host: string;
  readonly #lookup: Lookup;
  readonly #lookupMs: number;
  #pending: Promise<readonly string[]> | null = null;
  #last: string | null = null;
  #isDoubted = false;

  constructor(host: string, options: { readonly lookup?: Lookup; readonly lookupMs?: number } = {}) {
    this.#host = host;
    this.#lookup = options.lookup ?? lookupAll;
    this.#lookupMs = options.lookupMs ?? 5_000;
  }

  /**
   * In the order to try them: the one that answered last, then families alternating (RFC 8305 4); one that answered and was
   * no good comes last. Where the name cannot be resolved, the one that answered last alone. Rejects where there is none.
   */
  async inOrder(): Promise<readonly string[]> {
    if (isIP(this.#host) !== 0) return [this.#host];
    const found = await this.#resolve().catch((error: unknown) => {
      // The certificate is checked whatever the address: an outage of DNS need not be one of mail.
      if (this.#last !== null) return [this.#last];
      throw error;
    });
    const others = alternating(found).filter((address) => address !== this.#last);
    if (this.#last === null || !found.includes(this.#last)) return others.slice(0, addressesTried);
    return this.#isDoubted
      ? [...others.slice(0, addressesTried - 1), this.#last]
      : [this.#last, ...others.slice(0, addressesTried - 1)];
  }

  /** It is tried first next time. */
  answered(address: string): void {
    this.#last = address;
    this.#isDoubted = false;
  }

  /** Who answered last was no good: the others come before it next time. */
  doubt(): void {
    this.#isDoubted = true;
  }

  /** One question at a time: a dead resolver holds a thread per question, and argon2 needs the same threads. */
  async #resolve(): Promise<readonly string[]> {
    this.#pending ??= this.#lookup(this.#host).finally(() => {
      this.#pending = null;
    });
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error('no answer in time')), this.#lookupMs);
    try {
      const found = await Promise.race([this.#pending, late]);
      if (found.length === 0) throw new Error('no address');
      return found;
    } catch (error) {
      throw new Error(`${this.#host} cannot be resolved: ${errorText(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  }
}

/** RFC 8305 4: the other family second, or a network without it costs every address of the first its time. */
function alternating(addresses: readonly string[]): string[] {
  const first = isIP(addresses[0] ?? '');
  const same = addresses.filter((address) => isIP(address) === first);
  const other = addresses.filter((address) => isIP(address) !== first);
  return [
    ...new Set(
      same
        .flatMap((address, index) => [address, ...other.slice(index, index + 1)])
        .concat(other.slice(same.length)),
    ),
  ];
}
