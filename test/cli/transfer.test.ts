import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/store/database.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
});
afterEach(() => site.remove());

const at = (name: string) => join(site.folder, name);
const create = async (label: string, ...options: string[]) =>
  (
    (await site.dataOf('app-password', 'create', '--account', 'anna', '--label', label, ...options)) as {
      id: string;
    }
  ).id;
const list = async () =>
  (await site.dataOf('app-password', 'list', '--account', 'anna')) as Record<string, unknown>[];

describe('accounts', () => {
  it('are made and changed as the file says, and the same file again changes nothing', async () => {
    await site.command('account', 'create', 'anna');
    await writeFile(
      at('in.csv'),
      'address,state,mfa\nAnna@example.com,disabled,\nbob,,optional\ncarol@example.com,disabled,off\n',
    );
    const dry = await site.dataOf('import', 'accounts', at('in.csv'), '--dry-run');
    expect(dry).toMatchObject({ created: 2, changed: 1, unchanged: 0, isDryRun: true });
    expect(await site.dataOf('account', 'list')).toHaveLength(1);
    expect((await site.command('import', 'accounts', at('in.csv'))).out).toBe(
      '2 made, 1 changed, 0 as they were.',
    );
    expect(await site.dataOf('account', 'list')).toMatchObject([
      { address: 'anna@example.com', state: 'disabled', mfa: null },
      { address: 'bob@example.com', state: 'active', mfa: 'optional' },
      { address: 'carol@example.com', state: 'disabled', mfa: 'off' },
    ]);
    expect((await site.command('import', 'accounts', at('in.csv'))).out).toBe(
      '0 made, 0 changed, 3 as they were.',
    );
    await writeFile(at('back.csv'), 'address,mfa\nbob,domain\n');
    expect((await site.command('import', 'accounts', at('back.csv'))).out).toMatch(/^0 made, 1 changed/);
  });

  it.each(['csv', 'json'])('exported as %s and imported elsewhere are the same', async (format) => {
    await writeFile(at('in.csv'), 'address,state,mfa\nanna,disabled,required\nbob,active,domain\n');
    await site.command('import', 'accounts', at('in.csv'));
    const file = at(`out.${format}`);
    expect(await site.command('export', 'accounts', file)).toMatchObject({ code: 0, out: '' });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await site.command('export', 'accounts', file)).toMatchObject({ code: 1 });
    expect(await site.dataOf('import', 'accounts', file)).toMatchObject({
      created: 0,
      changed: 0,
      unchanged: 2,
    });
    const other = await makeSite();
    await other.command('keys', 'init');
    await other.command('migrate');
    expect(await other.dataOf('import', 'accounts', file)).toMatchObject({ created: 2 });
    const listed = (await other.dataOf('account', 'list')) as {
      address: string;
      state: string;
      mfa: string;
    }[];
    expect(listed.map(({ address, state, mfa }) => `${address} ${state} ${mfa}`)).toEqual([
      'anna@example.com disabled required',
      'bob@example.com active null',
    ]);
    await other.remove();
  });

  it('nothing is written while a line is wrong, and every line is told', async () => {
    const text =
      'address,state,mfa\nanna,,\nb c@example.com,,\nd@other.example,,\ne,gone,\nf,,maybe\nANNA,,\n,,\n';
    await writeFile(at('in.csv'), text);
    const { code, err, out } = await site.command('import', 'accounts', at('in.csv'));
    expect([code, out]).toEqual([1, '']);
    expect(err.split('\n')).toEqual([
      'line 3: address is no mailbox address.',
      'line 4: other.example is not among the configured domains.',
      'line 5: state is one of active, disabled.',
      'line 6: mfa is one of required, optional, off, domain.',
      'line 7: anna@example.com comes twice.',
      'line 8: address is missing.',
      'Nothing was changed.',
    ]);
    expect(await site.dataOf('account', 'list')).toEqual([]);
    const told = await site.command('import', 'accounts', at('in.csv'), '--json');
    expect((JSON.parse(told.out) as { problems: unknown[] }).problems).toHaveLength(6);
  });

  it('S-34: what was changed by hand is neither exported nor brought back', async () => {
    await site.command('account', 'create', 'anna');
    await site.command('account', 'create', 'bob');
    const database = openDatabase(site.databaseFile);
    await database
      .updateTable('account')
      .set({ mfa: 'off' } as never)
      .where('address', 'like', 'anna%')
      .execute();
    await database.destroy();
    const exported = await site.command('export', 'accounts');
    expect(exported.out).toMatch(/^address,state,mfa,created_at\nbob@example.com,active,domain,/);
    expect(exported.out).not.toContain('anna');
    expect(exported.err).toMatch(/1 rows were changed by hand/);
    await writeFile(at('in.csv'), 'address,state\nanna,active\n');
    expect((await site.command('import', 'accounts', at('in.csv'))).err).toMatch(/line 2: .*changed by hand/);
  });
});

describe('app passwords', () => {
  beforeEach(async () => {
    await site.command('account', 'create', 'anna');
  });

  it('metadata come out without a secret, safe for a spreadsheet, and go back in', async () => {
    const id = await create('=HYPERLINK("http://x")', '--network', '192.0.2.0/24', '--expires', '90d');
    await create(
      '\'=odd, "label"',
      '--scope',
      'smtp',
      '--send-to',
      'example.com',
      '--messages-per-hour',
      '20',
    );
    await create('Scanner', '--expires-unused', '90d', '--scope', 'imap,smtp,pop3');
    const csv = (await site.command('export', 'app-passwords')).out;
    expect(csv).toContain(`"'=HYPERLINK(""http://x"")"`);
    expect(csv).not.toMatch(/argon2|(?<![a-z])[a-z]{16}(?![a-z])/);
    for (const format of ['csv', 'json']) {
      const file = at(`out.${format}`);
      await site.command('export', 'app-passwords', file);
      expect(await site.dataOf('import', 'app-passwords', file)).toMatchObject({ changed: 0, unchanged: 3 });
    }
    const entries = JSON.parse(await readFile(at('out.json'), 'utf8')) as { id: string }[];
    expect(entries.find((entry) => entry.id === id)).toMatchObject({
      account: 'anna@example.com',
      label: '=HYPERLINK("http://x")',
      scopes: ['imap', 'smtp'],
      networks: ['192.0.2.0/24'],
    });
  });

  it('are changed as the file says, and the second time not at all', async () => {
    const id = await create('Old', '--expires', '90d');
    const text =
      'id,account,label,state,scopes,networks,expires_at,expires_unused,send_from,messages_per_hour\n' +
      `${id},anna,'=New,paused,smtp imap,10.0.0.0/8 2001:db8::/32,2099-01-31,90d,@example.com,20\n`;
    await writeFile(at('in.csv'), text);
    expect(await site.dataOf('import', 'app-passwords', at('in.csv'), '--dry-run')).toMatchObject({
      changed: 1,
    });
    expect(await list()).toMatchObject([{ label: 'Old', state: 'active' }]);
    expect(await site.dataOf('import', 'app-passwords', at('in.csv'))).toMatchObject({ changed: 1 });
    expect(await list()).toMatchObject([
      {
        id,
        label: '=New',
        state: 'paused',
        scopes: ['imap', 'smtp'],
        networks: ['10.0.0.0/8', '2001:db8::/32'],
        expiresAt: '2099-01-31T00:00:00.000Z',
        expiresUnused: '90d',
        fence: { from: ['@example.com'], messagesPerHour: 20 },
      },
    ]);
    expect(await site.dataOf('import', 'app-passwords', at('in.csv'))).toMatchObject({
      changed: 0,
      unchanged: 1,
    });
    // What the file does not mention stays; an empty cell takes away.
    await writeFile(at('less.csv'), `id,account,networks,expires_at\n${id},anna,,\n`);
    await site.command('import', 'app-passwords', at('less.csv'));
    expect(await list()).toMatchObject([
      { label: '=New', networks: [], expiresAt: null, expiresUnused: '90d' },
    ]);
    await writeFile(at('end.csv'), `id,account,state\n${id},anna,revoked\n`);
    await site.command('import', 'app-passwords', at('end.csv'));
    expect(await list()).toMatchObject([{ state: 'revoked' }]);
    expect(await site.dataOf('import', 'app-passwords', at('end.csv'))).toMatchObject({ unchanged: 1 });
  });

  it('nothing is written while a line is wrong: none is made, moved, revived or cut loose', async () => {
    await site.command('account', 'create', 'bob');
    const id = await create('One');
    const ended = await create('Ended');
    await site.command('app-password', 'revoke', ended);
    const row = (change: string) => `${id},anna,${change}`;
    const lines = [
      'id,account,label,state,scopes,networks,expires_at,expires_unused,max_size',
      row('Renamed,,imap,,,,'),
      `${'0'.repeat(32)},anna,New,,imap,,,,`,
      `${ended},anna,Ended,active,imap,,,,`,
      'xyz,anna,a,,imap,,,,',
    ];
    await writeFile(at('in.csv'), `${lines.join('\n')}\n`);
    const { code, err } = await site.command('import', 'app-passwords', at('in.csv'));
    expect(code).toBe(1);
    expect(err.split('\n')).toEqual([
      `line 3: there is no app password ${'0'.repeat(32)}; an import makes none.`,
      `line 4: ${ended} is revoked, and stays so.`,
      'line 5: id is not 32 hexadecimal digits.',
      'Nothing was changed.',
    ]);
    expect((await list()).map(({ label }) => label)).toContain('One');
    for (const [change, problem] of [
      [`${id},bob,One,,imap,,,,`, 'belongs to another account'],
      [row('One,,,,,,'), 'at least one protocol'],
      [row('One,,ftp,,,,'), 'no scope "ftp"'],
      [row('One,gone,imap,,,,'), 'state is one of'],
      [row('One,,imap,10.0.0.0/40,,,'), 'a network must be'],
      [row('One,,imap,,2001-01-01,,'), 'must lie in the future'],
      [row('One,,imap,,tomorrow,,'), 'expires_at is a moment'],
      [row('One,,imap,,2027-13-45,,'), 'expires_at is a moment'],
      [row('One,,imap,,,soon,'), 'expires_unused is a duration'],
      [row('One,,imap,,,5m,'), 'the time without a use'],
      [row('One,,imap,,,,many'), 'max_size is a number'],
      [row(',,imap,,,,'), 'the label must not be empty'],
    ] as const) {
      await writeFile(at('in.csv'), `${lines[0]}\n${change}\n`);
      const refused = await site.command('import', 'app-passwords', at('in.csv'));
      expect([refused.code, refused.err]).toEqual([1, expect.stringContaining(`line 2: `)]);
      expect(refused.err).toContain(problem);
    }
  });

  it('S-34: one that was changed by hand is neither exported nor given a MAC', async () => {
    const id = await create('One', '--scope', 'imap');
    const database = openDatabase(site.databaseFile);
    await database.updateTable('app_password').set({ scopes: 7 }).execute();
    await database.destroy();
    const { out, err } = await site.command('export', 'app-passwords', '--json');
    expect([out.trim(), err]).toEqual(['[]', expect.stringContaining('changed by hand')]);
    await writeFile(at('in.csv'), `id,account,label\n${id},anna,Two\n`);
    expect((await site.command('import', 'app-passwords', at('in.csv'))).err).toContain('changed by hand');
  });
});

it('a file that is missing, not UTF-8 or too large is told, and so is a kind that there is not', async () => {
  expect(await site.command('import', 'accounts', at('none.csv'))).toMatchObject({
    code: 1,
    err: expect.stringContaining('does not exist'),
  });
  await writeFile(at('latin.csv'), Buffer.from('address\nj\xe4nis\n', 'latin1'));
  expect((await site.command('import', 'accounts', at('latin.csv'))).err).toContain('is not UTF-8');
  await writeFile(at('large.csv'), Buffer.alloc((64 << 20) + 1, 'a'));
  expect((await site.command('import', 'accounts', at('large.csv'))).err).toContain('larger than 64 MiB');
  expect(await site.command('import', 'secrets', at('in.csv'))).toMatchObject({ code: 2 });
  expect(await site.command('export', 'constructor')).toMatchObject({ code: 2 });
});

it('more than a page goes out and in', async () => {
  const addresses = Array.from({ length: 1_203 }, (_, index) => `p${index}@example.com`);
  await writeFile(at('in.csv'), `address\n${addresses.join('\n')}\n`);
  expect(await site.dataOf('import', 'accounts', at('in.csv'))).toMatchObject({ created: 1_203 });
  for (const format of ['csv', 'json']) {
    await site.command('export', 'accounts', at(`out.${format}`));
    expect(await site.dataOf('import', 'accounts', at(`out.${format}`))).toMatchObject({ unchanged: 1_203 });
  }
});
