import type { ColumnType, Generated, Insertable, Selectable } from 'kysely';
import type { AuditChainTable, AuditEntryTable, NoticeDeliveryTable, NoticeTable } from './journal-schema.ts';
import type {
  EmailCodeTable,
  EnrollmentCodeTable,
  FactorFailureTable,
  RecoveryCodeTable,
  SecondFactorTable,
  WebauthnChallengeTable,
} from './second-factor-schema.ts';

export type { AuditChainRow, AuditEntryRow, NoticeDeliveryRow, NoticeRow } from './journal-schema.ts';

// Ids are 16 random bytes; times are UTC milliseconds as integers, because the two engines print dates differently.

/** Under the row's MAC: an update that sets it does not compile, but where the new MAC is made with it (row-guard.ts). */
export type Guarded<T> = ColumnType<T, T, never>;

export interface AccountTable {
  readonly id: Guarded<Buffer>;
  /** Canonical: ASCII domain, ASCII letters folded, NFC. The only form used upstream and in logs (S-04). */
  readonly address: Guarded<string>;
  readonly state: Guarded<'active' | 'disabled'>;
  /** null follows the domain. */
  readonly mfa: Guarded<'required' | 'optional' | 'off' | null>;
  /** When a first second factor was confirmed; a reset clears it. Deleting the factor must not open enrollment again. */
  readonly enrolled_at: Guarded<number | null>;
  /** Until then the portal creates no app password, because a recovery code was used (S-80). */
  readonly hold_until: Guarded<number | null>;
  /** The WebAuthn user handle: 32 random bytes, made with the first passkey. */
  user_handle: Buffer | null;
  row_mac: Buffer;
  readonly created_at: number;
  /** Of notices, as the person last chose it: a tag such as `lv`. null: never chosen. */
  language: string | null;
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
  /** Ends then unless it was used before (S-84). */
  first_use_by: number | null;
  /** Ends when it was not used for so long. */
  max_idle_ms: number | null;
  state: 'active' | 'paused' | 'revoked';
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

export interface PortalSessionTable {
  /** SHA-256 of the cookie's 32 bytes: a database dump cannot be replayed (S-59). */
  readonly id_hash: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly level: Guarded<'first-factor' | 'full'>;
  /** base64url of 32 random bytes, in every form of the session (S-61). */
  readonly csrf: Guarded<string>;
  /** When a second factor was last shown in this session; null on first-factor level, or not known (S-68). */
  readonly factor_at: Guarded<number | null>;
  /** Who vouched for the person at sign-in: the backend by her main password, a provider, or one that asked for two factors. */
  readonly assurance: Guarded<'password' | 'idp' | 'idp-mfa'>;
  /** By a claim of the provider; null for whoever has no more than her own account. */
  readonly role: Guarded<'administrator' | null>;
  readonly created_at: Guarded<number>;
  /** What lets a first-factor session enroll: the first enrollment's gate was passed, or a recovery code was used. */
  readonly opened: Guarded<'gate' | 'recovery' | null>;
  row_mac: Buffer;
  seen_at: number;
}

/** A sign-in on its way to an identity provider and back, for 10 minutes and one use. */
export interface OidcTransactionTable {
  /** SHA-256 of the cookie's 32 bytes. */
  readonly id_hash: Buffer;
  /** null: whoever comes back. */
  readonly account_id: Buffer | null;
  /** All that decides: who was asked for what, and what has to come back (credentials/seal.ts). */
  readonly sealed: string;
  readonly created_at: number;
}

export interface IdentityLinkTable {
  readonly id: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly issuer: Guarded<string>;
  readonly subject: Guarded<string>;
  row_mac: Buffer;
  readonly created_at: number;
  readonly created_by: 'operator' | 'email-claim';
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

/** Sets up one device, once: who has the token gets an app password. */
export interface ProfileLinkTable {
  readonly id: Guarded<Buffer>;
  /** SHA-256 of the token's 32 bytes. */
  readonly token_hash: Guarded<Buffer>;
  readonly account_id: Guarded<Buffer>;
  readonly device: Guarded<string>;
  readonly created_at: Guarded<number>;
  readonly not_after: Guarded<number>;
  row_mac: Buffer;
  used_at: number | null;
  used_address: string | null;
  /** What kind of device the browser called itself; null where it says nothing known. */
  used_by: string | null;
  /** The app password that came of it; null where none did. */
  credential_id: Buffer | null;
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
  profile_link: ProfileLinkTable;
  recovery_code: RecoveryCodeTable;
  enrollment_code: EnrollmentCodeTable;
  webauthn_challenge: WebauthnChallengeTable;
  email_code: EmailCodeTable;
  oidc_transaction: OidcTransactionTable;
  identity_link: IdentityLinkTable;
  login_event: LoginEventTable;
  stale_client: StaleClientTable;
  audit_chain: AuditChainTable;
  audit_entry: AuditEntryTable;
  notice: NoticeTable;
  notice_delivery: NoticeDeliveryTable;
}

export type Account = Selectable<AccountTable>;
export type AppPasswordRow = Selectable<AppPasswordTable>;
export type NewAppPasswordRow = Insertable<AppPasswordTable>;
export type RevocationRow = Selectable<RevocationTable>;
export type SecondFactorRow = Selectable<SecondFactorTable>;
export type PortalSessionRow = Selectable<PortalSessionTable>;
export type ProfileLinkRow = Selectable<ProfileLinkTable>;
export type RecoveryCodeRow = Selectable<RecoveryCodeTable>;
export type EnrollmentCodeRow = Selectable<EnrollmentCodeTable>;
export type WebauthnChallengeRow = Selectable<WebauthnChallengeTable>;
export type EmailCodeRow = Selectable<EmailCodeTable>;
export type OidcTransactionRow = Selectable<OidcTransactionTable>;
export type IdentityLinkRow = Selectable<IdentityLinkTable>;
export type LoginEventRow = Selectable<LoginEventTable>;
export type NewLoginEventRow = Insertable<LoginEventTable>;
export type StaleClientRow = Selectable<StaleClientTable>;
export type NewStaleClientRow = Insertable<StaleClientTable>;
