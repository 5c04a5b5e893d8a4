import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { destination } from 'pino';
import { loadConfig } from '../../src/config/load.ts';
import type { Scope } from '../../src/credentials/scope.ts';
import { type SettingOverrides, writeConfiguration } from '../../src/demo/configuration.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { type MailSite, startMailSite } from '../../src/demo/mail-site.ts';
import { makeScratchFolder } from '../../src/demo/scratch-folder.ts';
import { type Gateway, startGateway } from '../../src/main.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { tester } from './journal.ts';

export const alice = 'alice@example.com';
export const bob = 'bob@example.com';

/** An app password as a test needs it; `secret` is the 16 letters. */
export interface IssuedAppPassword {
  readonly id: Buffer;
  readonly accountId: Buffer;
  readonly secret: string;
}

/** What an app password is good for; everything where nothing is said. */
export interface AppPasswordLimits {
  readonly scopes?: readonly Scope[];
  readonly networks?: readonly string[];
  readonly expiresInMs?: number;
}

/** A whole gateway in this process in front of a Dovecot and a Postfix of its own. */
export interface TestGateway {
  readonly folder: string;
  readonly site: MailSite;
  readonly gateway: Gateway;
  readonly imapPort: number;
  readonly imapStartTlsPort: number;
  readonly pop3Port: number;
  readonly pop3StartTlsPort: number;
  readonly smtpPort: number;
  readonly smtpStartTlsPort: number;
  readonly portalUrl: string;
  readonly ca: Buffer;
  readonly caFile: string;
  readonly configFile: string;
  readonly logFile: string;
  readonly databaseFile: string;
  readonly mainPasswords: Readonly<Record<string, string>>;
  /** Makes the account too, where it is new. */
  issue(address: string, limits?: AppPasswordLimits): Promise<IssuedAppPassword>;
  stop(): Promise<void>;
}

/** Starts it with accounts alice and bob; logs at trace level, so that what must not be logged has every chance to be. */
export async function startTestGateway(
  overrides: SettingOverrides = {},
  /** Addresses besides, with mailboxes and without main passwords. */
  others: readonly string[] = [],
): Promise<TestGateway> {
  const closers: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const scratch = await makeScratchFolder();
    closers.push(() => scratch.remove());
    const mainPasswords = { [alice]: 'Main password of alice', [bob]: 'Main password of bob' };
    const mailboxes = Object.fromEntries(others.map((address) => [address, randomUUID()]));
    const site = await startMailSite(scratch.path, { ...mailboxes, ...mainPasswords });
    closers.push(() => site.stop());
    const configFile = await writeConfiguration(site, {
      log_level: 'trace',
      listen: await everyDoor(),
      // Else each app password would be a message in the mailboxes.
      notices: { enabled: false },
      ...overrides,
    });
    const loaded = await loadConfig(configFile, {});
    if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
    const { config, secrets } = loaded;
    const logFile = join(scratch.path, 'gateway.log');
    const logger = createLogger(config.logLevel, destination({ dest: logFile, sync: true }));
    const gateway = await startGateway({ config, secrets, logger });
    closers.push(() => gateway.stop());
    return {
      folder: scratch.path,
      site,
      gateway,
      imapPort: gateway.ports.imap[0] ?? 0,
      imapStartTlsPort: gateway.ports.imap[1] ?? 0,
      pop3Port: gateway.ports.pop3[0] ?? 0,
      pop3StartTlsPort: gateway.ports.pop3[1] ?? 0,
      smtpPort: gateway.ports.smtp[0] ?? 0,
      smtpStartTlsPort: gateway.ports.smtp[1] ?? 0,
      portalUrl: config.portal.publicUrl.origin,
      ca: site.certificates.ca,
      caFile: site.certificates.caFile,
      configFile,
      logFile,
      databaseFile: config.database.engine === 'sqlite' ? config.database.file : '',
      mainPasswords,
      issue: (address, limits = {}) => issue(gateway, address, limits),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each protocol with implicit TLS, then with STARTTLS. */
async function everyDoor(): Promise<readonly object[]> {
  const doors = ['imap', 'pop3', 'smtp'].flatMap((door) =>
    ['implicit', 'starttls'].map((tls) => ({ door, tls })),
  );
  return await Promise.all(
    doors.map(async (door) => ({ ...door, host: '127.0.0.1', port: await freePort() })),
  );
}

async function issue(
  gateway: Gateway,
  address: string,
  limits: AppPasswordLimits,
): Promise<IssuedAppPassword> {
  const { account } = await createAccount(gateway.parts.database, gateway.parts.guard, address, Date.now());
  const created = await gateway.parts.appPasswords.create({
    account,
    label: 'test',
    scopes: limits.scopes ?? ['imap', 'smtp'],
    networks: limits.networks ?? [],
    expiresInMs: limits.expiresInMs,
    createdBy: 'test',
    actor: tester,
    isByOperator: true,
  });
  if (created.kind !== 'created') throw new Error(created.kind);
  return { id: created.id, accountId: account.id, secret: created.secret.text() };
}
