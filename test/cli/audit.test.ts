import { readFile, stat, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Sqlite from 'better-sqlite3';
import { makeSite, type Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
  await site.command('account', 'create', 'anna');
});
afterEach(async () => site.remove());

interface Line {
  readonly chain: string;
  readonly seq: number;
  readonly actor: object;
  readonly action: string;
  readonly account: { readonly address: string } | null;
  readonly object: Readonly<Record<string, unknown>>;
  readonly reason: string | null;
  readonly head: string;
}

async function exported(...words: string[]): Promise<readonly Line[]> {
  const { out } = await site.command('audit', 'export', ...words);
  return out === '' ? [] : out.split('\n').map((line) => JSON.parse(line) as Line);
}

const own = (lines: readonly Line[]) => lines.filter(({ action }) => !action.startsWith('audit.'));

function sql(text: string): void {
  const database = new Sqlite(site.databaseFile);
  database.exec(text);
  database.close();
}

describe('S-94: what the command line does', () => {
  it('is entered with the user of the system and the reason', async () => {
    const make = ['app-password', 'create', '--account', 'anna', '--label', 'Scanner'];
    const made = (await site.dataOf(...make, '--reason', 'TICKET-7')) as { id: string; secret: string };
    await site.command('app-password', 'update', made.id, '--label', 'Scanner 2');
    await site.command('app-password', 'pause', made.id, '--reason', 'Lost?');
    await site.command('app-password', 'resume', made.id);
    await site.command('app-password', 'revoke', made.id);
    await site.command('account', 'set-mfa', 'anna', 'optional');
    await site.command('account', 'disable', 'anna', '--reason', 'Left');
    await site.command('account', 'enable', 'anna');
    await site.command('account', 'reset-mfa', 'anna', '--app-passwords', 'revoke');
    await site.command('account', 'password-changed', 'anna', '--app-passwords', 'keep');
    const [migrated, ...lines] = own(await exported());
    expect(migrated?.object.migrations).toContain('008-audit');
    const user = userInfo().username;
    expect(lines.map(({ action, object, reason }) => [action, object.label ?? null, reason])).toEqual([
      ['account.created', null, null],
      ['app-password.created', 'Scanner', 'TICKET-7'],
      ['app-password.changed', 'Scanner 2', `changed by cli:${user}`],
      ['app-password.paused', 'Scanner 2', `paused by cli:${user}: Lost?`],
      ['app-password.resumed', 'Scanner 2', `resumed by cli:${user}`],
      ['app-password.revoked', 'Scanner 2', `revoked by cli:${user}`],
      ['account.mfa-set', null, null],
      ['account.disabled', null, 'Left'],
      ['account.enabled', null, null],
      ['factors.reset', null, null],
      ['account.password-changed', null, 'main password changed'],
    ]);
    for (const line of lines) {
      expect(line.actor).toEqual({ kind: 'operator', user });
      expect(line.account?.address).toBe('anna@example.com');
    }
    expect(JSON.stringify(await exported())).not.toContain(made.secret);
  });

  it('a person hears of an app password that was made for them', async () => {
    await site.command('app-password', 'create', '--account', 'anna', '--label', 'Scanner');
    const database = new Sqlite(site.databaseFile, { readonly: true });
    const rows = database.prepare('select kind, facts from notice').all() as {
      kind: string;
      facts: string;
    }[];
    const deliveries = database.prepare('select channel from notice_delivery').all();
    database.close();
    expect(rows.map(({ kind }) => kind)).toEqual(['app-password-created']);
    expect(JSON.parse(rows[0]?.facts ?? '')).toMatchObject({ label: 'Scanner', by: 'operator', from: null });
    expect(deliveries).toEqual([{ channel: 'mailbox' }, { channel: 'mailbox-copy' }]);
  });

  it('what only looks leaves no entry', async () => {
    const before = (await exported()).length;
    await site.command('account', 'show', 'anna');
    await site.command('app-password', 'list', '--account', 'anna');
    expect(await exported()).toHaveLength(before);
  });
});

describe('audit export', () => {
  it('tells what of one account, or from when on, and never writes over a file', async () => {
    await site.command('account', 'create', 'bob');
    await site.command('account', 'disable', 'bob');
    expect((await exported('--account', 'bob')).map(({ action }) => action)).toEqual([
      'account.created',
      'account.disabled',
    ]);
    expect(await exported('--since', '2030-01-01')).toEqual([]);
    expect((await exported('--since', '1h')).length).toBeGreaterThan(2);
    const file = join(site.folder, 'audit.jsonl');
    expect(await site.command('audit', 'export', '--file', file)).toEqual({ code: 0, out: '', err: '' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line))).toEqual(await exported());
    expect(await site.command('audit', 'export', '--file', file)).toMatchObject({
      code: 1,
      err: `${file} exists already.`,
    });
    expect(await site.command('audit', 'export', '--since', 'monday')).toMatchObject({ code: 2 });
  });

  it('a line without its head is what the head covers, and what somebody put there stays one line', async () => {
    const rows = () => {
      const database = new Sqlite(site.databaseFile, { readonly: true });
      const all = database.prepare('select entry from audit_entry order by at, chain, seq').all();
      database.close();
      return all as { entry: string }[];
    };
    const { out } = await site.command('audit', 'export');
    const bare = out.split('\n').map((line) => line.replace(/,"head":"[0-9a-f]{64}"\}$/, '}'));
    expect(bare).toEqual(rows().map(({ entry }) => entry));
    sql(`update audit_entry set entry = '{"a":' || char(10) || '1}' where seq = 1`);
    const [first] = (await site.command('audit', 'export')).out.split('\n');
    expect(JSON.parse(first ?? '')).toMatchObject({ seq: 1, altered: '{"a":\n1}' });
  });
});

describe('S-92: audit verify', () => {
  it('says that all is well, exit 0', async () => {
    await site.command('account', 'disable', 'anna');
    expect(await site.command('audit', 'verify')).toEqual({
      code: 0,
      out: '9 entries of 3 chains are as the gateway wrote them.',
      err: '',
    });
    expect(await site.dataOf('audit', 'verify')).toMatchObject({
      chains: 3,
      entries: 9,
      faults: [],
      open: [],
    });
  });

  it('names the place of what was changed, exit 1', async () => {
    await site.command('account', 'disable', 'anna', '--reason', 'Fired');
    const line = own(await exported()).find(({ action }) => action === 'account.disabled');
    sql(`update audit_entry set entry = replace(entry, 'Fired', 'Hired') where action = 'account.disabled'`);
    const { code, out } = await site.command('audit', 'verify');
    expect(code).toBe(1);
    expect(out.split('\n')).toEqual([
      `${line?.chain}:2 is not what the gateway wrote here`,
      'The audit trail was changed: see the 1 places above.',
    ]);
  });

  it('a chain that is gone is missed by the head from the log', async () => {
    await site.command('account', 'disable', 'anna');
    const last = (await exported()).at(-1);
    const head = `${last?.chain}:${last?.seq}:${last?.head}`;
    expect(await site.command('audit', 'verify', '--head', head)).toMatchObject({ code: 0 });
    sql(
      `delete from audit_entry where chain = '${last?.chain}'; delete from audit_chain where id = '${last?.chain}'`,
    );
    expect(await site.command('audit', 'verify')).toMatchObject({ code: 0 });
    expect(await site.command('audit', 'verify', '--head', head)).toMatchObject({
      code: 1,
      out: expect.stringContaining(`${last?.chain}:3 is gone with its chain: the head that was given`),
    });
    expect(await site.command('audit', 'verify', '--head', 'abc')).toMatchObject({ code: 2 });
  });

  it('says of an end that was cut off what only a head can tell', async () => {
    const chain = (await exported()).find(({ action }) => action === 'account.created')?.chain;
    sql(
      `delete from audit_entry where chain = '${chain}' and seq = 3; update audit_chain set closed_at = null, seq = 2,
       head = (select head from audit_entry where chain = '${chain}' and seq = 2) where id = '${chain}'`,
    );
    expect(await site.command('audit', 'verify')).toMatchObject({
      code: 0,
      out: expect.stringContaining('1 chains have no last entry: their process runs or was killed'),
    });
  });

  it('a mac key that chains need is not retired unless by force', async () => {
    await site.command('keys', 'rotate', 'mac');
    // Moves every row by its own.
    await site.command('account', 'disable', 'anna');
    expect(await site.command('keys', 'retire', 'mac', '1')).toMatchObject({
      code: 1,
      err: expect.stringContaining('chains of the audit trail any more'),
    });
    expect(await site.command('audit', 'verify')).toMatchObject({ code: 0 });
  });
});

it('S-41: the webhook’s secret is a file of at least 32 bytes, and its address https without a password', async () => {
  const file = join(site.folder, 'secret');
  await writeFile(file, 'short');
  const check = async (webhook: object) => {
    const other = await makeSite({ notices: { webhook } });
    try {
      return (await other.command('check')).err + (await other.command('check')).out;
    } finally {
      await other.remove();
    }
  };
  expect(await check({ url: 'https://soc.example.com/', secret_file: file })).toContain(
    `notices.webhook.secret_file: ${file} holds less than 32 bytes`,
  );
  expect(await check({ url: 'http://soc.example.com/', secret_file: file })).toContain('notices.webhook.url');
  await writeFile(file, 'a secret of more than thirty-two bytes');
  expect(await check({ url: 'https://u:p@soc.example.com/', secret_file: file })).toContain(
    'notices.webhook.url: must hold no password',
  );
});
