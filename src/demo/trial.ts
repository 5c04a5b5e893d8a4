import { setTimeout as delay } from 'node:timers/promises';
import { type CurlResult, curl } from './curl.ts';
import { type DemoSite, demoAddress, message, welcomeSubject } from './site.ts';

/** One thing the trial does; `check` answers null when it went as documented, else what was seen instead. */
interface Step {
  readonly name: string;
  readonly check: () => Promise<string | null>;
}

const sentSubject = 'Sent through the gateway';
/** Postfix hands a message to Dovecot at once; a busy machine may take its time. */
const deliveryMs = 15_000;
/** Exit code of curl for a refused login. */
const loginDenied = 67;

/** Does what the demo promises with curl, a line per step; stops at the first surprise and answers whether there was none. */
export async function tryDemoSite(site: DemoSite, out: (line: string) => void): Promise<boolean> {
  for (const { name, check } of steps(site)) {
    const surprise = await check();
    out(surprise === null ? `ok      ${name}` : `FAILED  ${name}: ${surprise}`);
    if (surprise !== null) return false;
  }
  return true;
}

function steps(site: DemoSite): readonly Step[] {
  const required = 'Application-specific password required';
  return [
    {
      name: 'a mail is read over IMAPS with the app password',
      check: async () => found(await readFirst(site), welcomeSubject),
    },
    {
      name: 'a mail is sent over SMTPS with the app password',
      check: async () => accepted(await send(site)),
    },
    { name: 'that mail is read back over IMAPS', check: () => readBack(site) },
    {
      name: `IMAP refuses the main password: "NO [AUTHENTICATIONFAILED] ${required}: …"`,
      check: async () =>
        refused(await readFirst(site, site.mainPassword), [
          `* NO [ALERT] ${required}: ${site.portalUrl}`,
          `NO [AUTHENTICATIONFAILED] ${required}: ${site.portalUrl}`,
        ]),
    },
    {
      name: `SMTP refuses the main password: "535 5.7.8 ${required}. …"`,
      check: async () =>
        refused(await send(site, site.mainPassword), [
          `535 5.7.8 ${required}. Create one at ${site.portalUrl}`,
        ]),
    },
    {
      name: 'the app password is revoked',
      check: async () => {
        const { appPasswords } = site.gateway.parts;
        const result = await appPasswords.revoke(site.account.id, site.appPasswordId, 'demo', {
          kind: 'operator',
          user: 'demo',
        });
        return result === 'revoked' ? null : result;
      },
    },
    {
      name: 'IMAP refuses the revoked app password: "NO [AUTHENTICATIONFAILED] Authentication failed."',
      check: async () => refused(await readFirst(site), ['NO [AUTHENTICATIONFAILED] Authentication failed.']),
    },
    {
      name: 'SMTP refuses the revoked app password: "535 5.7.8 Authentication credentials invalid"',
      check: async () => refused(await send(site), ['535 5.7.8 Authentication credentials invalid']),
    },
  ];
}

function readFirst(site: DemoSite, password = site.appPassword): Promise<CurlResult> {
  return imap(site, password, 'INBOX;MAILINDEX=1');
}

function imap(site: DemoSite, password: string, path: string): Promise<CurlResult> {
  return curl({
    url: `imaps://localhost:${site.imapPort}/${path}`,
    cacert: site.caFile,
    user: `${demoAddress}:${password}`,
  });
}

function send(site: DemoSite, password = site.appPassword): Promise<CurlResult> {
  return curl({
    url: `smtps://localhost:${site.smtpPort}`,
    cacert: site.caFile,
    user: `${demoAddress}:${password}`,
    'mail-from': demoAddress,
    'mail-rcpt': demoAddress,
    'upload-file': site.messageFile,
  });
}

async function readBack(site: DemoSite): Promise<string | null> {
  const deadline = Date.now() + deliveryMs;
  for (;;) {
    const result = await imap(site, site.appPassword, 'INBOX;MAILINDEX=2');
    const surprise = found(result, sentSubject);
    if (surprise === null || Date.now() > deadline) return surprise;
    await delay(100);
  }
}

function found(result: CurlResult, subject: string): string | null {
  if (result.code !== 0) return ended(result);
  const body = message('').split('\r\n\r\n')[1]?.trim() ?? '';
  if (!result.output.includes(`Subject: ${subject}\r\n`)) return `the mail read is not "${subject}"`;
  return result.output.trimEnd().endsWith(body) ? null : 'the mail read has another text';
}

function accepted(result: CurlResult): string | null {
  if (result.code !== 0) return ended(result);
  return /^< 250 2\.0\.0 Ok: queued/m.test(result.dialogue)
    ? null
    : 'the backend did not say that it queued the mail';
}

function refused(result: CurlResult, replies: readonly string[]): string | null {
  if (result.code !== loginDenied) return ended(result);
  const missing = replies.find((reply) => !result.dialogue.includes(reply));
  return missing === undefined ? null : `the server did not say "${missing}"`;
}

function ended(result: CurlResult): string {
  const replies = result.dialogue.split(/\r?\n/).filter((line) => line.startsWith('< '));
  return `curl ended with ${result.code}, after ${JSON.stringify(replies.at(-1)?.slice(2) ?? 'nothing')}`;
}
