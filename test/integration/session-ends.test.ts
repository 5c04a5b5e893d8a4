import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { alice, type IssuedAppPassword, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { tester } from '../support/journal.ts';
import { LineClient } from '../support/line-client.ts';
import { openBackendMailbox } from '../support/mailbox.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';

// Whatever a session rests on ends it: one in IDLE, and one within DATA, of which nothing is delivered.

let bed: TestGateway;
const closers: (() => void)[] = [];
const people = ['revoked', 'narrowed', 'disabled', 'reset', 'erased', 'expired'].map(
  (name) => `${name}@example.com`,
);

beforeAll(async () => {
  bed = await startTestGateway({}, people);
}, 60_000);
afterAll(async () => {
  for (const close of closers.splice(0)) close();
  await bed.stop();
});

const wrong = 'AUTHENTICATIONFAILED';

async function connect(port: number): Promise<LineClient> {
  const client = await LineClient.connect(port, bed.ca);
  closers.push(() => client.close());
  await client.line();
  return client;
}

/** IMAP in IDLE. */
async function idle(account: string, secret: string): Promise<LineClient> {
  const client = await connect(bed.imapPort);
  expect((await client.imap('a', `LOGIN ${account} ${secret}`)).at(-1)).toMatch(/^a OK /);
  await client.imap('b', 'SELECT INBOX');
  client.send('c IDLE');
  await client.linesUntil((line) => line.startsWith('+ '));
  return client;
}

/** SMTP in the middle of a message to alice. */
async function sending(account: string, secret: string, subject: string): Promise<LineClient> {
  const client = await connect(bed.smtpPort);
  await client.smtp('EHLO client');
  expect(await client.smtp(`AUTH PLAIN ${plain(account, secret)}`)).toEqual([expect.stringMatching(/^235 /)]);
  await client.smtp(`MAIL FROM:<${account}>`);
  await client.smtp(`RCPT TO:<${alice}>`);
  expect(await client.smtp('DATA')).toEqual([expect.stringMatching(/^354 /)]);
  client.send(`Subject: ${subject}`);
  client.send('');
  client.send('the first half');
  return client;
}

/** How a login ends: OK, or the code of the refusal. */
async function codeOf(account: string, secret: string): Promise<string> {
  const client = await connect(bed.imapPort);
  const answer = (await client.imap('a', `LOGIN ${account} ${secret}`)).at(-1) ?? '';
  client.close();
  return /^a NO \[(\S+)\]/.exec(answer)?.[1] ?? answer.slice(0, 4);
}

async function command(...words: string[]): Promise<void> {
  const lines: string[] = [];
  const code = await run(['--config', bed.configFile, ...words], {
    out: (line) => lines.push(line),
    err: (line) => lines.push(line),
    environment: {},
    signal: AbortSignal.timeout(60_000),
    now: Date.now,
  });
  if (code !== 0) throw new Error(`${words.join(' ')}: ${lines.join('\n')}`);
}

/** No message of that subject, and the ones that follow arrive: so none is on its way either. */
async function nothingDelivered(subject: string): Promise<boolean> {
  const imap = await openBackendMailbox(bed, alice);
  try {
    return ((await imap.search({ header: { subject } })) || []).length === 0;
  } finally {
    await imap.logout();
  }
}

const update = (
  { accountId, id }: IssuedAppPassword,
  change: Parameters<TestGateway['gateway']['parts']['appPasswords']['update']>[2],
) => bed.gateway.parts.appPasswords.update(accountId, id, change, 'test', tester);

interface Cause {
  readonly account: string;
  readonly expiresInMs?: number;
  readonly end: (of: IssuedAppPassword) => Promise<unknown>;
  /** What a client that comes back is told. */
  readonly told: string;
}

const causes: readonly (readonly [string, Cause])[] = [
  [
    'revoked by the command line',
    {
      account: 'revoked@example.com',
      end: ({ id }) => command('app-password', 'revoke', id.toString('hex')),
      told: wrong,
    },
  ],
  [
    'all revoked',
    {
      account: 'revoked@example.com',
      end: ({ accountId }) => bed.gateway.parts.appPasswords.revokeAll(accountId, 'test', tester),
      told: wrong,
    },
  ],
  [
    'the protocol taken away',
    {
      account: 'narrowed@example.com',
      end: (of) => update(of, { scopes: ['pop3'] }),
      told: 'AUTHORIZATIONFAILED',
    },
  ],
  [
    'the network taken away',
    {
      account: 'narrowed@example.com',
      end: (of) => update(of, { networks: ['10.0.0.0/8'] }),
      told: 'AUTHORIZATIONFAILED',
    },
  ],
  ['paused', { account: 'narrowed@example.com', end: (of) => update(of, { state: 'paused' }), told: wrong }],
  [
    'its account disabled',
    {
      account: 'disabled@example.com',
      end: () => command('account', 'disable', 'disabled@example.com'),
      told: wrong,
    },
  ],
  [
    'its account erased',
    {
      account: 'erased@example.com',
      end: () => command('account', 'erase', 'erased@example.com', '--yes'),
      told: wrong,
    },
  ],
  [
    'its second factor reset, app passwords with it',
    {
      account: 'reset@example.com',
      end: () => command('account', 'reset-mfa', 'reset@example.com', '--app-passwords', 'revoke'),
      told: wrong,
    },
  ],
  [
    'its expiry reached',
    { account: 'expired@example.com', expiresInMs: 4_000, end: async () => undefined, told: 'EXPIRED' },
  ],
];

describe('S-56, S-57: what is ended ends its sessions and its cached record', () => {
  it.each(causes)(
    '%s',
    async (name, { account, expiresInMs, end, told }) => {
      const issued = await bed.issue(account, expiresInMs === undefined ? {} : { expiresInMs });
      const bystander = await bed.issue(alice);
      const subject = `never ${name}`;
      const idling = await idle(account, issued.secret);
      const within = await sending(account, issued.secret, subject);
      const other = await idle(alice, bystander.secret);
      await end(issued);

      // The connection ends without an answer to IDLE.
      expect(await idling.linesUntil(() => false)).not.toContainEqual(expect.stringMatching(/^c /));
      const said = await within.linesUntil(() => false);
      expect(said.filter((line) => /^[23]/.test(line))).toEqual([]);
      expect(said).toContainEqual(expect.stringMatching(/^4[25]1 /));
      expect(await codeOf(account, issued.secret)).toBe(told);
      other.send('DONE');
      expect((await other.linesUntil((line) => line.startsWith('c '))).at(-1)).toMatch(/^c OK /);
      expect(await nothingDelivered(subject)).toBe(true);
    },
    90_000,
  );

  it('and leaves none in the registry', async () => {
    await until(() =>
      bed.gateway.parts.registry.sessions().every(({ login }) => !people.includes(login.address)),
    );
  });
});
