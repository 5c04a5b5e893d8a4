import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/store/database.ts';
import { makeSite, type Site } from './site.ts';

describe('account enrollment-code and end-recovery-hold', () => {
  let site: Site;
  beforeEach(async () => {
    site = await makeSite({
      domains: { 'example.com': { backend: 'office', sign_in: { method: 'imap' }, enrollment: 'code' } },
    });
    await site.command('keys', 'init');
    await site.command('migrate');
    await site.command('account', 'create', 'anna');
  });
  afterEach(async () => {
    await site.remove();
  });
  const onDatabase = async <T>(
    work: (database: ReturnType<typeof openDatabase>) => Promise<T>,
  ): Promise<T> => {
    const database = openDatabase(site.databaseFile);
    try {
      return await work(database);
    } finally {
      await database.destroy();
    }
  };

  it('S-74: prints the code once, keeps its hash, and enters the trail', async () => {
    const { code, out, err } = await site.command(
      'account',
      'enrollment-code',
      'anna',
      '--reason',
      'seen in person',
    );
    expect([code, err]).toEqual([0, '']);
    const shown = /^([0-9A-HJKMNP-TV-Z-]{19}) {2}for anna@example\.com, once, until /.exec(out)?.[1] ?? '';
    expect(shown).not.toBe('');
    const { rows, trail } = await onDatabase(async (database) => ({
      rows: await database.selectFrom('enrollment_code').selectAll().execute(),
      trail: await database.selectFrom('audit_entry').select(['action', 'entry']).execute(),
    }));
    expect(rows).toHaveLength(1);
    expect(JSON.stringify([rows, trail])).not.toContain(shown.replaceAll('-', ''));
    const entry = trail.find(({ action }) => action === 'enrollment-code.created');
    expect(entry?.entry).toContain('seen in person');
    expect(await site.dataOf('account', 'enrollment-code', 'anna')).toEqual({
      address: 'anna@example.com',
      code: expect.stringMatching(/^([0-9A-HJKMNP-TV-Z]{4}-){3}[0-9A-HJKMNP-TV-Z]{4}$/),
      notAfter: expect.stringMatching(/Z$/),
    });
    expect(
      await onDatabase((database) => database.selectFrom('enrollment_code').selectAll().execute()),
    ).toHaveLength(1);
  });

  it('S-82: reset-mfa voids it, wants to know what becomes of app passwords, and shows no secret', async () => {
    await site.command('account', 'enrollment-code', 'anna');
    expect((await site.command('account', 'reset-mfa', 'anna')).code).toBe(2);
    const { code, out } = await site.command('account', 'reset-mfa', 'anna', '--app-passwords', 'keep');
    expect([code, out]).toEqual([0, 'anna@example.com: 0 second factors removed, 0 app passwords revoked.']);
    expect(
      await onDatabase((database) => database.selectFrom('enrollment_code').selectAll().execute()),
    ).toEqual([]);
  });

  it('S-35: migrate --after-restore voids codes', async () => {
    await site.command('account', 'enrollment-code', 'anna');
    expect(await site.dataOf('migrate', '--after-restore')).toMatchObject({ codesVoided: 1 });
    expect(
      await onDatabase((database) => database.selectFrom('enrollment_code').selectAll().execute()),
    ).toEqual([]);
  });

  it('S-78: check --connect says how many people lost their passkeys to another host', async () => {
    await onDatabase(async (database) => {
      const { id } = await database.selectFrom('account').select('id').executeTakeFirstOrThrow();
      const passkey = {
        ...{ id: Buffer.alloc(16, 1), account_id: id, kind: 'passkey' as const, sealed: '', name: '' },
        ...{ credential_id: Buffer.alloc(20, 1), public_key: Buffer.alloc(8), rp_id: 'old.example.com' },
        ...{ user_verified: 1 as const, backup_eligible: 0 as const, is_primary: 0 as const },
        ...{
          confirmed_at: 1,
          last_step: -1,
          consecutive_failures: 0,
          created_at: 1,
          row_mac: Buffer.alloc(36),
        },
      };
      await database.insertInto('second_factor').values(passkey).execute();
    });
    expect((await site.command('check', '--connect')).out).toContain(
      'portal.public_url: 1 person has passkeys that were made for another host than mail.example.com',
    );
  });

  it('S-80: an operator may end the hold after a recovery code', async () => {
    expect((await site.command('account', 'end-recovery-hold', 'anna')).out).toBe(
      'anna@example.com was not held back.',
    );
    expect(await site.dataOf('account', 'end-recovery-hold', 'anna')).toEqual({
      address: 'anna@example.com',
      wasHeld: false,
    });
  });
});
