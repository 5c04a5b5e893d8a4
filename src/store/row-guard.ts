import type {
  Account,
  EnrollmentCodeRow,
  IdentityLinkRow,
  NoticeDeliveryRow,
  NoticeRow,
  PortalSessionRow,
  ProfileLinkRow,
  RecoveryCodeRow,
  SecondFactorRow,
  WebauthnChallengeRow,
} from './schema.ts';

// S-34. Every function of this folder that writes one of these rows takes its MAC from a RowGuard, and every one that
// hands such a row out has asked it first: who can write SQL authorizes nothing. Keys and MACs are the implementer's.

/** What authorizes in a row, by table: all of it is under the row's MAC. */
export interface GuardedRows {
  readonly account: Pick<Account, 'id' | 'address' | 'state' | 'mfa' | 'enrolled_at' | 'hold_until'>;
  /** Not `last_step` and the counts: one statement moves those without knowing the rest (S-75, S-76, S-79). */
  readonly second_factor: Pick<
    SecondFactorRow,
    | 'id'
    | 'account_id'
    | 'kind'
    | 'sealed'
    | 'address'
    | 'credential_id'
    | 'public_key'
    | 'rp_id'
    | 'user_verified'
    | 'backup_eligible'
    | 'confirmed_at'
    | 'disabled_at'
  >;
  readonly portal_session: Pick<
    PortalSessionRow,
    'id_hash' | 'account_id' | 'level' | 'csrf' | 'factor_at' | 'assurance' | 'role' | 'created_at' | 'opened'
  >;
  /** Not what is noted of its use: one statement uses it up (S-71). */
  readonly profile_link: Pick<
    ProfileLinkRow,
    'id' | 'token_hash' | 'account_id' | 'device' | 'created_at' | 'not_after'
  >;
  readonly recovery_code: Omit<RecoveryCodeRow, 'row_mac'>;
  readonly enrollment_code: Pick<EnrollmentCodeRow, 'account_id' | 'pepper_version' | 'phc' | 'not_after'>;
  readonly webauthn_challenge: Omit<WebauthnChallengeRow, 'row_mac'>;
  /** Else who can write SQL has the gateway mail what they like to whom they like. */
  readonly notice: Pick<NoticeRow, 'id' | 'account_id' | 'topic' | 'kind' | 'facts' | 'at'>;
  readonly notice_delivery: Pick<NoticeDeliveryRow, 'id' | 'notice_id' | 'channel' | 'recipient'>;
  readonly identity_link: Pick<IdentityLinkRow, 'id' | 'account_id' | 'issuer' | 'subject'>;
}
export type GuardedTable = keyof GuardedRows;

/** A row as it was read. */
export type Marked<T extends GuardedTable> = GuardedRows[T] & { readonly row_mac: Buffer };

/** Makes and checks the MACs of rows that authorize. */
export interface RowGuard {
  mac<T extends GuardedTable>(table: T, row: GuardedRows[T]): Buffer;
  /** Says nothing to anybody. */
  isGenuine<T extends GuardedTable>(table: T, row: Marked<T>): boolean;
  /** Whether it is under a key that is on its way out. */
  isOutdated(mac: Buffer): boolean;
  /** Tells the operator that a row of the account was refused. */
  alarm(refusal: ForgedRowError): void;
}

/** A row that the gateway did not write so, or that somebody took away. What depends on it is unavailable, never wrong. */
export class ForgedRowError extends Error {
  override readonly name = 'ForgedRowError';
  readonly table: GuardedTable;
  readonly accountId: Buffer;

  constructor(table: GuardedTable, accountId: Buffer, problem: 'altered' | 'missing') {
    super(
      problem === 'altered'
        ? `a row of ${table} is not as the gateway wrote it`
        : `a row of ${table} is gone that the gateway did not delete`,
    );
    this.table = table;
    this.accountId = accountId;
  }
}

/** The row, if the gateway wrote it; else raises the alarm and throws {@link ForgedRowError}. */
export function genuine<T extends GuardedTable, R extends Marked<T>>(
  guard: RowGuard,
  table: T,
  row: R,
  accountId: Buffer,
): R {
  if (guard.isGenuine(table, row)) return row;
  throw refused(guard, new ForgedRowError(table, accountId, 'altered'));
}

/** Raises the alarm and answers what to throw. */
export function refused(guard: RowGuard, refusal: ForgedRowError): ForgedRowError {
  guard.alarm(refusal);
  return refusal;
}
