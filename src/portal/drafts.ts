import { LRUCache } from 'lru-cache';
import type { PortalSession } from '../identity/portal-session.ts';

/** As long as a first-factor session: time enough to find the phone. */
const heldMs = 10 * 60_000;
/** Each at most a body, 16 KB (S-63). */
const mostHeld = 200;

type Owner = Pick<Exclude<PortalSession, { readonly level: 'anonymous' }>, 'account' | 'idHash'>;

/**
 * Forms that were sent when the second factor had become stale, until it is shown again (S-68): what a person typed is not
 * lost. Only for the session that sent them, and what comes of it: another session of the account may be an intruder's, who
 * fills in what its owner is to send.
 */
export class Drafts {
  readonly #held: LRUCache<string, object>;

  constructor(parts: { readonly now: () => number }) {
    this.#held = new LRUCache<string, object>({ max: mostHeld, ttl: heldMs, perf: { now: parts.now } });
  }

  hold(owner: Owner, path: string, fields: object): void {
    this.#held.set(prefixOf(owner) + path, fields);
  }

  /** Once: a page opened again is empty. */
  take(owner: Owner, path: string): object | null {
    const key = prefixOf(owner) + path;
    const fields = this.#held.get(key) ?? null;
    this.#held.delete(key);
    return fields;
  }

  /** A step-up is a new session of the same browser; so is a sign-in, perhaps of somebody else, who gets nothing. */
  follow(from: Owner, to: Owner): void {
    const prefix = prefixOf(from);
    for (const key of [...this.#held.keys()]) {
      if (!key.startsWith(prefix)) continue;
      const fields = this.#held.get(key);
      this.#held.delete(key);
      if (fields !== undefined && from.account.id.equals(to.account.id)) {
        this.#held.set(prefixOf(to) + key.slice(prefix.length), fields);
      }
    }
  }
}

function prefixOf({ idHash }: Owner): string {
  return `${idHash.toString('hex')} `;
}
