import { LRUCache } from 'lru-cache';
import type { FullSession, SteppedUpSession } from '../identity/portal-session.ts';
import { formatRecoveryCode } from '../identity/second-factor/recovery-code.ts';
import type { Secret } from '../secret.ts';

/** Long enough for a redirect, short enough to be nothing that waits in memory. */
const heldMs = 2 * 60_000;

/** Fresh recovery codes between their creation and the one page that shows them, in the session that made them (S-70). */
export class HeldCodes {
  readonly #held: LRUCache<string, readonly Secret[]>;

  constructor(parts: { readonly now: () => number }) {
    this.#held = new LRUCache<string, readonly Secret[]>({
      max: 500,
      ttl: heldMs,
      ttlAutopurge: true,
      perf: { now: parts.now },
      dispose: (codes) => {
        for (const code of codes) code.wipe();
      },
    });
  }

  /** Takes ownership of the secrets. */
  hold(session: FullSession | SteppedUpSession, codes: readonly Secret[]): void {
    this.#held.set(session.idHash.toString('hex'), codes);
  }

  /** The codes as people read them, once; null afterwards, after two minutes, and for every other session. */
  take(session: FullSession | SteppedUpSession): readonly string[] | null {
    const key = session.idHash.toString('hex');
    const codes = this.#held.get(key)?.map(formatRecoveryCode) ?? null;
    this.#held.delete(key);
    return codes;
  }

  clear(): void {
    this.#held.clear();
  }
}
