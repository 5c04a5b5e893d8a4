import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import {
  alice,
  bob,
  type IssuedAppPassword,
  startTestGateway,
  type TestGateway,
} from '../support/gateway.ts';
import { LineClient } from '../support/line-client.ts';
import { plain } from '../support/sasl.ts';
import { until } from '../support/until.ts';
import { makeSite, type Site } from './site.ts';

/** What `session list --json` prints of a session. */
interface Listed {
  readonly id: string;
  readonly protocol: string;
  readonly account: string;
  readonly credential: string;
  readonly label: string | null;
  readonly bytesUp: number;
  readonly bytesDown: number;
}

describe('without a gateway', () => {
  let site: Site;
  beforeAll(async () => {
    site = await makeSite();
  });
  afterAll(() => site.remove());

  it('says that none runs, exit 1, and needs neither keys nor database', async () => {
    for (const words of [['list'], ['list', '--json'], ['end', '--account', 'anna']]) {
      expect(await site.command('session', ...words)).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(/^No gateway runs on this host with the state_dir /),
      });
    }
  });

  it.each([
    [['end'], /^Say which sessions: one of --account ADDRESS, --credential ID, --id SESSION\.$/],
    [['end', '--account', 'anna', '--id', 'k3'], /^Say which sessions/],
    [['end', '--credential', 'Outlook'], /^"Outlook" is not an id: 32 hexadecimal digits/],
    [['end', '--account', 'no one'], /^"no one" is not a mailbox address\.$/],
    [['list', '--account', '*'], /^"\*" is not a mailbox address\.$/],
    [['list', '--all'], /unknown option/],
  ])('%j is wrong usage, exit 2', async (words, sentence) => {
    const { code, out, err } = await site.command('session', ...words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(sentence);
  });
});

describe('with a gateway', () => {
  let bed: TestGateway;
  let phone: IssuedAppPassword;
  let scanner: IssuedAppPassword;
  let bobs: IssuedAppPassword;
  let clients: LineClient[] = [];

  beforeAll(async () => {
    bed = await startTestGateway();
    phone = await bed.issue(alice);
    scanner = await bed.issue(alice);
    bobs = await bed.issue(bob);
  });
  afterEach(async () => {
    for (const client of clients) client.close();
    clients = [];
    await until(() => bed.gateway.parts.registry.size === 0);
  });
  afterAll(() => bed.stop());

  async function session(...words: string[]): Promise<{ code: number; out: string; err: string }> {
    const out: string[] = [];
    const err: string[] = [];
    const code = await run(['session', ...words, '--config', bed.configFile], {
      out: (line) => out.push(line),
      err: (line) => err.push(line),
      environment: {},
      signal: new AbortController().signal,
      now: Date.now,
    });
    return { code, out: out.join('\n'), err: err.join('\n') };
  }
  const listed = async (...words: string[]): Promise<readonly Listed[]> =>
    JSON.parse((await session('list', '--json', ...words)).out) as Listed[];
  const hex = ({ id }: IssuedAppPassword) => id.toString('hex');

  async function imap(address: string, { secret }: IssuedAppPassword): Promise<LineClient> {
    const client = await LineClient.connect(bed.imapPort, bed.ca);
    clients.push(client);
    await client.line();
    await client.imap('i', 'ID ("name" "Thunderbird")');
    expect((await client.imap('a', `LOGIN ${address} ${secret}`)).at(-1)).toMatch(/^a OK /);
    return client;
  }

  async function smtp(address: string, { secret }: IssuedAppPassword): Promise<LineClient> {
    const client = await LineClient.connect(bed.smtpPort, bed.ca);
    clients.push(client);
    await client.line();
    await client.smtp('EHLO scanner.example.com');
    expect(await client.smtp(`AUTH PLAIN ${plain(address, secret)}`)).toEqual([
      expect.stringMatching(/^235 /),
    ]);
    return client;
  }

  /** What is left to read once the gateway has closed. */
  const rest = (client: LineClient) => client.linesUntil(() => false);

  it('list shows who, since when, from where, with what, and how much', async () => {
    expect(await session('list')).toEqual({ code: 0, out: 'There are no live sessions.', err: '' });
    await imap(alice, phone);
    await smtp(bob, bobs);
    const { code, out, err } = await session('list');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const [header, ...rows] = out.split('\n');
    expect(header).toMatch(/^ID +PROTOCOL +ACCOUNT +SINCE +FROM +CLIENT +APP PASSWORD +UP +DOWN$/);
    expect(rows).toHaveLength(2);
    const day = new Date().toISOString().slice(0, 4);
    expect(rows.find((row) => row.includes(alice))).toMatch(
      new RegExp(
        `^\\S{12} +imap +${alice} +${day}\\S+ \\S+ UTC +127\\.0\\.0\\.1 +Thunderbird +${hex(phone)} `,
      ),
    );
    expect(rows.find((row) => row.includes(bob))).toMatch(
      new RegExp(` smtp +${bob} .* scanner\\.example\\.com +${hex(bobs)} `),
    );
  });

  it('list counts bytes while they pass, and names the app passwords of an account', async () => {
    const client = await imap(alice, phone);
    await imap(bob, bobs);
    await client.imap('b', 'SELECT INBOX');
    const [first, ...more] = await listed('--account', 'ALICE@example.com');
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      protocol: 'imap',
      account: alice,
      credential: hex(phone),
      label: 'test',
      client: 'Thunderbird',
      mechanism: 'LOGIN command',
      peerAddress: '127.0.0.1',
      security: 'tls',
      state: 'open',
    });
    expect(first?.bytesUp).toBe('b SELECT INBOX\r\n'.length);
    expect(first?.bytesDown).toBeGreaterThan(0);
    await client.imap('c', 'NOOP');
    expect((await listed('--account', alice))[0]?.bytesUp).toBeGreaterThan(first?.bytesUp ?? 0);
    expect((await session('list', '--account', alice)).out).toMatch(/ test +24 B /);
    expect((await session('list', '--account', 'carol@example.com')).out).toBe(
      'carol@example.com has no live sessions.',
    );
  });

  it('end by id ends one, at once', async () => {
    const one = await imap(alice, phone);
    const [id] = (await listed()).map((each) => each.id);
    const other = await imap(alice, phone);
    expect(await session('end', '--id', id ?? '')).toEqual({ code: 0, out: 'Ended 1 session.', err: '' });
    expect(await rest(one)).toEqual([]);
    expect((await other.imap('b', 'NOOP')).at(-1)).toMatch(/^b OK /);
    expect(await session('end', '--id', id ?? '')).toEqual({ code: 0, out: 'Ended 0 sessions.', err: '' });
  });

  it('end by credential ends those of an app password, IMAP and SMTP', async () => {
    const one = await imap(alice, phone);
    const two = await smtp(alice, phone);
    const other = await imap(alice, scanner);
    expect((await session('end', '--credential', hex(phone))).out).toBe('Ended 2 sessions.');
    expect(await rest(one)).toEqual([]);
    expect(await rest(two)).toEqual(['421 4.7.0 Session ended']);
    expect((await other.imap('b', 'NOOP')).at(-1)).toMatch(/^b OK /);
    expect((await listed()).map(({ credential }) => credential)).toEqual([hex(scanner)]);
  });

  it('end by account ends all of it and nobody else; what it signed in with stays valid', async () => {
    const ends = [await imap(alice, phone), await imap(alice, scanner)];
    const other = await imap(bob, bobs);
    const { out } = await session('end', '--account', 'Alice', '--json');
    expect(JSON.parse(out)).toEqual({ ended: 2, silent: [], isAlone: false });
    for (const client of ends) expect(await rest(client)).toEqual([]);
    expect((await other.imap('b', 'NOOP')).at(-1)).toMatch(/^b OK /);
    await imap(alice, phone);
  });

  it('a second gateway with the same state_dir does not start', async () => {
    const out: string[] = [];
    const io = { out: () => {}, err: (line: string) => out.push(line), environment: {}, now: Date.now };
    const code = await run(['serve', '--config', bed.configFile], {
      ...io,
      signal: new AbortController().signal,
    });
    expect(out.join('\n')).toMatch(/^another gateway runs with the state_dir /i);
    expect(code).toBe(78);
  });

  // The last one: it stops the gateway.
  it('wire 68: the socket answers during a drain and is gone after it', async () => {
    const client = await imap(alice, phone);
    const drained = bed.gateway.drain();
    expect((await listed()).map(({ account }) => account)).toEqual([alice]);
    expect((await session('end', '--account', alice)).out).toBe('Ended 1 session.');
    expect(await rest(client)).toEqual([]);
    await drained;
    expect((await session('list')).err).toMatch(/^No gateway runs on this host/);
  });
});
