import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { lengthPrefixed, u8, u32 } from './derive.ts';
import type { KeyRing } from './key-file.ts';

/** Where a sealed value lives: part of what is authenticated, so that a blob moved to another row does not open. */
export interface SealPlace {
  readonly purpose:
    | 'totp-seed'
    | 'refresh-token'
    | 'backend-password'
    | 'oidc-transaction'
    | 'throttle-events'
    | 'node-message'
    | 'cache-fence';
  readonly table: string;
  readonly column: string;
  readonly rowId: Buffer;
  readonly accountId: Buffer;
}

/** A value that does not open: altered, moved, or under a key that is gone. An outage, never "there is none" (S-39). */
export class SealError extends Error {
  override readonly name = 'SealError';
}

const algorithm = 'aes-256-gcm';
const version = 1;
const headBytes = 5;
const nonceBytes = 12;
/** Without it Node accepts tags of four bytes, which are guessed (S-39). */
const tagBytes = 16;

/** AES-256-GCM for what must be readable again: seeds, tokens, backend passwords (requirements 3.6). */
export class SealBox {
  readonly #keys: KeyRing;

  constructor(keys: KeyRing) {
    this.#keys = keys;
  }

  /** Seals under the active key; base64url without padding. */
  seal(place: SealPlace, plain: Buffer): string {
    const keyId = this.#keys.activeId('seal');
    const head = Buffer.concat([u8(version), u32(keyId)]);
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv(algorithm, this.#key(place, keyId), nonce, { authTagLength: tagBytes });
    cipher.setAAD(additionalData(place, head));
    const sealed = cipher.update(plain);
    cipher.final();
    return Buffer.concat([head, nonce, sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** The plain bytes, to be wiped by the caller. Throws {@link SealError}. */
  open(place: SealPlace, blob: string): Buffer {
    const bytes = Buffer.from(blob, 'base64url');
    if (bytes.length < headBytes + nonceBytes + tagBytes || bytes.toString('base64url') !== blob) {
      throw new SealError('the sealed value is not whole');
    }
    if (bytes[0] !== version) throw new SealError('the sealed value has an unknown version');
    const head = bytes.subarray(0, headBytes);
    const key = this.#key(place, head.readUInt32BE(1));
    const nonce = bytes.subarray(headBytes, headBytes + nonceBytes);
    const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
    decipher.setAAD(additionalData(place, head));
    decipher.setAuthTag(bytes.subarray(-tagBytes));
    try {
      const plain = decipher.update(bytes.subarray(headBytes + nonceBytes, -tagBytes));
      decipher.final();
      return plain;
    } catch {
      throw new SealError('the sealed value was altered or moved');
    }
  }

  #key(place: SealPlace, id: number): Buffer {
    const key = this.#keys.derive('seal', id, `sallyport/v1/seal/${place.purpose}`);
    if (key === null) throw new SealError(`the sealed value is under key ${id}, which is gone`);
    return key;
  }
}

/** Whether a sealed value is under a key that is on its way out. */
export function isSealOutdated(keys: KeyRing, blob: string): boolean {
  const head = Buffer.from(blob.slice(0, 8), 'base64url');
  return head.length > headBytes && head[0] === version && head.readUInt32BE(1) < keys.activeId('seal');
}

function additionalData(place: SealPlace, head: Buffer): Buffer {
  return Buffer.concat(
    ['sallyport/v1/seal', place.purpose, place.table, place.column, place.rowId, place.accountId, head].map(
      (field) => lengthPrefixed(field),
    ),
  );
}
