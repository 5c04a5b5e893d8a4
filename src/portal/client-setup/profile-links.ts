import { createHash, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { FullSession, SteppedUpSession } from '../../identity/portal-session.ts';
import { findAccountById } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import {
  deleteOpenProfileLink,
  findOpenProfileLink,
  findProfileLink,
  replaceProfileLink,
  setProfileLinkCredential,
  useProfileLink,
} from '../../store/profile-links.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, ProfileLinkRow } from '../../store/schema.ts';
import type { Language } from '../language.ts';
import type { IssuedProfile, ProfileIssuer } from './profile-issuer.ts';

/** S-71 */
const lifeMs = 10 * 60_000;
/** Long enough to tell who used it. */
const keptMs = 24 * 3_600_000;
/** Between the form that makes a link and the page that shows it. */
const heldMs = 2 * 60_000;

/** Who redeems a link: nothing is known of them but this. */
export interface Redeemer {
  readonly address: string;
  /** Kind of device, for the page that made the link. */
  readonly by: string | null;
  readonly language: Language;
}

/**
 * One-time links that set up another device (S-71). The token is in the fragment of the link, so in no log and no
 * referrer; looking at a link changes nothing, and one POST of the token makes the app password.
 */
export class ProfileLinks {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #issuer: ProfileIssuer;
  readonly #now: () => number;
  /** Fresh tokens until the one page that shows them (S-70). */
  readonly #held: LRUCache<string, string>;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly issuer: ProfileIssuer;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#issuer = parts.issuer;
    this.#now = parts.now;
    this.#held = new LRUCache({ max: 1_000, ttl: heldMs, ttlAutopurge: true, perf: { now: parts.now } });
  }

  /** Replaces the account's last one; answers its id. */
  async create(session: SteppedUpSession, device: string): Promise<Buffer> {
    const token = randomBytes(32).toString('base64url');
    const now = this.#now();
    const id = randomBytes(16);
    await replaceProfileLink(
      this.#database,
      this.#guard,
      {
        id,
        token_hash: hashOf(token),
        account_id: session.account.id,
        device,
        created_at: now,
        not_after: now + lifeMs,
      },
      now - keptMs,
    );
    this.#held.set(ticket(session, id), token);
    return id;
  }

  /** The token, once, to the session that made the link; null afterwards. */
  take(session: FullSession | SteppedUpSession, id: Buffer): string | null {
    const key = ticket(session, id);
    const token = this.#held.get(key) ?? null;
    this.#held.delete(key);
    return token;
  }

  async find(account: Account, id: Buffer): Promise<ProfileLinkRow | null> {
    return await findProfileLink(this.#database, this.#guard, account.id, id);
  }

  /** Voids the link, where it was not used yet. */
  async cancel(account: Account, id: Buffer): Promise<void> {
    await deleteOpenProfileLink(this.#database, account.id, id);
  }

  /** Whom a token sets up; null for one that is used, over, unknown or no token. Changes nothing. */
  async look(token: string): Promise<{ readonly account: Account; readonly device: string } | null> {
    if (!isToken(token)) return null;
    const row = await findOpenProfileLink(this.#database, this.#guard, hashOf(token), this.#now());
    if (row === null) return null;
    const account = await findAccountById(this.#database, this.#guard, row.account_id);
    return account === null || account.state !== 'active' ? null : { account, device: row.device };
  }

  /**
   * Uses the link up and makes the profile. Whatever fails after that leaves a link that is used and an account with no app
   * password more, never a second one.
   */
  async redeem(
    token: string,
    { address, by, language }: Redeemer,
  ): Promise<IssuedProfile | { readonly kind: 'over' }> {
    if (!isToken(token)) return { kind: 'over' };
    const use = { at: this.#now(), address, by };
    const row = await useProfileLink(this.#database, this.#guard, hashOf(token), use);
    if (row === null) return { kind: 'over' };
    const account = await findAccountById(this.#database, this.#guard, row.account_id);
    if (account === null) return { kind: 'over' };
    const order = {
      actor: { kind: 'person', address },
      // What ends unused links takes one that is just being used as well.
      isStill: async (transaction: Database) =>
        (await findProfileLink(transaction, this.#guard, account.id, row.id)) !== null,
    } as const;
    const issued = await this.#issuer.issue(account, row.device, order, language);
    if (issued.kind === 'issued') await setProfileLinkCredential(this.#database, row.id, issued.credentialId);
    return issued;
  }

  /** Forgets every token held. */
  clear(): void {
    this.#held.clear();
  }
}

function isToken(text: string): boolean {
  return /^[A-Za-z0-9_-]{43}$/.test(text);
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function ticket(session: FullSession | SteppedUpSession, id: Buffer): string {
  return `${session.idHash.toString('hex')}:${id.toString('hex')}`;
}
