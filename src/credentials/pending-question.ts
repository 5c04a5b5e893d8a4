import type { Answer, Node, NodeMessage } from './node-message.ts';

/** What one node answered, whole. */
export interface Reply {
  readonly node: Node;
  readonly answers: readonly Answer[];
}

interface Collected {
  readonly node: Node;
  readonly parts: Map<number, Answer>;
  /** Known with the last part. */
  count: number | null;
}

const maxParts = 1_000;
/** For nodes that are not known yet. A stranger who listens in is as good as one, and must not make people wait. */
const strangerMs = 200;

/** Collects the answers of several nodes until all that are expected have come. */
export class PendingQuestion {
  readonly #expected: readonly Node[];
  readonly #collected = new Map<string, Collected>();
  readonly #done = Promise.withResolvers<void>();
  #grace: NodeJS.Timeout | null = null;
  /** How many have heard it, whoever they are; null while it is being asked. */
  #least: number | null = null;

  constructor(expected: readonly Node[]) {
    this.#expected = expected;
  }

  /** A part that came before is the same one again. */
  take({ from, part, isLast, answer }: NodeMessage & { readonly kind: 'answer' }): void {
    if (part >= maxParts) return;
    const collected = this.#collected.get(from.instance) ?? { node: from, parts: new Map(), count: null };
    this.#collected.set(from.instance, collected);
    if (!collected.parts.has(part)) collected.parts.set(part, answer);
    if (isLast) collected.count = part + 1;
    this.#look();
  }

  /** Settles when all that are expected have answered, and `least` at all events, or after the time. */
  async answered(least: number, withinMs: number): Promise<void> {
    this.#least = least;
    const limit = setTimeout(this.#done.resolve, withinMs);
    this.#look();
    await this.#done.promise;
    clearTimeout(limit);
    if (this.#grace !== null) clearTimeout(this.#grace);
  }

  replies(): readonly Reply[] {
    return [...this.#collected.values()].filter(isWhole).map(({ node, parts, count }) => ({
      node,
      answers: Array.from({ length: count ?? 0 }, (_, part) => parts.get(part)).filter(
        (each) => each !== undefined,
      ),
    }));
  }

  /** Names of those that are missed, and of those that began an answer and did not end it. */
  silent(): readonly string[] {
    const begun = [...this.#collected.values()].filter((each) => !isWhole(each)).map(({ node }) => node);
    const missed = this.#expected.filter(({ instance }) => !this.#collected.has(instance));
    return [...missed, ...begun].map(({ name }) => name);
  }

  #look(): void {
    if (this.#least === null || this.silent().length > 0) return;
    if (this.#collected.size >= this.#least) this.#done.resolve();
    else this.#grace ??= setTimeout(this.#done.resolve, strangerMs);
  }
}

function isWhole({ parts, count }: Collected): boolean {
  return count !== null && parts.size >= count;
}
