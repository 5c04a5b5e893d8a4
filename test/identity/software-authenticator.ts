import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import type {
  PublicKeyCredentialCreationOptionsJSON,
  PublicKeyCredentialRequestOptionsJSON,
} from '@simplewebauthn/server';

/** What an authenticator and its browser say; each field can be made a lie. */
export interface Saying {
  readonly origin?: string;
  readonly rpId?: string;
  readonly type?: string;
  readonly challenge?: string;
  readonly crossOrigin?: boolean;
  readonly topOrigin?: string;
  readonly isUserPresent?: boolean;
  readonly isUserVerified?: boolean;
  readonly isBackupEligible?: boolean;
  readonly isBackedUp?: boolean;
  readonly counter?: number;
  readonly userHandle?: string | null;
  readonly attestation?: string;
  readonly credentialId?: Buffer;
  /** COSE algorithm named in the key. */
  readonly algorithm?: number;
}

/** A key in software, by W3C WebAuthn L3: what a real one would sign, and what none would. */
export class SoftwareAuthenticator {
  readonly credentialId = randomBytes(32);
  readonly #privateKey: KeyObject;
  readonly #x: Buffer;
  readonly #y: Buffer;
  readonly #origin: string;
  #userHandle: string | null = null;

  constructor(origin: string) {
    this.#origin = origin;
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#privateKey = privateKey;
    const jwk = publicKey.export({ format: 'jwk' });
    this.#x = Buffer.from(jwk.x ?? '', 'base64url');
    this.#y = Buffer.from(jwk.y ?? '', 'base64url');
  }

  create(options: PublicKeyCredentialCreationOptionsJSON, saying: Saying = {}): string {
    this.#userHandle = options.user.id;
    const id = saying.credentialId ?? this.credentialId;
    const key = map([
      [1, 2],
      [3, saying.algorithm ?? -7],
      [-1, 1],
      [-2, this.#x],
      [-3, this.#y],
    ]);
    const credential = Buffer.concat([Buffer.alloc(16), uint16(id.length), id, key]);
    const authData = Buffer.concat([this.#authenticatorData(saying, true), credential]);
    const attestationObject = map([
      ['fmt', saying.attestation ?? 'none'],
      ['attStmt', { pairs: [] }],
      ['authData', authData],
    ]);
    return JSON.stringify({
      ...this.#credential(id),
      response: {
        clientDataJSON: this.#clientData('webauthn.create', options.challenge, saying).toString('base64url'),
        attestationObject: attestationObject.toString('base64url'),
        transports: ['usb'],
      },
    });
  }

  get(options: PublicKeyCredentialRequestOptionsJSON, saying: Saying = {}): string {
    const clientData = this.#clientData('webauthn.get', options.challenge, saying);
    const authenticatorData = this.#authenticatorData(saying, false);
    const hash = createHash('sha256').update(clientData).digest();
    const signature = sign('sha256', Buffer.concat([authenticatorData, hash]), this.#privateKey);
    const userHandle = saying.userHandle === undefined ? this.#userHandle : saying.userHandle;
    return JSON.stringify({
      ...this.#credential(saying.credentialId ?? this.credentialId),
      response: {
        clientDataJSON: clientData.toString('base64url'),
        authenticatorData: authenticatorData.toString('base64url'),
        signature: signature.toString('base64url'),
        userHandle,
      },
    });
  }

  #credential(id: Buffer) {
    const text = id.toString('base64url');
    return { id: text, rawId: text, type: 'public-key', clientExtensionResults: {} };
  }

  #clientData(type: string, challenge: string, saying: Saying): Buffer {
    return Buffer.from(
      JSON.stringify({
        type: saying.type ?? type,
        challenge: saying.challenge ?? challenge,
        origin: saying.origin ?? this.#origin,
        crossOrigin: saying.crossOrigin ?? false,
        ...(saying.topOrigin === undefined ? {} : { topOrigin: saying.topOrigin }),
      }),
    );
  }

  #authenticatorData(saying: Saying, hasCredential: boolean): Buffer {
    const rpId = saying.rpId ?? new URL(this.#origin).hostname;
    const flags =
      ((saying.isUserPresent ?? true) ? 0x01 : 0) |
      ((saying.isUserVerified ?? true) ? 0x04 : 0) |
      (saying.isBackupEligible === true ? 0x08 : 0) |
      (saying.isBackedUp === true ? 0x10 : 0) |
      (hasCredential ? 0x40 : 0);
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(saying.counter ?? 0);
    return Buffer.concat([createHash('sha256').update(rpId).digest(), Buffer.from([flags]), counter]);
  }
}

type Value = number | string | Buffer | { readonly pairs: readonly (readonly [Value, Value])[] };

/** CBOR, as much of it as a key needs (RFC 8949 3). */
function encode(value: Value): Buffer {
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === 'string')
    return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value]);
  return map(value.pairs);
}

function map(pairs: readonly (readonly [Value, Value])[]): Buffer {
  return Buffer.concat([head(5, pairs.length), ...pairs.flatMap((pair) => pair.map(encode))]);
}

function head(major: number, value: number): Buffer {
  if (value < 24) return Buffer.from([(major << 5) | value]);
  if (value < 256) return Buffer.from([(major << 5) | 24, value]);
  return Buffer.concat([Buffer.from([(major << 5) | 25]), uint16(value)]);
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
