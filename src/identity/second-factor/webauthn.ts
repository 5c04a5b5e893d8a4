import { randomBytes } from 'node:crypto';
import {
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type VerifiedAuthenticationResponse,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from '@simplewebauthn/server';
import type { Config } from '../../config/schema.ts';
import type { Journal } from '../../credentials/journal.ts';
import { errorText } from '../../observability/error-text.ts';
import type { Logger } from '../../observability/logger.ts';
import { userHandleOf } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import { isCredentialKnown, markPasskeyUsed } from '../../store/passkeys.ts';
import type { RowGuard } from '../../store/row-guard.ts';
import type { SecondFactorRow, WebauthnChallengeRow } from '../../store/schema.ts';
import { insertFactor, listFactors } from '../../store/second-factors.ts';
import { findChallenge, replaceChallenge, takeChallenge } from '../../store/webauthn-challenges.ts';
import type { FirstFactorSession, FullSession, SteppedUpSession } from '../portal-session.ts';
import type { Peer } from '../sign-in/imap.ts';
import type { AddOutcome, EnrollingSession, FactorChanges } from './changes.ts';
import { readAuthentication, readRegistration, refuseAttestation } from './webauthn-response.ts';

/** S-78 */
const challengeMs = 5 * 60_000;
/** EdDSA, ES256, RS256. */
const algorithms = [-8, -7, -257];

type Session = FirstFactorSession | FullSession | SteppedUpSession;

/** `gone`: nothing was asked in this session, too long ago, or it was answered already. `refused`: the answer is not good. */
export type PasskeyCheck = 'right' | 'gone' | 'refused' | 'disabled';

/** Passkeys and security keys by WebAuthn level 3, for the host of `public_url` alone. */
export class Passkeys {
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #changes: FactorChanges;
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #name: string;
  readonly #rpId: string;
  readonly #origin: string;

  constructor(parts: {
    readonly database: Database;
    readonly guard: RowGuard;
    readonly changes: FactorChanges;
    readonly journal: Journal;
    readonly logger: Logger;
    readonly now: () => number;
    readonly config: Pick<Config, 'hostname' | 'portal'>;
  }) {
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#changes = parts.changes;
    this.#journal = parts.journal;
    this.#logger = parts.logger;
    this.#now = parts.now;
    this.#name = parts.config.hostname;
    this.#rpId = parts.config.portal.publicUrl.hostname;
    this.#origin = parts.config.portal.publicUrl.origin;
  }

  /** Whether the passkey can be asked for in the session: made for this host, and verifying its user where that is asked. */
  isUsable(session: Session, factor: SecondFactorRow): boolean {
    if (factor.kind !== 'passkey' || factor.disabled_at !== null || factor.rp_id !== this.#rpId) return false;
    return ruleOf(session) === 'preferred' || factor.user_verified === 1;
  }

  /** Puts the question of a new passkey. */
  async beginCreation(session: EnrollingSession): Promise<void> {
    // Here and not with the question: a page that is opened changes nothing.
    await userHandleOf(this.#database, session.account.id, randomBytes(32));
    await this.#ask(session, 'create', 'preferred');
  }

  /** The open question for the browser; null when there is none. */
  async creationOptions(session: EnrollingSession): Promise<PublicKeyCredentialCreationOptionsJSON | null> {
    const challenge = await this.#asked(session, 'create');
    if (challenge === null) return null;
    const { account } = session;
    const factors = await listFactors(this.#database, this.#guard, account.id);
    return await generateRegistrationOptions({
      rpName: this.#name,
      rpID: this.#rpId,
      userName: account.address,
      userDisplayName: account.address,
      userID: new Uint8Array(await userHandleOf(this.#database, account.id, randomBytes(32))),
      challenge: new Uint8Array(challenge.challenge),
      timeout: challengeMs,
      attestationType: 'none',
      excludeCredentials: factors.flatMap(descriptorOf),
      authenticatorSelection: { residentKey: 'preferred', userVerification: 'preferred' },
      supportedAlgorithmIDs: algorithms,
    });
  }

  /** Takes the authenticator's answer, as JSON. `exists`: some account has that credential. */
  async confirm(
    session: EnrollingSession,
    peer: Peer,
    answer: string,
    name: string,
  ): Promise<AddOutcome | 'refused' | 'exists'> {
    const answered = readRegistration(answer);
    if (answered === null) return 'refused';
    const challenge = await this.#take(session, 'create', answered.challenge);
    if (challenge === null) return 'gone';
    const made = await this.#verified(async () => {
      const { response } = answered;
      refuseAttestation(response.response.attestationObject);
      const { registrationInfo } = await verifyRegistrationResponse({
        response,
        expectedChallenge: challenge.challenge.toString('base64url'),
        expectedOrigin: this.#origin,
        expectedRPID: this.#rpId,
        requireUserVerification: challenge.user_verification === 'required',
        supportedAlgorithmIDs: algorithms,
      });
      return registrationInfo ?? null;
    });
    if (made === null) return 'refused';
    const credentialId = Buffer.from(made.credential.id, 'base64url');
    if (!credentialId.equals(answered.credentialId)) return 'refused';
    if (await isCredentialKnown(this.#database, credentialId)) return 'exists';
    const now = this.#now();
    return await this.#changes.add(
      session,
      peer,
      'passkey',
      async (transaction) => {
        await insertFactor(transaction, this.#guard, {
          id: randomBytes(16),
          account_id: session.account.id,
          kind: 'passkey',
          credential_id: credentialId,
          public_key: Buffer.from(made.credential.publicKey),
          rp_id: this.#rpId,
          user_verified: made.userVerified ? 1 : 0,
          backup_eligible: made.credentialDeviceType === 'multiDevice' ? 1 : 0,
          backed_up: made.credentialBackedUp ? 1 : 0,
          sign_count: made.credential.counter,
          transports: answered.response.response.transports?.join(',') ?? '',
          name,
          confirmed_at: now,
          created_at: now,
        });
        return true;
      },
      [{ action: 'factor.added', method: 'passkey', name: name || null }],
    );
  }

  /** Asks for one of the account's passkeys: its user has to be verified, unless a main password was given just before. */
  async beginCheck(session: Session): Promise<void> {
    await this.#ask(session, 'get', ruleOf(session));
  }

  /** The open question for the browser; null when there is none, or no passkey to answer it. */
  async checkOptions(session: Session): Promise<PublicKeyCredentialRequestOptionsJSON | null> {
    const challenge = await this.#asked(session, 'get');
    if (challenge === null) return null;
    const factors = await listFactors(this.#database, this.#guard, session.account.id);
    const usable = factors.filter((factor) => this.isUsable(session, factor));
    if (usable.length === 0) return null;
    return await generateAuthenticationOptions({
      rpID: this.#rpId,
      challenge: new Uint8Array(challenge.challenge),
      timeout: challengeMs,
      userVerification: challenge.user_verification,
      allowCredentials: usable.flatMap(descriptorOf),
    });
  }

  /** Takes the authenticator's answer, as JSON. */
  async check(session: Session, peer: Peer, answer: string): Promise<PasskeyCheck> {
    const answered = readAuthentication(answer);
    if (answered === null) return 'refused';
    const challenge = await this.#take(session, 'get', answered.challenge);
    if (challenge === null) return 'gone';
    const factors = await listFactors(this.#database, this.#guard, session.account.id);
    const factor = factors.find((each) => each.credential_id?.equals(answered.credentialId) === true);
    if (factor === undefined || factor.public_key === null) return 'refused';
    if (factor.disabled_at !== null) return 'disabled';
    const isVerified = challenge.user_verification === 'required';
    if (isVerified && factor.user_verified !== 1) return 'refused';
    const { userHandle } = answered.response.response;
    const handle = session.account.user_handle?.toString('base64url');
    if (userHandle != null && userHandle !== '' && userHandle !== handle) return 'refused';
    const { public_key: publicKey } = factor;
    const seen = await this.#verified(async () => {
      const verified = await verifyAuthenticationResponse({
        response: answered.response,
        expectedChallenge: challenge.challenge.toString('base64url'),
        expectedOrigin: this.#origin,
        expectedRPID: this.#rpId,
        requireUserVerification: isVerified,
        // Its own judgement of counters knows nothing of keys that live on several devices: they are judged below.
        credential: {
          id: answered.response.id,
          publicKey: new Uint8Array(publicKey),
          counter: 0,
        },
      });
      return verified.verified ? verified.authenticationInfo : null;
    });
    if (seen === null) return 'refused';
    // W3C WebAuthn L3 7.2: it never changes.
    if ((seen.credentialDeviceType === 'multiDevice' ? 1 : 0) !== factor.backup_eligible) return 'refused';
    if (!(await this.#isCounterGood(session, peer, factor, seen))) return 'refused';
    const isTaken = await markPasskeyUsed(this.#database, factor.id, {
      signCount: seen.newCounter,
      isBackedUp: seen.credentialBackedUp,
      now: this.#now(),
    });
    return isTaken ? 'right' : 'refused';
  }

  /** S-79: a counter that does not rise is a sign of a copied key, where the key cannot be copied by design. */
  async #isCounterGood(
    session: Session,
    peer: Peer,
    factor: SecondFactorRow,
    { newCounter }: VerifiedAuthenticationResponse['authenticationInfo'],
  ): Promise<boolean> {
    const stored = factor.sign_count ?? 0;
    if ((newCounter === 0 && stored === 0) || newCounter > stored) return true;
    const isAccepted = factor.backup_eligible === 1;
    await this.#journal.record(this.#database, {
      account: session.account,
      actor: { kind: 'person', address: peer.address },
      event: {
        action: 'passkey.counter-fell',
        name: factor.name || null,
        outcome: isAccepted ? 'accepted' : 'refused',
      },
    });
    return isAccepted;
  }

  async #ask(
    session: Session,
    ceremony: WebauthnChallengeRow['ceremony'],
    user_verification: WebauthnChallengeRow['user_verification'],
  ): Promise<void> {
    const now = this.#now();
    const challenge = {
      challenge: randomBytes(32),
      account_id: session.account.id,
      session_hash: session.idHash,
      ceremony,
      user_verification,
      created_at: now,
    };
    await replaceChallenge(this.#database, this.#guard, challenge, now - challengeMs);
  }

  async #asked(session: Session, ceremony: WebauthnChallengeRow['ceremony']) {
    const place = placeOf(session, ceremony);
    return await findChallenge(this.#database, this.#guard, place, this.#now(), challengeMs);
  }

  async #take(session: Session, ceremony: WebauthnChallengeRow['ceremony'], challenge: Buffer) {
    const asked = { ...placeOf(session, ceremony), challenge };
    return await takeChallenge(this.#database, this.#guard, asked, this.#now(), challengeMs);
  }

  /** What the work finds; null where it throws, as simplewebauthn does for every answer that is not good. */
  async #verified<T>(work: () => Promise<T | null>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      this.#logger.info({ event: 'passkey-refused', detail: errorText(error) }, 'passkey refused');
      return null;
    }
  }
}

function ruleOf(session: Session): WebauthnChallengeRow['user_verification'] {
  return session.level === 'first-factor' ? 'preferred' : 'required';
}

function placeOf(session: Session, ceremony: WebauthnChallengeRow['ceremony']) {
  return { account_id: session.account.id, session_hash: session.idHash, ceremony };
}

function descriptorOf({ credential_id, transports }: SecondFactorRow) {
  if (credential_id === null) return [];
  const known = (transports ?? '').split(',').filter((each) => each !== '');
  return [{ id: credential_id.toString('base64url'), ...(known.length === 0 ? {} : { transports: known }) }];
}
