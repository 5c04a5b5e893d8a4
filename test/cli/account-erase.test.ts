import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import Sqlite from 'better-sqlite3';
import { makeSite, type Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
  await site.command('account', 'create', 'anna');
  await site.command('app-password', 'create', '--account', 'anna', '--label', 'Phone');
});
afterEach(async () => await site.remove());

const addresses = async () =>
  ((await site.dataOf('account', 'list')) as { address: string }[]).map(({ address }) => address);

describe('account erase', () => {
  it('S-36: deletes nothing without --yes', async () => {
    expect(await site.command('account', 'erase', 'anna')).toEqual({
      code: 2,
      out: '',
      err: expect.stringMatching(/^Nothing was deleted: say --yes/),
    });
    expect(await addresses()).toEqual(['anna@example.com']);
  });

  it('S-36: says what was deleted, and that the trail stays; said again it finds nothing and does not fail', async () => {
    const { id } = (await site.dataOf('account', 'show', 'anna')) as { id: string };
    const erase = ['account', 'erase', 'Anna@Example.com', '--yes'];
    const { code, out, err } = await site.command(...erase, '--reason', 'Left, asked for it');
    expect([code, err]).toEqual([0, '']);
    const lines = out.split('\n');
    expect(lines[0]).toBe('anna@example.com is erased; its sessions end now. Deleted:');
    expect(lines).toContain('  app passwords       1');
    expect(lines.at(-1)).toContain(id);
    expect(await addresses()).toEqual([]);

    expect(await site.command(...erase)).toEqual({
      code: 0,
      out: 'There is no account anna@example.com. Login log rows of the name deleted: 0.',
      err: '',
    });
    const trail = (await site.command('audit', 'export')).out.split('\n').map((line) => JSON.parse(line));
    expect(trail.filter(({ account }) => account?.id === id).map(({ action }) => action)).toEqual([
      'account.created',
      'app-password.created',
      'account.erased',
    ]);
    expect(trail.find(({ action }) => action === 'account.erased')).toMatchObject({
      actor: { kind: 'operator' },
      object: { appPasswords: 1 },
      reason: 'Left, asked for it',
    });
    expect(await site.command('audit', 'verify')).toMatchObject({ code: 0 });
  });

  it('answers as data', async () => {
    expect(await site.dataOf('account', 'erase', 'anna', '--yes')).toMatchObject({
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
      address: 'anna@example.com',
      isErased: true,
      appPasswords: 1,
    });
    expect(await site.dataOf('account', 'erase', 'anna', '--yes')).toEqual({
      id: null,
      address: 'anna@example.com',
      isErased: false,
      loginEvents: 0,
    });
  });

  it('S-36: the account made afterwards is another one', async () => {
    const before = (await site.dataOf('account', 'show', 'anna')) as { id: string };
    await site.command('account', 'erase', 'anna', '--yes');
    await site.command('account', 'create', 'anna');
    const after = (await site.dataOf('account', 'show', 'anna')) as { id: string };
    expect(after).toMatchObject({ address: 'anna@example.com', appPasswords: { active: 0, ended: 0 } });
    expect(after.id).not.toBe(before.id);
  });

  it('S-36: names in its help what stays', async () => {
    const { out } = await site.command('account', 'erase', '--help');
    for (const kept of ['audit trail', 'audit.keep', 'backups', 'mailbox']) expect(out).toContain(kept);
  });
});

describe('S-94: what is looked at or taken out', () => {
  const actions = () => {
    const database = new Sqlite(site.databaseFile, { readonly: true });
    const rows = database.prepare('select action, entry from audit_entry order by at, chain, seq').all();
    database.close();
    return (rows as { action: string; entry: string }[])
      .filter(({ action }) => !action.startsWith('audit.'))
      .map(({ action, entry }) => ({ action, ...JSON.parse(entry) }));
  };
  const last = () => actions().at(-1);

  it('is entered: the login log, exports, backups, keys', async () => {
    await site.command('login-log', 'anna', '--reason', 'TICKET-8');
    expect(last()).toMatchObject({
      action: 'login-log.viewed',
      account: { address: 'anna@example.com' },
      reason: 'TICKET-8',
    });
    await site.command('export', 'accounts');
    expect(last()).toMatchObject({ action: 'accounts.exported', object: { count: 1 }, account: null });
    await site.command('export', 'app-passwords');
    expect(last()).toMatchObject({ action: 'app-passwords.exported', object: { count: 1 } });
    expect((await site.command('backup', `${site.folder}/copy.db`)).code).toBe(0);
    expect(last()).toMatchObject({ action: 'backup.made' });
    expect((await site.command('keys', 'rotate', 'pepper')).code).toBe(0);
    expect((await site.command('keys', 'retire', 'pepper', '1', '--force')).code).toBe(0);
    const keys = actions().filter(({ action }) => action.startsWith('keys.'));
    expect(keys.map(({ action, object }) => [action, object])).toEqual([
      ['keys.added', { family: 'pepper', key: 2 }],
      ['keys.rotated', { family: 'pepper' }],
      ['keys.retired', { family: 'pepper', key: 1 }],
    ]);
  });

  it('is shown where the trail cannot be written, with a warning', async () => {
    const database = new Sqlite(site.databaseFile);
    for (const table of ['audit_chain', 'audit_entry']) {
      database.exec(
        `create trigger no_${table} before insert on ${table} begin select raise(abort, 'read only'); end`,
      );
    }
    database.close();
    const warning = expect.stringMatching(/^Warning: the audit trail does not have it\. .*read only/);
    for (const words of [
      ['login-log', 'anna'],
      ['export', 'accounts'],
      ['backup', `${site.folder}/copy.db`],
    ]) {
      const { code, out, err } = await site.command(...words);
      expect([words[0], code, err]).toEqual([words[0], 0, warning]);
      expect(out).not.toBe('');
    }
    // And nothing is changed that would not be entered.
    expect((await site.command('account', 'erase', 'anna', '--yes')).code).toBe(1);
    expect(await addresses()).toEqual(['anna@example.com']);
  });

  it('is shown from a restored database too, which refuses what changes something', async () => {
    const [{ id = '' } = {}] = (await site.dataOf('app-password', 'list', '--account', 'anna')) as {
      id?: string;
    }[];
    await site.command('backup', `${site.folder}/copy.db`);
    await site.command('app-password', 'revoke', id);
    const copy = new Sqlite(`${site.folder}/copy.db`);
    await copy.backup(site.databaseFile);
    copy.close();
    expect(await site.command('account', 'erase', 'anna', '--yes')).toMatchObject({ code: 78 });
    expect(await site.command('login-log', 'anna')).toMatchObject({ code: 0, err: '' });
    expect(last()).toMatchObject({ action: 'login-log.viewed' });
  });
});
