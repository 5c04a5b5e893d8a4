import type { Config } from '../../config/schema.ts';
import type { Journal } from '../../credentials/journal.ts';
import type { KeyRing } from '../../credentials/key-file.ts';
import type { PasswordHash } from '../../credentials/password-hash.ts';
import type { SealBox } from '../../credentials/seal.ts';
import type { Logger } from '../../observability/logger.ts';
import type { Database } from '../../store/database.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { Account, SecondFactorRow } from '../../store/schema.ts';
import {
  deleteFactor,
  enableFactor,
  isStanding,
  listFactors,
  makeFactorPrimary,
  renameFactor,
} from '../../store/second-factors.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';
import { endWhatFactorsOpened, FactorChanges, mostOfKind } from './changes.ts';
import { type CodeSender, EmailCodes, maskedAddress } from './email-code.ts';
import { EnrollmentCodes } from './enrollment-code.ts';
import { EnrollmentGate } from './enrollment-gate.ts';
import { FactorGuesses } from './guesses.ts';
import { RecoveryCodes, type RecoveryState } from './recovery-code.ts';
import { AuthenticatorApps } from './totp.ts';
import { Passkeys } from './webauthn.ts';

/** How an account stands with its second factors. `disabled`: it has some, and none of them is in use. */
export type FactorState = 'none' | 'active' | 'disabled';

/** What a person can choose to confirm with, or to set up. */
export type Method = 'totp' | 'passkey' | 'email';

/** A factor as its owner sees it. */
export interface FactorView {
  readonly id: Buffer;
  readonly kind: Method;
  readonly name: string;
  /** The alternate address as it is shown; null for the other kinds. */
  readonly masked: string | null;
  readonly isDisabled: boolean;
  readonly isPrimary: boolean;
  readonly createdAt: number;
  readonly usedAt: number | null;
}

/** Ways to confirm, the primary one first. */
export interface ConfirmWays {
  readonly methods: readonly Method[];
  readonly hasRecovery: boolean;
  /** Passkeys that this confirmation does not take, because they verify nobody: after a main password they do. */
  readonly hasTouchOnlyKey: boolean;
}

export interface FactorParts {
  readonly database: Database;
  readonly guard: RowGuard;
  readonly keys: KeyRing;
  readonly sealBox: SealBox;
  readonly passwordHash: PasswordHash;
  readonly journal: Journal;
  readonly logger: Logger;
  readonly now: () => number;
  readonly config: Pick<Config, 'hostname' | 'portal' | 'domains' | 'secondFactors'>;
  /** null where the gateway sends no mail. */
  readonly codeSender: CodeSender | null;
}

/** Every second factor of every account, by kind and as a whole. */
export class Factors {
  readonly apps: AuthenticatorApps;
  readonly passkeys: Passkeys;
  readonly emailCodes: EmailCodes;
  readonly recoveryCodes: RecoveryCodes;
  readonly enrollmentCodes: EnrollmentCodes;
  readonly gate: EnrollmentGate;
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #changes: FactorChanges;

  constructor(given: FactorParts) {
    this.#database = given.database;
    this.#guard = given.guard;
    this.gate = new EnrollmentGate(given);
    this.#changes = new FactorChanges({ ...given, gate: this.gate });
    const parts = {
      ...given,
      changes: this.#changes,
      guesses: new FactorGuesses(given),
      issuer: given.config.hostname,
      sender: given.codeSender,
    };
    this.apps = new AuthenticatorApps(parts);
    this.passkeys = new Passkeys(parts);
    this.emailCodes = new EmailCodes(parts);
    this.recoveryCodes = new RecoveryCodes(parts);
    this.enrollmentCodes = new EnrollmentCodes(parts);
  }

  /** A disabled factor still counts as one: else 50 wrong guesses would open the first enrollment again. */
  async stateOf(account: Account): Promise<FactorState> {
    const factors = await this.#list(account);
    if (factors.length === 0) return 'none';
    return factors.some((factor) => factor.disabled_at === null) ? 'active' : 'disabled';
  }

  /** The primary one first; then the oldest. */
  async list(account: Account): Promise<readonly FactorView[]> {
    return primaryFirst(await this.#list(account)).flatMap((row) => {
      const { kind } = row;
      if (kind === 'recovery') return [];
      return {
        id: row.id,
        kind,
        name: row.name,
        masked: row.address === null ? null : maskedAddress(row.address),
        isDisabled: row.disabled_at !== null,
        isPrimary: row.is_primary === 1,
        createdAt: row.confirmed_at ?? row.created_at,
        usedAt: row.used_at,
      };
    });
  }

  /** null where there are no recovery codes. */
  async recoveryOf(account: Account): Promise<RecoveryState | null> {
    return await this.recoveryCodes.stateOf(await this.#list(account));
  }

  /** What the session can be confirmed with now. */
  async waysOf(session: FirstFactorSession | FullSession | SteppedUpSession): Promise<ConfirmWays> {
    const factors = primaryFirst(await this.#list(session.account));
    const methods = factors.flatMap((factor): Method[] => {
      if (factor.disabled_at !== null || factor.kind === 'recovery') return [];
      if (factor.kind === 'passkey' && !this.passkeys.isUsable(session, factor)) return [];
      if (factor.kind === 'email' && !this.emailCodes.isUsable(factor)) return [];
      return [factor.kind];
    });
    const set = factors.find(({ kind }) => kind === 'recovery');
    const recovery = await this.recoveryCodes.stateOf(factors);
    return {
      methods: [...new Set(methods)],
      hasRecovery: set?.disabled_at === null && (recovery?.left ?? 0) > 0,
      hasTouchOnlyKey: factors.some(({ kind, user_verified }) => kind === 'passkey' && user_verified === 0),
    };
  }

  /** What the session may set up, in the order offered. */
  async methodsToAdd(session: FirstFactorSession | SteppedUpSession): Promise<readonly Method[]> {
    const factors = await this.#list(session.account);
    const hasRoom = (kind: Method) =>
      factors.filter((factor) => factor.kind === kind).length < mostOfKind[kind];
    const methods: Method[] = [];
    if (hasRoom('totp')) methods.push('totp');
    if (hasRoom('passkey')) methods.push('passkey');
    // An address can be replaced, and stands beside what was set up before only (S-81).
    const isBeside = session.level === 'stepped-up' && factors.some(isStanding);
    if (isBeside && this.emailCodes.isOffered) methods.push('email');
    return methods;
  }

  /** By id and account (S-67). `last`: the account would stand on nothing, or on an address alone. */
  async remove(
    session: SteppedUpSession,
    peer: Peer,
    id: Buffer,
  ): Promise<'removed' | 'not-found' | 'last' | 'gone'> {
    return await this.#changes.change(session, peer, async (transaction, factors) => {
      const factor = factors.find((each) => each.id.equals(id) && each.kind !== 'recovery');
      if (factor === undefined) return { outcome: 'not-found', events: [] };
      const others = factors.filter((each) => each !== factor);
      // A disabled one is none to stand on, unless what goes is disabled as well.
      const isLeft = (each: SecondFactorRow) => isStanding(each) && each.disabled_at === null;
      const wasLeft = factors.some(isLeft);
      if (!others.some(isStanding) || (wasLeft && !others.some(isLeft)))
        return { outcome: 'last', events: [] };
      await deleteFactor(transaction, session.account.id, id);
      await endWhatFactorsOpened(transaction, session);
      const { kind, address } = factor;
      const events = [{ action: 'factor.removed', method: kind, name: factor.name || null }] as const;
      return {
        outcome: 'removed',
        events:
          kind === 'email'
            ? [...events, { action: 'alternate-address.changed', old: address, new: null } as const]
            : events,
      };
    });
  }

  /** Shown first from now on, and called so. */
  async arrange(
    session: FullSession | SteppedUpSession,
    peer: Peer,
    id: Buffer,
    change: { readonly name?: string; readonly isPrimary?: true },
  ): Promise<'changed' | 'not-found' | 'gone'> {
    return await this.#changes.change(session, peer, async (transaction, factors) => {
      const factor = factors.find((each) => each.id.equals(id) && each.kind !== 'recovery');
      if (factor === undefined) return { outcome: 'not-found', events: [] };
      if (change.name !== undefined) await renameFactor(transaction, id, change.name);
      if (change.isPrimary) await makeFactorPrimary(transaction, session.account.id, id);
      return { outcome: 'changed', events: [] };
    });
  }

  /** S-76: what too many wrong codes turned off, another factor turns on again; the session has shown one. */
  async enable(session: SteppedUpSession, peer: Peer, id: Buffer): Promise<'enabled' | 'not-found' | 'gone'> {
    return await this.#changes.change(session, peer, async (transaction, factors) => {
      const factor = factors.find((each) => each.id.equals(id) && each.disabled_at !== null);
      if (factor === undefined) return { outcome: 'not-found', events: [] };
      if (!(await enableFactor(transaction, this.#guard, factor)))
        return { outcome: 'not-found', events: [] };
      const event = { action: 'factor.enabled', method: factor.kind, name: factor.name || null } as const;
      return { outcome: 'enabled', events: [event] };
    });
  }

  async #list(account: Account): Promise<readonly SecondFactorRow[]> {
    return await listFactors(this.#database, this.#guard, account.id);
  }
}

/** Until when the portal creates no app password for the account, because a recovery code was used; null for no such hold. */
export function holdOf(account: Account, now: number): number | null {
  return account.hold_until !== null && account.hold_until > now ? account.hold_until : null;
}

function primaryFirst(factors: readonly SecondFactorRow[]): readonly SecondFactorRow[] {
  return factors.toSorted((one, other) => other.is_primary - one.is_primary);
}
