import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { Writable } from 'node:stream';
import { withoutClientSecrets } from '../../src/config/oidc-schema.ts';
import type { OidcClientProof } from '../../src/config/oidc-secrets.ts';
import type { Config } from '../../src/config/schema.ts';
import { configSchema } from '../../src/config/schema.ts';
import { SealBox } from '../../src/credentials/seal.ts';
import { makeThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { AnonymousSession, PortalSession } from '../../src/identity/portal-session.ts';
import { OidcSignIn } from '../../src/identity/sign-in/oidc.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { Secret } from '../../src/secret.ts';
import { migrate, openDatabase } from '../../src/store/database.ts';
import { keyRing } from '../credentials/keys.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { testJournal } from '../support/journal.ts';

export const clientSecret = 'client secret of the tests';
export const redirectUri = (provider = 'work') => `https://mail.example.com:8443/oidc/${provider}/callback`;
export const nobody: AnonymousSession = { level: 'anonymous', ended: false };
export const peer = { address: '203.0.113.7', network: '203.0.113.7' };

/** Certificates for providers on this machine, and the authority that signed them. */
export async function providerCertificates() {
  const scratch = await makeScratchFolder();
  const made = await makeThrowAwayCertificates(scratch.path);
  return {
    cert: await readFile(made.certFile),
    key: await readFile(made.keyFile),
    ca: made.ca,
    folder: scratch.path,
    remove: () => scratch.remove(),
  };
}

/** Settings of one provider as the file has them, with what a test changes. */
export function providerSettings(issuer: string, changes: Readonly<Record<string, unknown>> = {}) {
  return {
    issuer,
    client_id: 'sallyport',
    client_secret: clientSecret,
    ca_file: 'ca.pem',
    single_tenant: true,
    label: 'Work account',
    ...changes,
  };
}

export function oidcConfig(
  providers: Readonly<Record<string, unknown>>,
  domains: Readonly<Record<string, unknown>> = {},
): Config {
  const parsed = configSchema.parse({
    hostname: 'mail.example.com',
    tls: { certificates: [{ cert: 'unused', key: 'unused' }] },
    listen: [{ door: 'imap', port: 993, tls: 'implicit' }],
    portal: { host: '127.0.0.1', port: 0, public_url: 'https://mail.example.com:8443' },
    backends: {
      office: {
        imap: { host: '127.0.0.1', port: 1, tls: 'none' },
        smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
        login: { method: 'master', user: 'gateway', password: 'unused' },
      },
    },
    domains: Object.fromEntries(
      Object.entries({ 'example.com': {}, ...domains }).map(([name, changes]) => [
        name,
        {
          backend: 'office',
          sign_in: { method: 'oidc', provider: 'work' },
          enrollment: 'open',
          ...(changes as object),
        },
      ]),
    ),
    oidc: providers,
  });
  const backends = Object.fromEntries(
    Object.entries(parsed.backends).map(([name, { login, ...backend }]) => [
      name,
      { ...backend, name, login: { method: login.method, user: login.user } },
    ]),
  );
  return { ...parsed, backends, redis: null, oidc: withoutClientSecrets(parsed.oidc) } as Config;
}

export type OidcBed = Awaited<ReturnType<typeof openOidcBed>>;

/** The sign-in with a real database, and a clock that runs and can be moved ahead. */
export async function openOidcBed(options: {
  readonly config: Config;
  readonly ca: Buffer;
  readonly proofs?: ReadonlyMap<string, OidcClientProof>;
  readonly requestMs?: number;
}) {
  let ahead = 0;
  const now = () => Date.now() + ahead;
  const database = openDatabase(':memory:');
  await migrate(database);
  const keys = keyRing();
  const guard = rowGuard(keys);
  const log: string[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      log.push(chunk.toString());
      done();
    },
  });
  const { config, requestMs } = options;
  const proofs = Object.keys(config.oidc).map(
    (name) => [name, { kind: 'secret', secret: Secret.fromText(clientSecret) }] as const,
  );
  const oidc = new OidcSignIn({
    config,
    secrets: {
      oidcProofs: options.proofs ?? new Map(proofs),
      authorities: new Map([['ca.pem', options.ca]]),
    },
    database,
    guard,
    sealBox: new SealBox(keys),
    journal: testJournal(keys, now),
    logger: createLogger('trace', sink),
    now,
    ...(requestMs === undefined ? {} : { requestMs }),
  });
  const begin = async (provider = 'work') => {
    const begun = await oidc.begin(provider, { kind: 'sign-in' });
    if (begun.kind !== 'begun') throw new Error(`not begun: ${begun.kind} ${log.join('')}`);
    return begun;
  };
  const finish = async (
    returned: {
      readonly token: string | undefined;
      readonly parameters: URLSearchParams;
      readonly session?: PortalSession;
    },
    provider = 'work',
  ) => await oidc.finish(provider, { session: nobody, peer, ...returned });
  return {
    oidc,
    begin,
    finish,
    database,
    guard,
    keys,
    log,
    now,
    advance: (ms: number) => {
      ahead += ms;
    },
    links: async () => await database.selectFrom('identity_link').selectAll().execute(),
    accounts: async () =>
      (await database.selectFrom('account').selectAll().execute()).map((row) => row.address),
    close: async () => await database.destroy(),
  };
}

/** A browser at the provider: follows its redirects with its cookies until one leads elsewhere. */
export class ProviderBrowser {
  readonly #ca: Buffer;
  readonly #cookies = new Map<string, string>();

  constructor(ca: Buffer) {
    this.#ca = ca;
  }

  /** Where the provider sends the browser in the end. */
  async walk(from: URL): Promise<URL> {
    let at = from;
    for (let step = 0; step < 10; step += 1) {
      const to = await this.#open(at);
      if (to.origin !== from.origin) return to;
      at = to;
    }
    throw new Error(`the provider redirects for ever, now to ${at.pathname}`);
  }

  async #open(url: URL): Promise<URL> {
    const { promise, resolve, reject } = Promise.withResolvers<URL>();
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const outgoing = request(url, { ca: this.#ca, headers: { cookie } }, (response) => {
      for (const each of response.headers['set-cookie'] ?? []) {
        const [pair = ''] = each.split(';', 1);
        const at = pair.indexOf('=');
        if (at === pair.length - 1) this.#cookies.delete(pair.slice(0, at));
        else this.#cookies.set(pair.slice(0, at), pair.slice(at + 1));
      }
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => {
        const { location } = response.headers;
        if (location === undefined) reject(new Error(`${url.pathname}: ${response.statusCode} ${body}`));
        else resolve(new URL(location, url));
      });
    });
    outgoing.on('error', reject);
    outgoing.end();
    return await promise;
  }
}
