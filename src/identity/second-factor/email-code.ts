import { randomBytes, randomInt } from 'node:crypto';
import type { Config } from '../../config/schema.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import { lengthPrefixed, u64 } from '../../credentials/derive.ts';
import type { JournalEvent } from '../../credentials/journal.ts';
import type { KeyRing } from '../../credentials/key-file.ts';
import { isVersionedMac, versionedMac } from '../../credentials/versioned-mac.ts';
import type { Database } from '../../store/database.ts';
import {
  countEmailTry,
  deleteEmailCode,
  endEmailCode,
  findEmailCode,
  insertEmailCode,
} from '../../store/email-codes.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, EmailCodeRow, SecondFactorRow } from '../../store/schema.ts';
import { insertFactor, listFactors, markFactorUsed } from '../../store/second-factors.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';
import type { AddOutcome, FactorChanges } from './changes.ts';
import { type CodeCheck, digitsOf } from './code-check.ts';
import type { FactorGuesses } from './guesses.ts';

const label = 'sallyport/v1/email-code';
const codeDigits = 8;
/** S-81, requirements 4.3 */
const lifeMs = 10 * 60_000;
const triesOfCode = 5;
const sendLimit = { windowMs: 15 * 60_000, codes: 3 };

/**
 * Sends a code at once, or answers false: a code that waited in a queue would lie in clear in SQL and be old when it came, and
 * the person who waits for it can press the button again.
 */
export interface CodeSender {
  /** Through the backend of `account`. */
  sendCode(account: string, to: string, language: string, code: string, until: number): Promise<boolean>;
}

/** What becomes of the wish for a code. */
export type SendOutcome =
  | { readonly kind: 'sent' }
  | { readonly kind: 'throttled'; readonly until: number }
  | { readonly kind: 'invalid' | 'same' | 'served' | 'unavailable' | 'disabled' };

type Session = FirstFactorSession | FullSession | SteppedUpSession;

/** Codes to an alternate address: off by default, and never what an account stands on (S-81). */
export class EmailCodes {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #keys: KeyRing;
  readonly #changes: FactorChanges;
  readonly #guesses: FactorGuesses;
  readonly #sender: CodeSender | null;
  readonly #served: ReadonlySet<string>;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly keys: KeyRing;
    readonly changes: FactorChanges;
    readonly guesses: FactorGuesses;
    /** null where the gateway sends no mail. */
    readonly sender: CodeSender | null;
    readonly config: Pick<Config, 'domains' | 'secondFactors'>;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#keys = parts.keys;
    this.#changes = parts.changes;
    this.#guesses = parts.guesses;
    this.#sender = parts.config.secondFactors.emailCode ? parts.sender : null;
    this.#now = parts.now;
    const { domains } = parts.config;
    const aliased = Object.values(domains).flatMap(({ aliases }) => Object.keys(aliases));
    this.#served = new Set([...Object.keys(domains), ...aliased.map(domainOf)]);
  }

  get isOffered(): boolean {
    return this.#sender !== null;
  }

  isUsable({ kind, address, disabled_at }: SecondFactorRow): boolean {
    if (!this.isOffered || kind !== 'email' || address === null || disabled_at !== null) return false;
    // The domain may have come under the gateway since the address was confirmed.
    return !this.#served.has(domainOf(address));
  }

  /** Sends a code to an address that is to become the alternate one. */
  async begin(session: SteppedUpSession, typed: string, language: string): Promise<SendOutcome> {
    const name = canonicalName(typed.trim(), null);
    if (name === null || !name.domain.includes('.')) return { kind: 'invalid' };
    if (name.address === session.account.address) return { kind: 'same' };
    // It would be read by whoever reads the mailbox.
    if (this.#served.has(name.domain)) return { kind: 'served' };
    return await this.#send(session, name.address, language);
  }

  /** Sends a code to the account's alternate address. */
  async beginCheck(session: Session, language: string): Promise<SendOutcome> {
    const factor = await this.#factorOf(session.account);
    if (factor?.address == null) return { kind: 'disabled' };
    return await this.#send(session, factor.address, language);
  }

  /** Where this session's code went and until when it is good; null for none. */
  async pending(session: Session): Promise<{ readonly masked: string; readonly until: number } | null> {
    const row = await this.#open(session);
    return row === null ? null : { masked: maskedAddress(row.address), until: row.created_at + lifeMs };
  }

  /** Makes the address the alternate one, in place of another. */
  async confirm(
    session: SteppedUpSession,
    peer: Peer,
    code: string,
  ): Promise<AddOutcome | 'wrong' | 'malformed' | 'expired'> {
    const digits = digitsOf(code, codeDigits);
    if (digits === null) return 'malformed';
    const found = await this.#judge(session, digits);
    if (found === 'wrong' || found === 'expired') return found;
    const now = this.#now();
    const old = await this.#confirmedOf(session.account);
    const events: JournalEvent[] = [
      { action: 'alternate-address.changed', old: old?.address ?? null, new: found.address },
    ];
    if (old === null) events.unshift({ action: 'factor.added', method: 'email', name: null });
    return await this.#changes.add(
      session,
      peer,
      'email',
      async (transaction) => {
        await insertFactor(transaction, this.#guard, {
          id: randomBytes(16),
          account_id: session.account.id,
          kind: 'email',
          address: found.address,
          confirmed_at: now,
          created_at: now,
        });
        return true;
      },
      events,
      old,
    );
  }

  /** Checks a code of this session against the alternate address, and keeps the guess limits over all sessions. */
  async check(session: Session, code: string): Promise<CodeCheck> {
    const digits = digitsOf(code, codeDigits);
    if (digits === null) return { kind: 'malformed' };
    const factor = await this.#factorOf(session.account);
    if (factor === null) return { kind: 'disabled' };
    const open = await this.#open(session);
    if (open === null || open.address !== factor.address) return { kind: 'expired' };
    const admission = await this.#guesses.admit(factor);
    if (admission.kind !== 'counted') return admission;
    const found = await this.#judge(session, digits);
    if (found === 'expired') {
      await this.#guesses.takeBack(factor, admission.guess);
      return { kind: 'expired' };
    }
    if (found === 'wrong' || found.address !== factor.address) {
      const isDisabled = await this.#guesses.enterWrong(session.account, factor);
      return { kind: isDisabled ? 'disabled' : 'wrong' };
    }
    await this.#guesses.takeBack(factor, admission.guess);
    return { kind: (await markFactorUsed(this.#database, factor.id, this.#now())) ? 'right' : 'disabled' };
  }

  async #send(session: Session, address: string, language: string): Promise<SendOutcome> {
    if (this.#sender === null) return { kind: 'disabled' };
    const now = this.#now();
    const code = String(randomInt(10 ** codeDigits)).padStart(codeDigits, '0');
    const place = {
      id: randomBytes(16),
      account_id: session.account.id,
      session_hash: session.idHash,
      address,
      created_at: now,
    };
    const code_mac = versionedMac(this.#keys, label, messageOf(place, code));
    const kept = await insertEmailCode(this.#database, { ...place, code_mac }, sendLimit);
    if (kept.kind === 'throttled') return kept;
    if (await this.#sender.sendCode(session.account.address, address, language, code, now + lifeMs))
      return { kind: 'sent' };
    await deleteEmailCode(this.#database, place.id);
    return { kind: 'unavailable' };
  }

  /** Spends the session's code where it is the one: of many posts of one code, one gets it. */
  async #judge(session: Session, digits: string): Promise<EmailCodeRow | 'wrong' | 'expired'> {
    const open = await this.#open(session);
    const row = open === null ? null : await countEmailTry(this.#database, open.id, triesOfCode);
    if (row === null) return 'expired';
    if (!isVersionedMac(this.#keys, label, messageOf(row, digits), row.code_mac)) return 'wrong';
    return (await endEmailCode(this.#database, row.id, this.#now())) ? row : 'expired';
  }

  async #open(session: Session): Promise<EmailCodeRow | null> {
    const place = { account_id: session.account.id, session_hash: session.idHash };
    return await findEmailCode(this.#database, place, this.#now(), lifeMs);
  }

  async #factorOf(account: Account): Promise<SecondFactorRow | null> {
    const factor = await this.#confirmedOf(account);
    return factor !== null && this.isUsable(factor) ? factor : null;
  }

  async #confirmedOf(account: Account): Promise<SecondFactorRow | null> {
    const factors = await listFactors(this.#database, this.#guard, account.id);
    return factors.find(({ kind }) => kind === 'email') ?? null;
  }
}

/** First letter and domain: `a…@example.net`. */
export function maskedAddress(address: string): string {
  const at = address.lastIndexOf('@');
  const [first = ''] = address;
  return `${first}…${address.slice(at)}`;
}

function messageOf(
  row: Pick<EmailCodeRow, 'id' | 'account_id' | 'session_hash' | 'address' | 'created_at'>,
  code: string,
) {
  return [
    lengthPrefixed(row.id),
    lengthPrefixed(row.account_id),
    lengthPrefixed(row.session_hash),
    lengthPrefixed(row.address),
    u64(BigInt(row.created_at)),
    lengthPrefixed(code),
  ];
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}
