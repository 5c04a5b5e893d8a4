import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { generateAppPassword } from '../../src/credentials/app-password.ts';
import { createKeyFile } from '../../src/credentials/key-file.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { startGateway } from '../../src/main.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { type Credentials, domain, hotCount, userName, writeCredentials } from '../credentials.ts';
import { Server } from '../processes.ts';
import { type Bed, type Target, untilUp } from './target.ts';

const launcher = join(import.meta.dirname, '../../scripts/sallyport');

/** Logins after which the compiler of JavaScript has seen what there is to see. */
const warmLogins = 3_000;

export interface SallyportVariant {
  readonly name: string;
  /** A Redis of its own, on the other core. */
  readonly redis: boolean;
  /** As in the configuration; undefined for the defaults. */
  readonly argon2?: { readonly memory_kib: number; readonly passes: number };
}

export const sallyport: SallyportVariant = { name: 'sallyport', redis: false };

/** Cheap hashes only so that thousands of app passwords can be made and brought to Redis in seconds. */
export const sallyportRedis: SallyportVariant = {
  name: 'sallyport-redis',
  redis: true,
  argon2: { memory_kib: 7_168, passes: 1 },
};

/** The gateway, started as an operator starts it, with the limits raised that would refuse a load from one machine. */
export class SallyportTarget implements Target {
  readonly name: string;
  readonly imaps: number;
  readonly smtps: number;
  readonly credentials: Credentials;
  readonly atOnce = 48;
  readonly atOnceRefused = 48;
  readonly hasCache = true;
  readonly isSlowCopier = false;
  readonly metricsUrl: string;
  readonly beside: readonly Server[];
  readonly #bed: Bed;
  readonly #configFile: string;
  #server: Server | null = null;

  private constructor(name: string, bed: Bed, parts: Prepared) {
    this.name = name;
    this.#bed = bed;
    this.imaps = parts.ports.imaps;
    this.smtps = parts.ports.smtps;
    this.metricsUrl = `http://127.0.0.1:${parts.ports.metrics}/metrics`;
    this.#configFile = parts.configFile;
    this.credentials = parts.credentials;
    this.beside = parts.redis === null ? [] : [parts.redis];
  }

  static async start(variant: SallyportVariant, bed: Bed): Promise<SallyportTarget> {
    const target = new SallyportTarget(variant.name, bed, await prepare(variant, bed));
    await target.#start();
    // Redis is to know what a later process does not.
    if (variant.redis) await target.#logIn(target.credentials.cold, target.credentials.coldCount, 8);
    return target;
  }

  get servers(): readonly Server[] {
    return this.#server === null ? [] : [this.#server];
  }

  async restart(): Promise<void> {
    await this.#server?.stop();
    await this.#start();
  }

  async stop(): Promise<void> {
    for (const server of [...this.servers, ...this.beside]) await server.stop();
  }

  async #start(): Promise<void> {
    const command = [launcher, 'serve', '--config', this.#configFile] as const;
    this.#server = new Server(this.name, 'target', command, {
      logFile: join(this.#bed.folder, 'gateway.log'),
    });
    await untilUp(this.#bed.generator, this.#server, this);
    await this.#logIn(this.credentials.hot, hotCount, 8);
    await this.#logIn(this.credentials.hot, warmLogins, this.atOnce);
  }

  async #logIn(credentials: string, total: number, atOnce: number): Promise<void> {
    const result = await this.#bed.generator.run({
      kind: 'login',
      port: this.imaps,
      credentials,
      total,
      atOnce,
    });
    if (result.logins !== total)
      throw new Error(`${this.name}: ${result.errors} logins failed: ${result.firstError}`);
  }
}

interface Prepared {
  readonly configFile: string;
  readonly ports: { readonly imaps: number; readonly smtps: number; readonly metrics: number };
  readonly credentials: Credentials;
  readonly redis: Server | null;
}

/** Configuration, keys, accounts and one app password each, made by the gateway's own parts in this process. */
async function prepare(variant: SallyportVariant, bed: Bed): Promise<Prepared> {
  const ports = { imaps: await freePort(), smtps: await freePort(), metrics: await freePort() };
  const redisPort = variant.redis ? await freePort() : null;
  const redis = redisPort === null ? null : startRedis(bed.folder, redisPort);
  const configFile = join(bed.folder, 'sallyport.yaml');
  const keysFile = join(bed.folder, 'keys.json');
  await mkdir(join(bed.folder, 'state'), { mode: 0o700 });
  await writeFile(
    configFile,
    stringify(await settings(variant, bed, { ...ports, redis: redisPort, keysFile })),
  );
  await createKeyFile(keysFile, Date.now());
  const passwords = await issueAppPasswords(configFile, hotCount + bed.coldUsers);
  const credentials = await writeCredentials(bed.folder, passwords, generateAppPassword().text());
  return { configFile, ports, credentials, redis };
}

function startRedis(folder: string, port: number): Server {
  const options = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--appendonly',
    'no',
    '--dir',
    folder,
  ];
  return new Server('redis', 'load', ['redis-server', ...options], { logFile: join(folder, 'redis.log') });
}

async function settings(
  { argon2 }: SallyportVariant,
  { folder, certificates, backend }: Bed,
  place: Prepared['ports'] & { readonly redis: number | null; readonly keysFile: string },
): Promise<object> {
  const host = '127.0.0.1';
  const portal = await freePort();
  return {
    hostname: 'mail.example.com',
    default_domain: domain,
    state_dir: join(folder, 'state'),
    keys_file: place.keysFile,
    tls: { certificates: [{ cert: certificates.certFile, key: certificates.keyFile }] },
    listen: [
      { door: 'imap', host, port: place.imaps, tls: 'implicit' },
      { door: 'smtp', host, port: place.smtps, tls: 'implicit' },
    ],
    portal: { host, port: portal, public_url: `https://localhost:${portal}` },
    metrics: { host, port: place.metrics },
    ...(place.redis === null ? {} : { redis: { url: `redis://${host}:${place.redis}` } }),
    backends: {
      stub: {
        imap: { host, port: backend.imap, tls: 'none' },
        smtp: { host, port: backend.smtp, tls: 'none' },
        login: { method: 'master', user: backend.master.user, password: backend.master.password },
      },
    },
    domains: {
      [domain]: { backend: 'stub', sign_in: { method: 'imap' }, mfa: 'required', enrollment: 'open' },
    },
    ...(argon2 === undefined ? {} : { app_passwords: { argon2 } }),
    limits: {
      connections: 20_000,
      connections_per_network: 20_000,
      handshakes_per_second: 100_000,
      handshake_burst: 100_000,
      sessions_per_credential: 10_000,
      sessions_per_account: 10_000,
      drain_time: '1s',
    },
    smtp: { concurrent_submissions: 1_000 },
  };
}

/** One app password for each of the first `count` users. */
async function issueAppPasswords(configFile: string, count: number): Promise<readonly string[]> {
  const loaded = await loadConfig(configFile, {});
  if (loaded.kind === 'invalid') throw new Error(`the configuration: ${loaded.problems.join('; ')}`);
  const { config, secrets } = loaded;
  const gateway = await startGateway({ config, secrets, logger: createLogger('error') });
  try {
    const { database, guard, appPasswords } = gateway.parts;
    const issue = async (index: number): Promise<string> => {
      const { account } = await createAccount(database, guard, `${userName(index)}@${domain}`, Date.now());
      const created = await appPasswords.create({
        account,
        label: 'Bench',
        scopes: ['imap', 'smtp'],
        networks: [],
        expiresInMs: null,
        actor: { kind: 'operator', user: 'bench' },
        createdBy: 'bench',
      });
      if (created.kind !== 'created') throw new Error(`no app password was made: ${created.kind}`);
      const text = created.secret.text();
      created.secret.wipe();
      return text;
    };
    return await Promise.all(Array.from({ length: count }, (_, index) => issue(index)));
  } finally {
    await gateway.stop();
  }
}
