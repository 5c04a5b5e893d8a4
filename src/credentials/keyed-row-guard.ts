import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { ForgedRowError, GuardedRows, GuardedTable, Marked, RowGuard } from '../store/row-guard.ts';
import { expiryToU64, lengthPrefixed, u8, u64 } from './derive.ts';
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
    ],
  },
  second_factor: {
    label: 'sallyport/v1/factor-row',
    message: (row) => [
      bytes(row.id),
      bytes(row.account_id),
      choice(['totp'], row.kind),
      text(row.sealed),
      moment(row.confirmed_at),
      moment(row.disabled_at),
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
    ],
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

function bytes(value: Buffer): Buffer {
  if (!Buffer.isBuffer(value)) throw new TypeError('not bytes');
  return lengthPrefixed(value);
}

function text(value: string): Buffer {
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
