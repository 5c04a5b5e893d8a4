import type { ColumnType, Generated, Insertable, Selectable } from 'kysely';

// Ids are 16 random bytes; times are UTC milliseconds as integers, because the two engines print dates differently.

/** Under the row's MAC: an update that sets it does not compile, but where the new MAC is made with it (row-guard.ts). */
type Guarded<T> = ColumnType<T, T, never>;

export interface AccountTable {
  readonly id: Guarded<Buffer>;
  /** Canonical: ASCII domain, ASCII letters folded, NFC. The only form used upstream and in logs (S-04). */
  readonly address: Guarded<string>;
  readonly state: Guarded<'active' | 'disabled'>;
  /** null follows the domain. */
  readonly mfa: Guarded<'required' | 'optional' | 'off' | null>;
  /** When a first second factor was confirmed; a reset clears it. Deleting the factor must not open enrollment again. */
  readonly enrolled_at: Guarded<number | null>;
  row_mac: Buffer;
  readonly created_at: number;
}

export interface AppPasswordTable {
  readonly id: Buffer;
  readonly account_id: Buffer;
  label: string;
  /** Bit set, see credentials/scope.ts. */
  scopes: number;
  /** Canonical CIDRs joined by commas; empty allows every network. */
  networks: string;
  not_after: number | null;
  state: 'active' | 'revoked';
  pepper_version: number;
  selector: number;
  phc: string;
  row_mac: Buffer;
  readonly created_at: number;
  readonly created_by: string;
  revoked_at: number | null;
  last_used_at: number | null;
  last_used_address: string | null;
  last_used_protocol: string | null;
}

export interface RevocationTable {
  readonly seq: Generated<number>;
  /** null: every credential of the account. */
  readonly credential_id: Buffer | null;
  readonly account_id: Buffer;
  readonly at: number;
  readonly reason: string;
}

export interface CacheSaltTable {
  readonly id: Generated<number>;
  readonly salt: Buffer;
  readonly created_at: number;
}

export interface SecondFactorTable {
  readonly id: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly kind: Guarded<'totp'>;
  /** Sealed seed, base64url (credentials/seal.ts). */
  readonly sealed: Guarded<string>;
  /** null while enrollment is unfinished; such a row dies 10 minutes after created_at (S-77). */
  readonly confirmed_at: Guarded<number | null>;
  /** Last TOTP time step spent; -1 before the first (S-75). */
  last_step: number;
  /** Since the last success; 50 disable the factor (S-76). */
  consecutive_failures: number;
  readonly disabled_at: Guarded<number | null>;
  row_mac: Buffer;
  readonly created_at: number;
}

export interface FactorFailureTable {
  readonly factor_id: Buffer;
  readonly at: number;
}

export interface PortalSessionTable {
  /** SHA-256 of the cookie's 32 bytes: a database dump cannot be replayed (S-59). */
  readonly id_hash: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly level: Guarded<'first-factor' | 'full'>;
  /** base64url of 32 random bytes, in every form of the session (S-61). */
  readonly csrf: Guarded<string>;
  /** When a second factor was last shown in this session; null on first-factor level (S-68). */
  readonly factor_at: Guarded<number | null>;
  readonly created_at: Guarded<number>;
  row_mac: Buffer;
  seen_at: number;
}

export interface Schema {
  account: AccountTable;
  app_password: AppPasswordTable;
  revocation: RevocationTable;
  cache_salt: CacheSaltTable;
  second_factor: SecondFactorTable;
  factor_failure: FactorFailureTable;
  portal_session: PortalSessionTable;
}

export type Account = Selectable<AccountTable>;
export type AppPasswordRow = Selectable<AppPasswordTable>;
export type NewAppPasswordRow = Insertable<AppPasswordTable>;
export type RevocationRow = Selectable<RevocationTable>;
export type SecondFactorRow = Selectable<SecondFactorTable>;
export type PortalSessionRow = Selectable<PortalSessionTable>;
