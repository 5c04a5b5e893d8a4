import { chmod, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { run } from '../../src/cli/program.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
let folder: string;

beforeAll(async () => {
  site = await makeSite({ app_passwords: { max_per_account: 3 } });
  folder = site.folder;
});

afterAll(() => site.remove());

const command = (...words: string[]) => site.command(...words);
const dataOf = (...words: string[]) => site.dataOf(...words);

describe('before anything is made', () => {
  it('check says what is missing, exit 78', async () => {
    expect(await command('check')).toMatchObject({
      code: 78,
      out: expect.stringMatching(/problem +keys_file: /),
    });
  });

  it('a command that needs the database says how to make it', async () => {
    await command('keys', 'init');
    expect(await command('account', 'list')).toMatchObject({
      code: 1,
      err: expect.stringMatching(/sallyport migrate/),
    });
    expect(await readdir(folder)).not.toContain('var');
  });
});

describe('keys', () => {
  it('init never replaces a key file', async () => {
    expect(await command('keys', 'init')).toMatchObject({ code: 78 });
    expect((await stat(join(folder, 'keys/keys.json'))).mode & 0o777).toBe(0o600);
  });

  it('S-37: a key file others can read is refused, exit 78', async () => {
    await chmod(join(folder, 'keys/keys.json'), 0o644);
    expect(await command('check')).toMatchObject({ code: 78, out: expect.stringMatching(/keys_file: /) });
    await chmod(join(folder, 'keys/keys.json'), 0o600);
    expect(await command('check')).toMatchObject({ code: 0 });
  });

  it('rotate keeps the old keys; status shows fingerprints and no key', async () => {
    expect((await command('keys', 'rotate', 'mac')).code).toBe(0);
    const keys = (await dataOf('keys', 'status')) as {
      family: string;
      id: number;
      state: string;
      fingerprint: string;
    }[];
    expect(keys.filter(({ family }) => family === 'mac').map(({ id, state }) => `${id} ${state}`)).toEqual([
      '2 active',
      '1 accept',
    ]);
    for (const { fingerprint } of keys) expect(fingerprint).toMatch(/^[0-9a-f]{8}$/);
  });
});

describe('accounts and app passwords', () => {
  it('migrate makes the database, and says so only once', async () => {
    expect(await dataOf('migrate')).toMatchObject({
      ran: expect.arrayContaining(['001-initial', '002-fence']),
    });
    expect(await dataOf('migrate')).toMatchObject({ ran: [] });
    expect((await stat(join(folder, 'var'))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, 'var/sallyport.db'))).mode & 0o777).toBe(0o600);
  });

  it('an account is made once, in any spelling, and only in a configured domain', async () => {
    expect((await command('account', 'create', 'Anna')).out).toBe('anna@example.com is made.');
    expect((await command('account', 'create', 'ANNA@Example.com')).out).toBe(
      'anna@example.com was there already.',
    );
    expect(await command('account', 'create', 'anna@other.example')).toMatchObject({ code: 1 });
    expect(await command('account', 'create', 'a b@example.com')).toMatchObject({ code: 2 });
  });

  it("create prints the secret once, in the contract's JSON", async () => {
    const made = await dataOf(
      'app-password',
      'create',
      '--account',
      'anna',
      '--label',
      'Scanner',
      '--scope',
      'smtp',
      '--expires',
      '90d',
      '--network',
      '192.0.2.9/24',
    );
    expect(made).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      account: 'anna@example.com',
      label: 'Scanner',
      secret: expect.stringMatching(/^[a-z]{16}$/),
      scopes: ['smtp'],
      expiresAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    const { secret } = made as { secret: string };
    const listed = await command('app-password', 'list', '--account', 'anna', '--json');
    expect(listed.out).not.toContain(secret);
    expect(JSON.parse(listed.out)).toMatchObject([
      {
        label: 'Scanner',
        state: 'active',
        networks: ['192.0.2.0/24'],
        lastUsedAt: null,
        createdBy: expect.stringMatching(/^cli:/),
      },
    ]);
  });

  it('the secret stands alone on standard output, so that a script can take it', async () => {
    const { out, err } = await command('app-password', 'create', '--account', 'anna', '--label', 'Outlook');
    expect(out).toMatch(/^[a-z]{4} [a-z]{4} [a-z]{4} [a-z]{4}$/);
    expect(err).not.toContain(out);
  });

  it('the cap is told and nothing is made', async () => {
    expect((await command('app-password', 'create', '--account', 'anna', '--label', 'third')).code).toBe(0);
    const refused = await command('app-password', 'create', '--account', 'anna', '--label', 'fourth');
    expect(refused).toMatchObject({ code: 1, out: '', err: expect.stringMatching(/3 live app passwords/) });
  });

  it('revoke ends it, twice is no error, an unknown id is', async () => {
    const [first] = (await dataOf('app-password', 'list', '--account', 'anna')) as { id: string }[];
    const id = first?.id ?? '';
    expect((await command('app-password', 'revoke', id)).out).toBe(`${id} revoked`);
    expect((await command('app-password', 'revoke', id)).out).toBe(`${id} already revoked`);
    expect(await command('app-password', 'revoke', '0'.repeat(32))).toMatchObject({ code: 1 });
    expect((await command('app-password', 'revoke', '--account', 'anna', '--all')).out).toMatch(
      /^2 app passwords/,
    );
    expect(await dataOf('account', 'show', 'anna')).toMatchObject({ appPasswords: { active: 0, ended: 3 } });
  });

  it('disable, enable, set-mfa', async () => {
    expect(await dataOf('account', 'disable', 'anna')).toMatchObject({ state: 'disabled' });
    expect(await dataOf('account', 'enable', 'anna')).toMatchObject({ state: 'active' });
    expect(await dataOf('account', 'set-mfa', 'anna', 'off')).toMatchObject({ mfa: 'off' });
    expect(await dataOf('account', 'set-mfa', 'anna', 'domain')).toMatchObject({ mfa: null });
    expect(await command('account', 'set-mfa', 'anna', 'maybe')).toMatchObject({ code: 2 });
    expect((await command('account', 'list')).out).toMatch(
      /^ADDRESS +STATE +MFA +CREATED\nanna@example.com +active +as its domain/,
    );
  });

  it('S-82: reset-mfa asks what becomes of the app passwords', async () => {
    expect(await command('account', 'reset-mfa', 'anna')).toMatchObject({ code: 2 });
    expect(await command('account', 'reset-mfa', 'anna', '--app-passwords', 'some')).toMatchObject({
      code: 2,
    });
    expect(await dataOf('account', 'reset-mfa', 'anna', '--app-passwords', 'revoke')).toEqual({
      address: 'anna@example.com',
      factorsRemoved: 0,
      revoked: 0,
    });
  });
});

describe('wrong usage is exit 2, with the reason', () => {
  it.each([
    [['app-password', 'create', '--account', 'anna']],
    [['app-password', 'create', '--account', 'anna', '--label', 'x', '--scope', 'ftp']],
    [['app-password', 'create', '--account', 'anna', '--label', 'x', '--expires', 'soon']],
    [['app-password', 'create', '--account', 'anna', '--label', 'x', '--network', '10.0.0.0/40']],
    [['app-password', 'revoke']],
    [['app-password', 'revoke', 'abc']],
    [['app-password', 'revoke', '--all']],
    [['nothing-like-it']],
    [['check', '--no-such-option']],
  ])('%j', async (words) => {
    const { code, err } = await command(...words);
    expect(code).toBe(2);
    expect(err).not.toBe('');
  });
});

describe('help', () => {
  it('every command explains itself, exit 0', async () => {
    const help = await command('--help');
    expect(help).toMatchObject({
      code: 0,
      out: expect.stringMatching(/Exit codes: 0 done, 1 failed, 2 wrong usage, 78/),
    });
    for (const words of [
      ['serve'],
      ['demo'],
      ['check'],
      ['migrate'],
      ['keys'],
      ['account'],
      ['app-password', 'create'],
    ]) {
      const { code, out } = await command(...words, '--help');
      expect(code).toBe(0);
      expect(out).toMatch(/^Usage: sallyport /);
    }
  });
});

it('check --connect says what each server answers, a dead backend being a problem', async () => {
  const { code, out } = await command('check', '--connect');
  expect(code).toBe(78);
  expect(out).toMatch(/answer +database: .* is up to date/);
  expect(out).toMatch(/problem +backends\.office\.imap: .*ECONNREFUSED/);
  expect(out).toMatch(/warning +domains\.example\.com\.enrollment/);
});

it('a configuration that cannot be read is exit 78 for every command', async () => {
  const missing = join(folder, 'none.yaml');
  const err: string[] = [];
  const code = await run(['account', 'list', '--config', missing], {
    out: () => undefined,
    err: (line) => err.push(line),
    environment: {},
    signal: new AbortController().signal,
    now: Date.now,
  });
  expect([code, err.join('\n')]).toEqual([78, expect.stringContaining('there is no such file')]);
});
