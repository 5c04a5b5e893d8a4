import type { SecureContext } from 'node:tls';
import { ImapFlow } from 'imapflow';
import { backendIdentity } from '../../config/backend-tls.ts';
import type { Backend, Config } from '../../config/schema.ts';
import { canonicalName } from '../../credentials/account-name.ts';
import { parseAppPassword } from '../../credentials/app-password.ts';
import { isDeniedMailbox } from '../../credentials/denied-mailbox.ts';
import type { Journal } from '../../credentials/journal.ts';
import { widerNetworkOf } from '../../credentials/network.ts';
import { type Logger, printable } from '../../observability/logger.ts';
import type { Secret } from '../../secret.ts';
import { createAccount, findAccount } from '../../store/accounts.ts';
import type { Database } from '../../store/database.ts';
import { ForgedRowError, type RowGuard } from '../../store/row-guard.ts';
import type { Account } from '../../store/schema.ts';
import { type Attempt, SignInThrottle } from './throttle.ts';

/** What the sign-in needs of a backend: its settings and, unless the leg is clear, its TLS context with the CA. */
export interface SignInBackend {
  readonly backend: Backend;
  readonly imapTls: SecureContext | null;
}

/** Where a sign-in comes from. `network` null: the peer is a web proxy, whose address says nothing. */
export interface Peer {
  readonly address: string;
  readonly network: string | null;
}

/** `wrong` covers a wrong name, a wrong password and a disabled account alike (S-73). */
export type SignInResult =
  | { readonly kind: 'signed-in'; readonly account: Account }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'throttled'; readonly until: number }
  | { readonly kind: 'unavailable' };

/** For the whole conversation; Dovecot alone holds a wrong password back for some seconds. */
const conversationMs = 20_000;
const connectMs = 8_000;
/** Longer ones are nobody's password. */
const passwordBytes = 1_024;

/** Tries a person's main password once on the mail backend, by a real IMAP login, and forgets it. */
export class ImapSignIn {
  readonly #config: Config;
  readonly #backends: ReadonlyMap<string, SignInBackend>;
  readonly #database: Database;
  readonly #guard: RowGuard;
  readonly #journal: Journal;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #throttle: SignInThrottle;

  constructor(parts: {
    readonly config: Config;
    readonly upstreams: ReadonlyMap<string, SignInBackend>;
    readonly database: Database;
    readonly guard: RowGuard;
    readonly journal: Journal;
    readonly logger: Logger;
    readonly now: () => number;
    /** Left out where nobody sets `now`. */
    readonly monotonic?: () => number;
    readonly throttle?: SignInThrottle;
  }) {
    this.#config = parts.config;
    this.#backends = parts.upstreams;
    this.#database = parts.database;
    this.#guard = parts.guard;
    this.#journal = parts.journal;
    this.#logger = parts.logger;
    this.#now = parts.now;
    const { now, monotonic = now } = parts;
    const { signIn: limits } = parts.config.throttle;
    this.#throttle = parts.throttle ?? new SignInThrottle({ now, monotonic, limits });
  }

  /**
   * Signs in by the address as typed. Makes the account at the first sign-in of somebody from a configured domain.
   * Wipes the password. Throws only where the database does.
   */
  async signIn(address: string, password: Secret, peer: Peer): Promise<SignInResult> {
    try {
      const result = await this.#decide(address, password, peer);
      this.#logger.info(
        { event: 'sign-in', outcome: result.kind, account: loggable(address, result), address: peer.address },
        'portal sign-in',
      );
      return result;
    } finally {
      password.wipe();
    }
  }

  async #decide(typed: string, password: Secret, peer: Peer): Promise<SignInResult> {
    const name = canonicalName(typed, this.#config.defaultDomain);
    const attempt = this.#throttle.attempt(
      // One count for all that is no name: keys of the sender's making would only fill the table.
      name?.address ?? 'malformed',
      peer.network === null ? null : { own: peer.network, wider: widerNetworkOf(peer.address) },
    );
    if (attempt.kind === 'throttled') return attempt;
    if (name === null || !Object.hasOwn(this.#config.domains, name.domain)) return { kind: 'wrong' };
    // What people there type is the password of their identity provider, and not for any backend to see.
    if (this.#config.domains[name.domain]?.signIn.method !== 'imap') return { kind: 'wrong' };
    const upstream = this.#backends.get(this.#config.domains[name.domain]?.backend ?? '');
    if (upstream === undefined) throw new Error(`domain ${name.domain} has no backend`);
    if (!isForwardable(password) || isDeniedMailbox(upstream.backend, name)) return { kind: 'wrong' };

    try {
      return await this.#judge(attempt, upstream, name.address, password, peer);
    } catch (error) {
      // Our own outage must not count as the person's wrong password.
      attempt.undecided();
      throw error;
    }
  }

  async #judge(
    attempt: Attempt,
    upstream: SignInBackend,
    address: string,
    password: Secret,
    peer: Peer,
  ): Promise<SignInResult> {
    const answer = await this.#ask(upstream, address, password, peer);
    if (answer === 'wrong') return { kind: 'wrong' };
    const account = answer === 'unavailable' ? null : await this.#accountOf(address, peer);
    if (account === null) {
      attempt.undecided();
      return { kind: 'unavailable' };
    }
    // Not taken back: else a disabled account would answer faster than a wrong password is throttled.
    if (account.state !== 'active') return { kind: 'wrong' };
    attempt.succeeded();
    return { kind: 'signed-in', account };
  }

  /** null: its row is not as the gateway wrote it. */
  async #accountOf(address: string, peer: Peer): Promise<Account | null> {
    try {
      const existing = await findAccount(this.#database, this.#guard, address);
      if (existing !== null) return existing;
      const { account, created } = await this.#database.transaction().execute(async (transaction) => {
        const outcome = await createAccount(transaction, this.#guard, address, this.#now());
        if (outcome.created) {
          await this.#journal.record(transaction, {
            account: outcome.account,
            actor: { kind: 'person', address: peer.address },
            event: { action: 'account.created' },
          });
        }
        return outcome;
      });
      if (created)
        this.#logger.info({ event: 'account-created', account: address }, 'account made at first sign-in');
      return account;
    } catch (error) {
      if (error instanceof ForgedRowError) return null;
      throw error;
    }
  }

  async #ask(
    { backend, imapTls }: SignInBackend,
    address: string,
    password: Secret,
    peer: Peer,
  ): Promise<'right' | 'wrong' | 'unavailable'> {
    const { host, port, tls, serverName } = backend.imap;
    const client = new ImapFlow({
      host,
      port,
      secure: tls === 'implicit',
      doSTARTTLS: tls === 'starttls',
      auth: { user: address, pass: password.text() },
      verifyOnly: true,
      // Its log lines would carry what the person typed (S-91).
      logger: false,
      disableAutoIdle: true,
      connectionTimeout: connectMs,
      greetingTimeout: connectMs,
      socketTimeout: conversationMs,
      clientInfo: clientInfo(backend, peer),
      ...(imapTls === null ? {} : { tls: backendIdentity(imapTls, serverName) }),
    });
    // Errors after connect() has settled find nobody else.
    client.on('error', () => {});
    const deadline = setTimeout(() => client.close(), conversationMs);
    try {
      await client.connect();
      if (hasAuthenticated(client)) return 'right';
      this.#logger.error(
        { event: 'backend-error', backend: backend.name, kind: 'greeting' },
        'the backend let a sign-in pass without asking for the password',
      );
      return 'unavailable';
    } catch (error) {
      if (isRefusedPassword(error)) return 'wrong';
      this.#logger.error(
        { event: 'backend-error', backend: backend.name, detail: printable(reasonOf(error)) },
        'the backend could not check a password',
      );
      return 'unavailable';
    } finally {
      clearTimeout(deadline);
      client.close();
    }
  }
}

/** Without an `@` a refused name may be a password in the wrong field: it is not logged. */
function loggable(typed: string, result: SignInResult): string | null {
  if (result.kind === 'signed-in') return result.account.address;
  return typed.includes('@') ? printable(typed) : null;
}

/** S-15: a secret of the app-password shape is never shown to a backend, nor is what no backend can take. */
function isForwardable(password: Secret): boolean {
  const bytes = password.bytes();
  if (bytes.length === 0 || bytes.length > passwordBytes || bytes.includes(0)) return false;
  const appPassword = parseAppPassword(Buffer.from(bytes));
  appPassword?.wipe();
  return appPassword === null;
}

function clientInfo(backend: Backend, peer: Peer): { [key: string]: string } {
  const own = { name: 'Sallyport', version: '', vendor: '', 'support-url': '' };
  // Else the backend would count everybody's wrong passwords against the gateway's own address.
  return backend.forward.imapId && peer.network !== null ? { ...own, 'x-originating-ip': peer.address } : own;
}

/** A PREAUTH greeting also ends in a connected client: only a mechanism that ran proves the password. */
function hasAuthenticated(client: ImapFlow): boolean {
  if (!('authCapabilities' in client) || !(client.authCapabilities instanceof Map)) return false;
  return [...client.authCapabilities.values()].includes(true);
}

/** RFC 5530: only these codes, or none at all, speak about the password; the others speak about the server. */
const passwordCodes = new Set(['AUTHENTICATIONFAILED', 'AUTHORIZATIONFAILED', 'EXPIRED']);

function isRefusedPassword(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { authenticationFailed, serverResponseCode, responseStatus } = error as {
    readonly authenticationFailed?: unknown;
    readonly serverResponseCode?: unknown;
    readonly responseStatus?: unknown;
  };
  // BAD means that the backend did not understand us; imapflow's own refusals carry no status.
  if (authenticationFailed !== true || responseStatus !== 'NO') return false;
  return typeof serverResponseCode !== 'string' || passwordCodes.has(serverResponseCode.toUpperCase());
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return 'code' in error && typeof error.code === 'string'
    ? `${error.code}: ${error.message}`
    : error.message;
}
