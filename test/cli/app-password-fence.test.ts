import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import Sqlite from 'better-sqlite3';
import { makeSite, type Site } from './site.ts';

let site: Site;
beforeAll(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
  await site.command('account', 'create', 'anna');
});
afterAll(() => site.remove());

const none = {
  from: null,
  recipientDomains: null,
  messagesPerHour: null,
  messagesPerDay: null,
  recipientsPerHour: null,
  recipientsPerDay: null,
  maxBytes: null,
};

async function create(...words: string[]): Promise<string> {
  const made = await site.dataOf(
    'app-password',
    'create',
    '--account',
    'anna',
    '--label',
    'Scanner',
    ...words,
  );
  return (made as { id: string }).id;
}
const update = (...words: string[]) => site.command('app-password', 'update', ...words);
const show = async (id: string) => (await site.dataOf('app-password', 'show', id)) as Record<string, unknown>;

function revocations(): unknown[] {
  const database = new Sqlite(site.databaseFile, { readonly: true });
  try {
    return database.prepare('SELECT hex(credential_id) AS id, reason FROM revocation ORDER BY seq').all();
  } finally {
    database.close();
  }
}

describe('S-58: app-password create and update', () => {
  it('set every part of the fence, and list and show tell it', async () => {
    const id = await create(
      ...['--scope', 'smtp', '--send-from', 'Scan@Example.com, @b.example', '--send-to', 'Example.com'],
      ...['--messages-per-hour', '20', '--messages-per-day', '100'],
      ...['--recipients-per-hour', '40', '--recipients-per-day', '200', '--max-size', '10M'],
    );
    const fence = {
      from: ['@b.example', 'scan@example.com'],
      recipientDomains: ['example.com'],
      messagesPerHour: 20,
      messagesPerDay: 100,
      recipientsPerHour: 40,
      recipientsPerDay: 200,
      maxBytes: 10_485_760,
    };
    expect(await show(id)).toMatchObject({ id, fence });
    expect(await site.dataOf('app-password', 'list', '--account', 'anna')).toMatchObject([{ id, fence }]);
    const { out } = await site.command('app-password', 'show', id);
    expect(out).toMatch(/^recipientDomains +example\.com$/m);
    expect(out).toMatch(/^maxBytes +10485760$/m);
  });

  it('change what is mentioned and nothing else, and lift by the word none', async () => {
    const id = await create(
      '--send-to',
      'example.com',
      '--messages-per-hour',
      '20',
      '--network',
      '192.0.2.0/24',
    );
    const before = await show(id);
    expect(await update(id, '--messages-per-hour', 'none', '--max-size', '500k')).toMatchObject({
      code: 0,
      out: `${id} updated`,
    });
    expect(await show(id)).toEqual({
      ...before,
      fence: { ...none, recipientDomains: ['example.com'], maxBytes: 512_000 },
    });
    await update(id, '--no-fence', '--messages-per-day', '5', '--network', 'none', '--label', 'Printer');
    expect(await show(id)).toEqual({
      ...before,
      label: 'Printer',
      networks: [],
      fence: { ...none, messagesPerDay: 5 },
    });
    await update(id, '--no-fence', '--expires', '12h', '--scope', 'smtp,legacy-tls');
    expect(await show(id)).toMatchObject({
      scopes: ['smtp', 'legacy-tls'],
      expiresAt: expect.any(String),
      fence: none,
    });
    await update(id, '--expires', 'none');
    expect(await show(id)).toMatchObject({ expiresAt: null });
  });

  it('S-56: tell the gateways of every change but that of a label', async () => {
    const id = await create();
    const before = revocations().length;
    await update(id, '--label', 'Another');
    expect(revocations()).toHaveLength(before);
    await update(id, '--send-to', 'example.com');
    expect(revocations().slice(before)).toEqual([
      { id: id.toUpperCase(), reason: expect.stringMatching(/^changed by cli:/) },
    ]);
    await update(id, '--send-to', 'EXAMPLE.com');
    expect(revocations()).toHaveLength(before + 1);
  });

  it('wire 123: legacy-tls is never the default, and no protocol', async () => {
    expect(await show(await create())).toMatchObject({ scopes: ['imap', 'smtp'] });
    expect(
      await site.command(
        'app-password',
        'create',
        '--account',
        'anna',
        '--label',
        'x',
        '--scope',
        'legacy-tls',
      ),
    ).toMatchObject({ code: 2, err: expect.stringMatching(/at least one protocol/) });
  });

  it('S-34: a row that was changed by hand is only to be revoked', async () => {
    const id = await create('--send-to', 'example.com');
    const database = new Sqlite(site.databaseFile);
    database.prepare("UPDATE app_password SET fence = '' WHERE hex(id) = ?").run(id.toUpperCase());
    database.close();
    expect(await update(id, '--label', 'x')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/changed the database by hand/),
    });
    expect((await site.command('app-password', 'revoke', id)).code).toBe(0);
    expect(await update(id, '--label', 'x')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/is revoked/),
    });
  });
});

describe('wrong usage is exit 2, and says what is taken', () => {
  it.each([
    [['--messages-per-hour', 'many'], /--messages-per-hour takes a number or none, not "many"/],
    [['--messages-per-day', '0'], /must be 1 to/],
    [['--recipients-per-day', '-5'], /--recipients-per-day/],
    [['--max-size', '10X'], /--max-size takes bytes/],
    [['--max-size', '0'], /1 byte/],
    [['--send-from', 'anna'], /addresses or whole domains/],
    [['--send-from', ''], /addresses or whole domains/],
    [['--send-to', '*.example.com'], /domains such as example\.com/],
    [['--send-to', 'anna@example.com'], /domains such as example\.com/],
    [['--scope', 'smtp,ftp'], /not "ftp"/],
    [['--scope', ''], /at least one protocol/],
    [['--expires', 'soon'], /--expires takes/],
    [['--network', '10.0.0.0/40'], /a network must be written/],
    [['--label', ''], /label must not be empty/],
    [[], /Say what to change/],
  ])('update %j', async (words, told) => {
    const id = await create();
    const before = await show(id);
    expect(await update(id, ...words)).toMatchObject({ code: 2, err: expect.stringMatching(told) });
    expect(await show(id)).toEqual(before);
    await site.command('app-password', 'revoke', id);
  });

  it('an id that is none, or nobody’s', async () => {
    expect(await update('abc', '--label', 'x')).toMatchObject({ code: 2 });
    expect(await update('0'.repeat(32), '--label', 'x')).toMatchObject({ code: 1 });
    expect(await site.command('app-password', 'show', 'abc')).toMatchObject({ code: 2 });
    expect(await site.command('app-password', 'show', '0'.repeat(32))).toMatchObject({ code: 1 });
    expect(await site.command('app-password', 'update', '--help')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/--send-from <list>/),
    });
  });
});
