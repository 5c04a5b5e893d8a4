import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { SealBox, SealPlace } from '../../../credentials/seal.ts';
import type { Database } from '../../../store/database.ts';
import { insertOidcTransaction, takeOidcTransaction } from '../../../store/oidc-transactions.ts';
import type { Proofs } from './provider.ts';

/** What the person went to the provider for. */
export type Purpose =
  | { readonly kind: 'sign-in' }
  /** Showing a second factor again; `destination` is the path that waits for it. */
  | {
      readonly kind: 'step-up';
      readonly accountId: Buffer;
      readonly sessionIdHash: Buffer;
      readonly destination: string;
    };

export interface OidcTransaction {
  readonly provider: string;
  readonly proofs: Proofs;
  readonly purpose: Purpose;
  readonly at: number;
}

/** S-85 */
const lifeMs = 10 * 60_000;
/** How far the clocks of two nodes may differ. */
const clockMs = 60_000;
/** Anybody may begin one: beyond this many the oldest go. */
const most = 20_000;

const sealed = z.object({
  provider: z.string(),
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  at: z.number(),
  stepUp: z.object({ session: z.string(), destination: z.string() }).nullable(),
});

/** Sign-ins between leaving for the provider and coming back: each under the SHA-256 of its cookie, for one use. */
export class OidcTransactions {
  readonly #database: Database;
  readonly #sealBox: SealBox;
  readonly #now: () => number;

  constructor(parts: {
    readonly database: Database;
    readonly sealBox: SealBox;
    readonly now: () => number;
  }) {
    this.#database = parts.database;
    this.#sealBox = parts.sealBox;
    this.#now = parts.now;
  }

  /** 256 bits each; a verifier of 43 characters (RFC 7636 4.1). */
  draw(): Proofs {
    return { state: random(), nonce: random(), verifier: random() };
  }

  /** Answers what the browser has to show on its return: 32 random bytes, base64url. */
  async enter(provider: string, proofs: Proofs, purpose: Purpose): Promise<string> {
    const token = random();
    const idHash = hashOf(token);
    const at = this.#now();
    const accountId = purpose.kind === 'step-up' ? purpose.accountId : null;
    const content: z.output<typeof sealed> = {
      provider,
      ...proofs,
      at,
      stepUp:
        purpose.kind === 'step-up'
          ? { session: purpose.sessionIdHash.toString('hex'), destination: purpose.destination }
          : null,
    };
    const row = {
      id_hash: idHash,
      account_id: accountId,
      sealed: this.#sealBox.seal(sealPlace(idHash, accountId), Buffer.from(JSON.stringify(content))),
      created_at: at,
    };
    await insertOidcTransaction(this.#database, row, { most, createdAfter: at - lifeMs });
    return token;
  }

  /** null for what is malformed, unknown, over or taken before. Throws for one that the gateway did not write so. */
  async take(token: string | undefined): Promise<OidcTransaction | null> {
    if (token === undefined || !/^[A-Za-z0-9_-]{43}$/.test(token)) return null;
    const idHash = hashOf(token);
    const row = await takeOidcTransaction(this.#database, idHash);
    if (row === null) return null;
    const plain = this.#sealBox.open(sealPlace(idHash, row.account_id), row.sealed);
    const { provider, state, nonce, verifier, at, stepUp } = sealed.parse(JSON.parse(plain.toString()));
    plain.fill(0);
    // The sealed time, which nobody can move.
    const age = this.#now() - at;
    if (age >= lifeMs || age < -clockMs) return null;
    const purpose: Purpose =
      stepUp === null || row.account_id === null
        ? { kind: 'sign-in' }
        : {
            kind: 'step-up',
            accountId: row.account_id,
            sessionIdHash: Buffer.from(stepUp.session, 'hex'),
            destination: stepUp.destination,
          };
    return { provider, proofs: { state, nonce, verifier }, purpose, at };
  }
}

function sealPlace(rowId: Buffer, accountId: Buffer | null): SealPlace {
  return {
    purpose: 'oidc-transaction',
    table: 'oidc_transaction',
    column: 'sealed',
    rowId,
    accountId: accountId ?? Buffer.alloc(0),
  };
}

function random(): string {
  return randomBytes(32).toString('base64url');
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}
