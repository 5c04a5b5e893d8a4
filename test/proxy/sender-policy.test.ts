import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Domain, domain } from '../../src/config/domain-schema.ts';
import { type Fence, noFence } from '../../src/credentials/fence.ts';
import { loadSenderAliases } from '../../src/proxy/smtp/sender-aliases.ts';
import { SenderPolicy } from '../../src/proxy/smtp/sender-policy.ts';

const settings = { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'open' };
const notYours = '553 5.7.1 Sender address not allowed for this user';

function policy(
  mode: Domain['senderPolicy'],
  options: { fence?: Partial<Fence>; account?: string; aliases?: readonly string[] } = {},
) {
  const sender = new SenderPolicy({
    account: options.account ?? 'joe@example.com',
    policy: mode,
    fence: { ...noFence, ...options.fence },
    aliases: () => new Set(options.aliases),
  });
  const said = (refusal: ReturnType<SenderPolicy['envelope']>) =>
    refusal === null ? 'passes' : `${refusal.reply.code} ${refusal.reply.enhanced} ${refusal.reply.text}`;
  return {
    envelope: (path: string) => said(sender.envelope(path)),
    header: (text: string, path = 'joe@example.com') => said(sender.header(Buffer.from(text), path)),
    wantsHeader: (path = 'joe@example.com') => sender.wantsHeader(path),
  };
}

describe('S-53, wire 82: MAIL FROM', () => {
  it.each([
    'joe@example.com',
    'JOE@Example.COM',
    'joe+@example.com',
    'joe+list@example.com',
    'Joe+a+b@example.com',
    'info@example.com',
    'Info+x@example.com',
    'joe@xn--bcher-kva.example',
    'joe@bücher.example',
    '',
  ])('%j may be used', (path) => {
    const aliases = ['info@example.com', 'joe@xn--bcher-kva.example'];
    expect(policy('envelope', { aliases }).envelope(path)).toBe('passes');
  });

  it.each([
    'boss@example.com',
    'joe@example.net',
    'joe@sub.example.com',
    'joe@example.com.evil.example',
    '+joe@example.com',
    '+@example.com',
    'joe-x@example.com',
    'boss+joe@example.com',
    'joe%boss@example.com',
    '"joe"@example.com',
    '"boss@example.com"@example.com',
    'joe@example.com@example.com',
    'joe',
    'postmaster',
    'joe@[127.0.0.1]',
    'jоe@example.com',
    'joe@ｅxample.com',
    '\u212aoe@example.com',
    '@example.com',
    'joe@',
  ])('%j may not', (path) => {
    expect(policy('envelope').envelope(path)).toBe(notYours);
    expect(policy('both').envelope(path)).toBe(notYours);
    expect(policy('off').envelope(path)).toBe('passes');
  });

  it('an account with a tag of its own is not the account without', () => {
    const tagged = policy('envelope', { account: 'joe+work@example.com' });
    expect(tagged.envelope('joe+work@example.com')).toBe('passes');
    expect(tagged.envelope('joe@example.com')).toBe(notYours);
    expect(tagged.envelope('joe+other@example.com')).toBe(notYours);
  });
});

describe('S-53, wire 82: the header', () => {
  const own = 'From: Joe <joe@example.com>\r\n\r\n';
  const boss = 'From: Boss <boss@example.com>\r\n\r\n';

  it('is looked at in mode both only, or where MAIL FROM says nothing', () => {
    expect([policy('off').wantsHeader(), policy('off').wantsHeader('')]).toEqual([false, false]);
    expect([policy('envelope').wantsHeader(), policy('envelope').wantsHeader('')]).toEqual([false, true]);
    expect([policy('both').wantsHeader(), policy('both').wantsHeader('')]).toEqual([true, true]);
  });

  it.each([
    own,
    'From: joe+x@example.com\r\n',
    'From: "joe@example.com" <joe@example.com>\r\n',
    'From: joe@example.com\r\nSender: info@example.com\r\nReply-To: boss@example.com\r\n',
    'From: joe@example.com, info@example.com\r\n',
  ])('%j passes', (header) => {
    expect(policy('both', { aliases: ['info@example.com'] }).header(header)).toBe('passes');
  });

  it.each([
    boss,
    'From: joe@example.com, boss@example.com\r\n',
    'From: joe@example.com\r\nSender: boss@example.com\r\n',
    'From: "boss@example.com" <joe@example.com>\r\n',
    'From: =?utf-8?Q?boss=40example.com?= <joe@example.com>\r\n',
    'From: joe@example.com (boss@example.com)\r\n',
    'From: b\u00f6ss@example.com\r\n',
  ])('%j does not', (header) => {
    expect(policy('both').header(header)).toBe(notYours);
    expect(policy('envelope').header(header, '')).toBe(notYours);
  });

  it('without From, or with one that is read in two ways, is told apart', () => {
    expect(policy('both').header('Subject: x\r\n\r\n')).toBe('550 5.7.1 Message has no From field');
    expect(policy('both').header(`${own.trimEnd()}\r\n${boss}`)).toBe(
      '550 5.7.1 From or Sender field cannot be read with certainty: there are several From fields',
    );
  });
});

describe('S-58: allowed senders of an app password', () => {
  const fence = { from: ['scan@example.com', '@news.example'] };

  it('hold in envelope and header, whatever the policy of the domain', () => {
    const off = policy('off', { fence });
    expect(off.wantsHeader()).toBe(true);
    for (const address of ['scan@example.com', 'any@news.example']) {
      expect(off.envelope(address)).toBe('passes');
      expect(off.header(`From: ${address}\r\n`)).toBe('passes');
    }
    const refused = '550 5.7.1 This app password may not send as boss@example.com';
    expect(off.envelope('boss@example.com')).toBe(refused);
    expect(off.header('From: boss@example.com\r\n')).toBe(refused);
    expect(off.header('From: "boss@example.com" <scan@example.com>\r\n')).toBe(refused);
    expect(off.envelope('')).toBe('passes');
    expect(off.header('From: boss@example.com\r\n', '')).toBe(refused);
    expect(off.envelope('"x"@news.example')).toBe(
      '550 5.7.1 This app password may not send as "x"@news.example',
    );
  });

  it('narrow what the account may, and never widen it', () => {
    const both = policy('both', { fence: { from: ['@example.com'] }, aliases: ['joe@example.net'] });
    expect(both.envelope('joe@example.com')).toBe('passes');
    expect(both.envelope('boss@example.com')).toBe(notYours);
    expect(both.envelope('joe@example.net')).toBe(
      '550 5.7.1 This app password may not send as joe@example.net',
    );
  });

  it('do not make the header of mode envelope belong to the account', () => {
    const envelope = policy('envelope', { fence: { from: ['@example.com'] } });
    expect(envelope.header('From: boss@example.com\r\n')).toBe('passes');
    expect(envelope.header('From: boss@example.com\r\n', '')).toBe(notYours);
  });
});

describe('S-53: aliases', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-aliases-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const load = async (change: object) => {
    const loaded = await loadSenderAliases({ 'example.com': domain.parse({ ...settings, ...change }) });
    const aliases = Object.fromEntries([...loaded.aliases].map(([account, all]) => [account, [...all]]));
    return { aliases, problems: loaded.problems };
  };

  it('come from the configuration, in any spelling', async () => {
    const aliases = {
      'Info@Example.com': ['joe@example.com', 'ANNA@example.com'],
      'joe@bücher.example': ['Joe@example.com'],
    };
    expect(await load({ aliases })).toEqual({
      aliases: {
        'joe@example.com': ['info@example.com', 'joe@xn--bcher-kva.example'],
        'anna@example.com': ['info@example.com'],
      },
      problems: [],
    });
  });

  it.each([
    { '@example.com': ['joe@example.com'] },
    { info: ['joe@example.com'] },
    { 'info@example.com': [] },
  ])('%j is an error of the configuration', (aliases) => {
    expect(domain.safeParse({ ...settings, aliases }).success).toBe(false);
  });

  it('an account of another domain is told', async () => {
    const { aliases, problems } = await load({ aliases: { 'info@example.com': ['joe@example.net'] } });
    expect(aliases).toEqual({});
    expect(problems).toEqual([
      'domains.example.com.aliases.info@example.com: joe@example.net is not an address of example.com',
    ]);
  });

  it('come from a file as Postfix reads it', async () => {
    const file = join(folder, 'virtual');
    await writeFile(
      file,
      [
        '# virtual(5)',
        '',
        'example.com             anything',
        'info@example.com        joe@example.com, anna@example.com elsewhere@example.net',
        'Sales@Example.com\tjoe@example.com,',
        '  # a comment within',
        '    ANNA@example.com',
        '@example.com            joe@example.com',
        'joe                     joe@example.com',
        'team@example.com        info@example.com\r',
        'boss%x@example.com      joe@example.com',
      ].join('\n'),
    );
    expect(await load({ aliases_file: file, aliases: { 'a@example.org': ['joe@example.com'] } })).toEqual({
      aliases: {
        'joe@example.com': ['a@example.org', 'info@example.com', 'sales@example.com'],
        'anna@example.com': ['info@example.com', 'sales@example.com'],
        'info@example.com': ['team@example.com'],
      },
      problems: [],
    });
  });

  it('a file that is missing, too large or odd is a problem and no fault', async () => {
    const missing = join(folder, 'missing');
    expect((await load({ aliases_file: missing })).problems).toEqual([
      expect.stringMatching(/^domains\.example\.com\.aliases_file: .*ENOENT/),
    ]);
    const odd = join(folder, 'odd');
    await writeFile(odd, ' joe@example.com\ninfo@example.com\n');
    expect((await load({ aliases_file: odd })).problems).toEqual([
      `domains.example.com.aliases_file: ${odd} begins with a continuation`,
      `domains.example.com.aliases_file: ${odd}: "info@example.com" goes nowhere`,
    ]);
    const large = join(folder, 'large');
    await writeFile(large, Buffer.alloc(16_777_217, 0x23));
    expect((await load({ aliases_file: large })).problems).toEqual([
      `domains.example.com.aliases_file: ${large} is larger than 16777216 bytes`,
    ]);
  });
});
