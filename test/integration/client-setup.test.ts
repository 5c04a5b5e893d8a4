import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ImapFlow } from 'imapflow';
import { PortalSessions } from '../../src/identity/portal-session.ts';
import { createAccount } from '../../src/store/accounts.ts';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';

const run = promisify(execFile);

// Each test runs what people are told to run, against a whole gateway.
let gateway: TestGateway;
let cookie: string;
let csrf: string;
beforeAll(async () => {
  gateway = await startTestGateway({ client_setup: { host: 'localhost' } });
  const { database, guard } = gateway.gateway.parts;
  const sessions = new PortalSessions({ database, guard, now: Date.now });
  const { account } = await createAccount(database, guard, alice, Date.now());
  const full = await sessions.stepUp((await sessions.startFirstFactor(account)).session);
  if (full === null) throw new Error('the session was gone');
  cookie = `__Host-sp=${full.token}`;
  csrf = full.session.csrf;
});
afterAll(async () => {
  await gateway.stop();
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

function ask(
  method: 'GET' | 'POST',
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body = '',
): Promise<Answer> {
  const { port, host } = new URL(gateway.portalUrl);
  return new Promise((resolve, reject) => {
    const asked = request(
      {
        host: '127.0.0.1',
        port,
        path,
        method,
        ca: gateway.ca,
        servername: 'localhost',
        headers: { host, ...headers },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () =>
          resolve({
            status: answer.statusCode ?? 0,
            type: answer.headers['content-type'] ?? '',
            body: Buffer.concat(parts),
          }),
        );
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

const form = { 'content-type': 'application/x-www-form-urlencoded' };
const post = async (path: string, fields: Readonly<Record<string, string>>) =>
  await ask(
    'POST',
    path,
    { ...form, cookie, origin: gateway.portalUrl },
    String(new URLSearchParams({ csrf, ...fields })),
  );

describe('a profile for Apple devices', () => {
  it('is signed by the certificate of the pages, and its app password logs in', async () => {
    const answer = await post('/apple-device', { device: 'iPhone', way: 'here' });
    expect(answer.status).toBe(200);
    expect(answer.type).toBe('application/x-apple-aspen-config');
    const file = join(gateway.folder, 'mail.mobileconfig');
    await writeFile(file, answer.body);
    const { stdout } = await run('openssl', [
      ...['cms', '-verify', '-inform', 'DER', '-purpose', 'any', '-in', file, '-CAfile', gateway.caFile],
    ]);
    const program =
      'import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb"))["PayloadContent"][0]))';
    const plist = join(gateway.folder, 'mail.plist');
    await writeFile(plist, stdout);
    const read = await run('python3', ['-c', program, plist]);
    const account = JSON.parse(read.stdout) as {
      IncomingMailServerPortNumber: number;
      IncomingMailServerUsername: string;
      IncomingPassword: string;
      OutgoingMailServerPortNumber: number;
    };
    expect(account.IncomingMailServerPortNumber).toBe(gateway.imapPort);
    expect(account.OutgoingMailServerPortNumber).toBe(gateway.smtpPort);
    const client = new ImapFlow({
      host: 'localhost',
      port: account.IncomingMailServerPortNumber,
      secure: true,
      auth: { user: account.IncomingMailServerUsername, pass: account.IncomingPassword },
      tls: { ca: gateway.ca },
      logger: false,
    });
    await client.connect();
    expect(client.authenticated).toBeTruthy();
    expect(account.IncomingMailServerUsername).toBe(alice);
    await client.logout();
  });
});

describe('what mail programs look up', () => {
  it('is served beside the pages, also under the names of a domain and without a session', async () => {
    const { port } = new URL(gateway.portalUrl);
    const host = `autoconfig.example.com:${port}`;
    const autoconfig = await ask('GET', '/mail/config-v1.1.xml?emailaddress=alice%40example.com', { host });
    expect(autoconfig.status).toBe(200);
    expect(autoconfig.body.toString()).toContain(`<port>${gateway.imapPort}</port>`);
    const discover = await ask(
      'POST',
      '/Autodiscover/Autodiscover.xml',
      {
        host: `autodiscover.example.com:${port}`,
        'content-type': 'text/xml',
        authorization: 'Basic c2VjcmV0',
      },
      '<Autodiscover><Request><EMailAddress>alice@example.com</EMailAddress></Request></Autodiscover>',
    );
    expect(discover.status).toBe(200);
    expect(discover.body.toString()).toContain(`<Port>${gateway.smtpPort}</Port>`);
    // The pages themselves are under their own name only, and take no XML.
    expect((await ask('GET', '/sign-in', { host })).status).toBe(421);
    const page = await ask(
      'POST',
      '/sign-in',
      { 'content-type': 'text/xml', origin: gateway.portalUrl },
      '<a/>',
    );
    expect(page.status).toBe(415);
  });
});

describe('the guide for scripts', () => {
  it('works as it is printed', async () => {
    const { secret } = await gateway.issue(alice);
    const home = join(gateway.folder, 'home');
    await mkdir(home);
    const html = (await ask('GET', '/help/script', { cookie })).body.toString();
    const samples = [...html.matchAll(/<pre[^>]*><code[^>]*>([\s\S]*?)<\/code><\/pre>/g)].map((match) =>
      (match[1] ?? '').replaceAll('&quot;', '"').replaceAll('&amp;', '&'),
    );
    const [netrc, curl, , python] = samples as [string, string, string, string];
    await writeFile(join(home, '.netrc'), netrc.replace('APP-PASSWORD', secret), { mode: 0o600 });
    await writeFile(join(home, '.app-password'), `${secret}\n`, { mode: 0o600 });
    const env = {
      PATH: process.env.PATH,
      HOME: home,
      CURL_CA_BUNDLE: gateway.caFile,
      SSL_CERT_FILE: gateway.caFile,
    };
    await writeFile(join(home, 'send.py'), python);
    await run('python3', [join(home, 'send.py')], { env });
    const { stdout } = await run(
      'sh',
      ['-c', curl.replace('curl ', 'curl -sS -X "STATUS INBOX (MESSAGES)" ')],
      { env },
    );
    expect(stdout).toMatch(/\* STATUS "?INBOX"? \(MESSAGES \d+\)/);
  });
});
