import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { ForgedRowError, GuardedRows, GuardedTable, Marked, RowGuard } from '../store/row-guard.ts';
import { expiryToU64, lengthPrefixed, u8, u16, u32, u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import { isMacOutdated, isVersionedMac, versionedMac } from './versioned-mac.ts';

/** How the fields of a table become one message. A field that this program would not write throws. */
type Encoders = {
  readonly [T in GuardedTable]: {
    readonly label: string;
    readonly message: (row: GuardedRows[T]) => readonly Buffer[];
  };
};

const encoders: Encoders = {
  account: {
    label: 'sallyport/v1/account-row',
    message: (row) => [
      bytes(row.id),
      text(row.address),
      choice(['active', 'disabled'], row.state),
      choice([null, 'required', 'optional', 'off'], row.mfa),
      moment(row.enrolled_at),
      // Only where there is one, as with each field that came later: rows from before keep their MACs.
      ...(row.hold_until === null ? [] : [moment(row.hold_until)]),
    ],
  },
  second_factor: {
    label: 'sallyport/v1/factor-row',
    message: (row) => [
      bytes(row.id),
      bytes(row.account_id),
      choice(['totp', 'passkey', 'email', 'recovery'], row.kind),
      text(row.sealed),
      moment(row.confirmed_at),
      moment(row.disabled_at),
      ...factorFields(row),
    ],
  },
  portal_session: {
    label: 'sallyport/v1/portal-session-row',
    message: (row) => [
      bytes(row.id_hash),
      bytes(row.account_id),
      choice(['first-factor', 'full'], row.level),
      text(row.csrf),
      moment(row.factor_at),
      moment(row.created_at),
      ...(row.assurance === 'password' && row.opened === null
        ? []
        : [
            choice(['password', 'idp', 'idp-mfa'], row.assurance),
            choice([null, 'gate', 'recovery'], row.opened),
          ]),
      ...(row.role === null ? [] : [choice(['administrator'], row.role)]),
    ],
  },
  profile_link: {
    label: 'sallyport/v1/profile-link-row',
    message: (row) => [
      bytes(row.id),
      bytes(row.token_hash),
      bytes(row.account_id),
      text(row.device),
      moment(row.created_at),
      moment(row.not_after),
    ],
  },
  recovery_code: {
    label: 'sallyport/v1/recovery-code-row',
    message: (row) => [
      bytes(row.id),
      bytes(row.factor_id),
      u32(row.pepper_version),
      u16(row.selector),
      text(row.phc),
    ],
  },
  enrollment_code: {
    label: 'sallyport/v1/enrollment-code-row',
    message: (row) => [bytes(row.account_id), u32(row.pepper_version), text(row.phc), moment(row.not_after)],
  },
  webauthn_challenge: {
    label: 'sallyport/v1/webauthn-challenge-row',
    message: (row) => [
      bytes(row.challenge),
      bytes(row.account_id),
      bytes(row.session_hash),
      choice(['create', 'get'], row.ceremony),
      choice(['required', 'preferred'], row.user_verification),
      moment(row.created_at),
    ],
  },
  notice: {
    label: 'sallyport/v1/notice-row',
    message: (row) => [
      bytes(row.id),
      bytes(row.account_id),
      text(row.topic),
      text(row.kind),
      text(row.facts),
      moment(row.at),
    ],
  },
  notice_delivery: {
    label: 'sallyport/v1/notice-delivery-row',
    message: (row) => [bytes(row.id), bytes(row.notice_id), text(row.channel), text(row.recipient ?? '')],
  },
  identity_link: {
    label: 'sallyport/v1/identity-link-row',
    message: (row) => [bytes(row.id), bytes(row.account_id), text(row.issuer), text(row.subject)],
  },
};

/** Marks and checks rows with the key file's mac family: who can write SQL but lacks the key file authorizes nothing (S-34). */
export class KeyedRowGuard implements RowGuard {
  readonly #keys: KeyRing;
  readonly #metrics: Metrics;
  readonly #logger: Logger | null;

  constructor(parts: {
    readonly keys: KeyRing;
    readonly metrics: Metrics;
    /** null where the refusal itself is shown to the operator. */
    readonly logger: Logger | null;
  }) {
    this.#keys = parts.keys;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
  }

  mac<T extends GuardedTable>(table: T, row: GuardedRows[T]): Buffer {
    const { label, message } = encoders[table];
    return versionedMac(this.#keys, label, message(row));
  }

  isGenuine<T extends GuardedTable>(table: T, row: Marked<T>): boolean {
    const { label, message } = encoders[table];
    try {
      return isVersionedMac(this.#keys, label, message(row), row.row_mac);
    } catch {
      // A field out of its range or of another type: nothing this program writes.
      return false;
    }
  }

  isOutdated(mac: Buffer): boolean {
    return isMacOutdated(this.#keys, mac);
  }

  alarm({ table, accountId, message }: ForgedRowError): void {
    this.#metrics.integrityAlarms.inc({ table });
    this.#logger?.error({ event: 'integrity-alarm', table, account: hex(accountId) }, message);
  }
}

function factorFields(row: GuardedRows['second_factor']): readonly Buffer[] {
  switch (row.kind) {
    case 'passkey':
      return [
        bytes(row.credential_id),
        bytes(row.public_key),
        text(row.rp_id),
        choice([0, 1], row.user_verified),
        choice([0, 1], row.backup_eligible),
      ];
    case 'email':
      return [text(row.address)];
    case 'totp':
    case 'recovery':
      return [];
    default:
      return row.kind satisfies never;
  }
}

function bytes(value: Buffer | null): Buffer {
  if (!Buffer.isBuffer(value)) throw new TypeError('not bytes');
  return lengthPrefixed(value);
}

function text(value: string | null): Buffer {
  if (typeof value !== 'string') throw new TypeError('not text');
  return lengthPrefixed(value);
}

function choice<C>(choices: readonly C[], value: C): Buffer {
  const index = choices.indexOf(value);
  if (index < 0) throw new RangeError('not one of the choices');
  return u8(index);
}

/** null is the moment that never comes. */
function moment(value: number | null): Buffer {
  return u64(expiryToU64(value));
}

/** SQLite keeps any type in any column. */
function hex(id: Buffer): string | null {
  return Buffer.isBuffer(id) ? id.toString('hex') : null;
}
