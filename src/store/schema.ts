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
  /** What it may send, see credentials/fence.ts; empty for no limit. */
  fence: string;
  row_mac: Buffer;
  readonly created_at: number;
  readonly created_by: string;
  revoked_at: number | null;
  last_used_at: number | null;
  last_used_address: string | null;
  last_used_protocol: string | null;
  /** What the client called itself, for eyes only. */
  last_used_client: string | null;
}

export interface RevocationTable {
  /** From the counter, never from the engine: in the order of commits (revocations.ts). */
  readonly seq: number;
  /** null: every credential of the account. */
  readonly credential_id: Buffer | null;
  readonly account_id: Buffer;
  readonly at: number;
  readonly reason: string;
}

export interface RevocationCounterTable {
  readonly id: number;
  seq: number;
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

/** Logins or refusals of a day that differ in nothing but the time. */
export interface LoginEventTable {
  /** A hash of what makes the row its own, so that every node adds to the same one. */
  readonly id: Buffer;
  /** null: no account of ours has the name. */
  readonly account_id: Buffer | null;
  /** Canonical, only where it is no account's; null where it could be anything, or stands for many. */
  readonly name: string | null;
  readonly first_at: number;
  last_at: number;
  times: number;
  readonly protocol: string;
  /** null: logged in. */
  readonly reason: string | null;
  readonly detail: string | null;
  /** null: many. */
  readonly address: string | null;
  readonly client: string | null;
  mechanism: string | null;
  readonly credential_id: Buffer | null;
}

/** Where an ended app password is still sent from. */
export interface StaleClientTable {
  readonly credential_id: Buffer;
  readonly first_at: number;
  last_at: number;
  times: number;
  protocol: string;
  address: string;
  client: string | null;
}

export interface Schema {
  account: AccountTable;
  app_password: AppPasswordTable;
  revocation: RevocationTable;
  revocation_counter: RevocationCounterTable;
  cache_salt: CacheSaltTable;
  second_factor: SecondFactorTable;
  factor_failure: FactorFailureTable;
  portal_session: PortalSessionTable;
  login_event: LoginEventTable;
  stale_client: StaleClientTable;
}

export type Account = Selectable<AccountTable>;
export type AppPasswordRow = Selectable<AppPasswordTable>;
export type NewAppPasswordRow = Insertable<AppPasswordTable>;
export type RevocationRow = Selectable<RevocationTable>;
export type SecondFactorRow = Selectable<SecondFactorTable>;
export type PortalSessionRow = Selectable<PortalSessionTable>;
export type LoginEventRow = Selectable<LoginEventTable>;
export type NewLoginEventRow = Insertable<LoginEventTable>;
export type StaleClientRow = Selectable<StaleClientTable>;
export type NewStaleClientRow = Insertable<StaleClientTable>;
