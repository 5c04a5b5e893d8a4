import type { Guarded } from './schema.ts';

// The tables of second factors and of the codes that lead to one; see schema.ts.

export interface SecondFactorTable {
  readonly id: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  /** `recovery` is a set of recovery codes; an account has one at most, and one address. */
  readonly kind: Guarded<'totp' | 'passkey' | 'email' | 'recovery'>;
  /** TOTP: sealed seed, base64url (credentials/seal.ts); else empty. */
  readonly sealed: Guarded<string>;
  /** E-mail: the confirmed alternate address, canonical; else null. */
  readonly address: Guarded<string | null>;
  /** Passkey, as are the seven after it; null for the other kinds. Unique over all accounts. */
  readonly credential_id: Guarded<Buffer | null>;
  /** COSE key. */
  readonly public_key: Guarded<Buffer | null>;
  /** The host it was made for; it works for no other. */
  readonly rp_id: Guarded<string | null>;
  /** Whether the authenticator verified its user when it was enrolled: 0 never satisfies a rule that asks for it. */
  readonly user_verified: Guarded<0 | 1 | null>;
  /** Whether it may be copied to other devices, whose counters do not go together (S-79). */
  readonly backup_eligible: Guarded<0 | 1 | null>;
  backed_up: 0 | 1 | null;
  sign_count: number | null;
  /** What the browser says, joined by commas. */
  readonly transports: string | null;
  /** What the person calls it; empty for nothing. */
  name: string;
  /** Shown first; at most one of an account. */
  is_primary: 0 | 1;
  /** null while enrollment is unfinished; such a row dies 10 minutes after created_at (S-77). */
  readonly confirmed_at: Guarded<number | null>;
  /** Last TOTP time step spent; -1 before the first (S-75). */
  last_step: number;
  /** Since the last success; 50 disable the factor (S-76). */
  consecutive_failures: number;
  readonly disabled_at: Guarded<number | null>;
  row_mac: Buffer;
  readonly created_at: number;
  used_at: number | null;
  /** When the person was last told of wrong codes (S-83). */
  told_at: number | null;
  /** Recovery: when the person said that the codes are kept somewhere; null while she is to be reminded. */
  saved_at: number | null;
}

export interface FactorFailureTable {
  readonly factor_id: Buffer;
  readonly at: number;
}

/** Spent ones are deleted. */
export interface RecoveryCodeTable {
  readonly id: Guarded<Buffer>;
  /** The set it belongs to: a row of second_factor. */
  readonly factor_id: Guarded<Buffer>;
  readonly pepper_version: Guarded<number>;
  readonly selector: Guarded<number>;
  readonly phc: Guarded<string>;
  row_mac: Buffer;
}

/** What opens the first enrollment under `enrollment: code`; one of an account. */
export interface EnrollmentCodeTable {
  readonly account_id: Guarded<Buffer>;
  readonly pepper_version: Guarded<number>;
  readonly phc: Guarded<string>;
  readonly not_after: Guarded<number>;
  row_mac: Buffer;
  tries: number;
  /** A quarter of an hour in which tries are counted together. */
  spell_began_at: number;
  spell_tries: number;
}

/** A question to an authenticator, for 5 minutes and one answer (S-78). */
export interface WebauthnChallengeTable {
  /** 32 random bytes. */
  readonly challenge: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly session_hash: Guarded<Buffer>;
  readonly ceremony: Guarded<'create' | 'get'>;
  readonly user_verification: Guarded<'required' | 'preferred'>;
  readonly created_at: Guarded<number>;
  row_mac: Buffer;
}

/** A code on its way to an alternate address. Kept a while after its end, so that sendings can be counted. */
export interface EmailCodeTable {
  readonly id: Buffer;
  readonly account_id: Buffer;
  readonly session_hash: Buffer;
  readonly address: string;
  /** Over the code and all of the above. */
  readonly code_mac: Buffer;
  readonly created_at: number;
  tries: number;
  /** Used, or another one was sent; null while it is good. */
  ended_at: number | null;
}
