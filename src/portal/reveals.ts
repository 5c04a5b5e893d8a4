import { LRUCache } from 'lru-cache';
import { formatAppPassword } from '../credentials/app-password.ts';
import type { FullSession, SteppedUpSession } from '../identity/portal-session.ts';
import type { Secret } from '../secret.ts';
import type { MailApp } from './mail-app.ts';

/** Long enough for a redirect, short enough to be nothing that waits in memory. */
const heldMs = 2 * 60_000;

interface Held {
  readonly secret: Secret;
  readonly app: MailApp;
  readonly isFirst: boolean;
}

/** What one look at a fresh app password shows. */
export interface Reveal {
  /** Four groups of four letters. */
  readonly groups: readonly string[];
  readonly app: MailApp;
  /** It is the account's first one: the page still belongs to the enrollment. */
  readonly isFirst: boolean;
}

/**
 * Fresh app passwords between their creation and the one page that shows them (S-70). The ticket is the app password's
 * random id together with the very session that created it.
 */
export class Reveals {
  readonly #held: LRUCache<string, Held>;

  constructor(parts: { readonly now: () => number }) {
    this.#held = new LRUCache<string, Held>({
      max: 1_000,
      ttl: heldMs,
      ttlAutopurge: true,
      perf: { now: parts.now },
      dispose: ({ secret }) => secret.wipe(),
    });
  }

  /** Takes ownership of the secret. */
  hold(session: FullSession | SteppedUpSession, id: Buffer, held: Held): void {
    this.#held.set(ticket(session, id), held);
  }

  /** The secret, once; null afterwards, after two minutes, and for every other session. */
  take(session: FullSession | SteppedUpSession, id: Buffer): Reveal | null {
    const key = ticket(session, id);
    const held = this.#held.get(key);
    if (held === undefined) return null;
    const groups = formatAppPassword(held.secret).split(' ');
    this.#held.delete(key);
    return { groups, app: held.app, isFirst: held.isFirst };
  }

  /** Wipes everything held. */
  clear(): void {
    this.#held.clear();
  }
}

function ticket(session: FullSession | SteppedUpSession, id: Buffer): string {
  return `${session.idHash.toString('hex')}:${id.toString('hex')}`;
}
