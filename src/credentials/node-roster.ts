import type { Node } from './node-message.ts';

/** How far the clocks of two nodes may differ. */
export const clockMs = 60_000;
const maxNodes = 1_000;

interface Entry {
  readonly node: Node;
  /** Of the last message, by its node's clock. */
  readonly at: number;
  /** By this node's clock; null once it said goodbye. */
  readonly heardAt: number | null;
}

/** The other nodes that were heard of lately, by what they said themselves. */
export class NodeRoster {
  readonly #ttlMs: number;
  readonly #entries = new Map<string, Entry>();

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** False for what was said before something that is known already, or too long ago: a repetition keeps nobody alive. */
  note(node: Node, at: number, now: number, isGone = false): boolean {
    if (Math.abs(at - now) > clockMs) return false;
    for (const [instance, entry] of this.#entries) {
      // What it said last is by now too old to be repeated.
      if (entry.at < now - clockMs && !this.#isAlive(entry, now)) this.#entries.delete(instance);
    }
    const known = this.#entries.get(node.instance);
    if (known === undefined ? this.#entries.size >= maxNodes : known.at >= at) return false;
    this.#entries.set(node.instance, { node, at, heardAt: isGone ? null : now });
    return true;
  }

  alive(now: number): readonly Node[] {
    return [...this.#entries.values()].filter((entry) => this.#isAlive(entry, now)).map(({ node }) => node);
  }

  #isAlive({ heardAt }: Entry, now: number): boolean {
    return heardAt !== null && now < heardAt + this.#ttlMs;
  }
}
