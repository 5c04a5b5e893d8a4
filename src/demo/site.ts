import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { destination } from 'pino';
import { loadConfig } from '../config/load.ts';
import { formatAppPassword } from '../credentials/app-password.ts';
import { type Gateway, startGateway } from '../main.ts';
import { createLogger } from '../observability/logger.ts';
import { createAccount } from '../store/accounts.ts';
import type { Account } from '../store/schema.ts';
import { writeConfiguration } from './configuration.ts';
import { type MailSite, startMailSite } from './mail-site.ts';
import { makeScratchFolder } from './scratch-folder.ts';

export const demoAddress = 'alice@example.com';
export const welcomeSubject = 'Read through the gateway';

/** A whole site on this machine: mail servers, gateway, one account with one app password. */
export interface DemoSite {
  readonly gateway: Gateway;
  readonly account: Account;
  /** For the portal. */
  readonly mainPassword: string;
  /** As shown to people, in four groups. */
  readonly appPassword: string;
  readonly appPasswordId: Buffer;
  readonly caFile: string;
  readonly imapPort: number;
  readonly smtpPort: number;
  readonly portalUrl: string;
  readonly logFile: string;
  readonly configFile: string;
  /** A message ready to be sent by alice to herself. */
  readonly messageFile: string;
  /** Ends everything and removes the folder. Idempotent. */
  stop(): Promise<void>;
}

/** Starts it all in a scratch folder. Throws, with nothing left behind, where a server or the gateway does not start. */
export async function startDemoSite(): Promise<DemoSite> {
  const closers: (() => Promise<void>)[] = [];
  const stop = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const scratch = await makeScratchFolder();
    closers.push(() => scratch.remove());
    const mainPassword = `Demo-${randomBytes(5).toString('hex')}`;
    const site = await startMailSite(scratch.path, { [demoAddress]: mainPassword });
    closers.push(() => site.stop());
    await deliverWelcome(site, mainPassword);

    const configFile = await writeConfiguration(site);
    const loaded = await loadConfig(configFile, {});
    if (loaded.kind === 'invalid') throw new Error(`the demo's configuration: ${loaded.problems.join('; ')}`);
    const logFile = join(scratch.path, 'gateway.log');
    const log = destination({ dest: logFile, sync: true, mode: 0o600 });
    const { config, secrets } = loaded;
    const gateway = await startGateway({ config, secrets, logger: createLogger(config.logLevel, log) });
    closers.push(() => gateway.stop());

    const { account } = await createAccount(
      gateway.parts.database,
      gateway.parts.guard,
      demoAddress,
      Date.now(),
    );
    const created = await gateway.parts.appPasswords.create({
      account,
      label: 'Demo',
      scopes: ['imap', 'smtp'],
      networks: [],
      expiresInMs: undefined,
      unusedAfterMs: null,
      createdBy: 'demo',
      actor: { kind: 'operator', user: 'demo' },
    });
    if (created.kind !== 'created') throw new Error(`no app password was made: ${created.kind}`);
    const messageFile = join(scratch.path, 'message.eml');
    await writeFile(messageFile, message('Sent through the gateway'));
    return {
      gateway,
      account,
      mainPassword,
      appPassword: formatAppPassword(created.secret),
      appPasswordId: created.id,
      caFile: site.certificates.caFile,
      imapPort: boundPort(gateway.ports.imap),
      smtpPort: boundPort(gateway.ports.smtp),
      portalUrl: config.portal.publicUrl.origin,
      logFile,
      configFile,
      messageFile,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A message of alice to herself, ready for DATA but for its dots. */
export function message(subject: string): string {
  const lines = [
    `From: Alice <${demoAddress}>`,
    `To: Alice <${demoAddress}>`,
    `Subject: ${subject}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'It works.',
    '',
  ];
  return lines.join('\r\n');
}

async function deliverWelcome(site: MailSite, mainPassword: string): Promise<void> {
  const imap = new ImapFlow({
    host: 'localhost',
    port: site.imaps,
    secure: true,
    tls: { ca: site.certificates.ca },
    auth: { user: demoAddress, pass: mainPassword },
    logger: false,
  });
  await imap.connect();
  await imap.append('INBOX', message(welcomeSubject));
  await imap.logout();
}

function boundPort(ports: readonly number[]): number {
  const [port] = ports;
  if (port === undefined) throw new Error('the gateway opened no mail port');
  return port;
}
