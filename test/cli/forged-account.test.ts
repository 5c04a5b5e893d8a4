import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/store/database.ts';
import { makeSite, type Site } from './site.ts';

describe('S-34: an account that was changed in SQL', () => {
  let site: Site;
  beforeEach(async () => {
    site = await makeSite();
    await site.command('keys', 'init');
    await site.command('migrate');
    await site.command('account', 'create', 'anna');
    await site.command('account', 'create', 'bert');
    const database = openDatabase(site.databaseFile);
    await database
      .updateTable('account')
      .set({ mfa: 'off' } as never)
      .where('address', '=', 'anna@example.com')
      .execute();
    await database.destroy();
  });
  afterEach(async () => {
    await site.remove();
  });

  it('is shown as such', async () => {
    expect((await site.command('account', 'list')).out).toMatch(
      /\nanna@example.com +changed by hand +off .*\nbert@example.com +active /,
    );
    expect(await site.dataOf('account', 'list')).toMatchObject([{ isGenuine: false }, { isGenuine: true }]);
  });

  it('is neither changed nor given an app password, with the reason and the remedy', async () => {
    for (const words of [
      ['account', 'create', 'anna'],
      ['account', 'enable', 'anna'],
      ['account', 'set-mfa', 'anna', 'required'],
      ['account', 'reset-mfa', 'anna', '--app-passwords', 'keep'],
      ['app-password', 'create', '--account', 'anna', '--label', 'x'],
    ]) {
      expect([words, await site.command(...words)]).toEqual([
        words,
        { code: 1, out: '', err: expect.stringMatching(/^Refused: .*`sallyport migrate --after-restore`/) },
      ]);
    }
  });

  it('can be disabled', async () => {
    expect(await site.dataOf('account', 'disable', 'anna')).toMatchObject({ state: 'disabled' });
    expect((await site.command('account', 'list')).out).toMatch(/anna@example.com +changed by hand/);
  });
});
