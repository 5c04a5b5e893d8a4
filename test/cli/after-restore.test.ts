import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config/load.ts';
import { RestoredDatabaseError } from '../../src/credentials/restored-database.ts';
import { type Gateway, startGateway } from '../../src/main.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { tester } from '../support/journal.ts';
import { LineClient } from '../support/line-client.ts';
import { makeSite, type Site } from './site.ts';

describe('S-35: a database restored from a backup', () => {
  let site: Site;
  const gateways: Gateway[] = [];
  beforeEach(async () => {
    site = await makeSite();
    await site.command('keys', 'init');
    await site.command('migrate');
    await site.command('account', 'create', 'anna');
  });
  afterEach(async () => {
    for (const each of gateways.splice(0)) await each.stop();
    await site.remove();
  });

  const issue = async () =>
    (await site.dataOf('app-password', 'create', '--account', 'anna', '--label', 'Phone')) as {
      id: string;
      secret: string;
    };
  /** With every connection closed SQLite has everything in the one file. */
  const backUp = async () => await copyFile(site.databaseFile, `${site.folder}/backup.db`);
  const restore = async () => {
    for (const leftOver of ['-wal', '-shm']) await rm(`${site.databaseFile}${leftOver}`, { force: true });
    await copyFile(`${site.folder}/backup.db`, site.databaseFile);
  };
  const start = async (): Promise<Gateway> => {
    const loaded = await loadConfig(site.configFile, {});
    if (loaded.kind === 'invalid') throw new Error(loaded.problems.join('\n'));
    const gateway = await startGateway({ ...loaded, logger: createLogger('silent') });
    gateways.push(gateway);
    return gateway;
  };
  const login = async (gateway: Gateway, secret: string) => {
    const client = await LineClient.connect(gateway.ports.imap[0] ?? 0, site.ca);
    await client.line();
    const lines = await client.imap('a', `LOGIN anna ${secret}`);
    client.close();
    return lines.at(-1);
  };
  const wrong = 'a NO [AUTHENTICATIONFAILED] Authentication failed.';

  it('is refused by serve and by every command that writes, exit 78, until it is told so', async () => {
    const [lost, kept] = [await issue(), await issue()];
    await backUp();
    expect(await site.command('app-password', 'revoke', lost.id)).toMatchObject({ code: 0 });
    const mark = await readFile(site.markFile, 'utf8');
    expect(mark).toMatch(/^1\./);
    await restore();

    const refusal = {
      code: 78,
      out: '',
      err: expect.stringMatching(/^The database is older than .*`sallyport migrate --after-restore`.*\.$/),
    };
    expect(await site.command('serve')).toEqual(refusal);
    await expect(start()).rejects.toThrow(RestoredDatabaseError);
    for (const words of [
      ['migrate'],
      ['account', 'create', 'bert'],
      ['account', 'disable', 'anna'],
      ['account', 'enable', 'anna'],
      ['account', 'set-mfa', 'anna', 'off'],
      ['account', 'reset-mfa', 'anna', '--app-passwords', 'keep'],
      ['app-password', 'create', '--account', 'anna', '--label', 'x'],
      ['app-password', 'revoke', kept.id],
    ]) {
      expect([words, await site.command(...words)]).toEqual([words, refusal]);
    }
    expect(await site.command('account', 'list')).toMatchObject({ code: 0 });
    expect(await site.command('account', 'show', 'anna')).toMatchObject({ code: 0 });
    expect(await site.dataOf('app-password', 'list', '--account', 'anna')).toHaveLength(2);
    expect(await readFile(site.markFile, 'utf8')).toBe(mark);

    expect(await site.dataOf('migrate', '--after-restore')).toEqual({
      database: site.databaseFile,
      ran: [],
      revoked: 2,
      sessionsEnded: 0,
      codesVoided: 0,
      seq: 3,
    });
    const fresh = await issue();
    const gateway = await start();
    expect(await login(gateway, lost.secret)).toBe(wrong);
    expect(await login(gateway, kept.secret)).toBe(wrong);
    // Past the verifier: the backend does not exist.
    expect(await login(gateway, fresh.secret)).toMatch(/^a NO \[UNAVAILABLE\]/);
  });

  it('is noticed by a disabled account too', async () => {
    await backUp();
    await site.command('account', 'disable', 'anna');
    await restore();
    expect(await site.command('serve')).toMatchObject({ code: 78 });
    const { code, out } = await site.command('migrate', '--after-restore');
    expect([code, out]).toEqual([
      0,
      expect.stringMatching(/App passwords revoked: 0\..*\n.*disable accounts/),
    ]);
  });

  it('is noticed by what the running gateway revoked, its own work and the portal’s', async () => {
    const { id } = await issue();
    await backUp();
    const gateway = await start();
    const { appPasswords } = gateway.parts;
    const view = await appPasswords.find(Buffer.from(id, 'hex'));
    if (view === null) throw new Error('no app password');
    await appPasswords.revoke(view.accountId, view.id, 'test', tester);
    // Stands when the person is told; the poll is two seconds away.
    expect(await readFile(site.markFile, 'utf8')).toMatch(/^1\./);
    await gateway.stop();
    await restore();
    await expect(start()).rejects.toThrow(RestoredDatabaseError);
  });

  it('of the present state is no matter, nor is one that nothing was revoked since', async () => {
    const { id } = await issue();
    await site.command('app-password', 'revoke', id);
    await backUp();
    await issue();
    await restore();
    await start();
  });

  it('cannot be told where the mark is lost: accepted, written anew, and said', async () => {
    const { id } = await issue();
    await site.command('app-password', 'revoke', id);
    await rm(site.markFile);
    const { code, err } = await site.command('account', 'enable', 'anna');
    expect([code, err]).toEqual([0, expect.stringMatching(/^Warning: .*high-water is missing/)]);
    await (await start()).stop();
    expect(await readFile(site.markFile, 'utf8')).toMatch(/^1\./);
  });

  it('and a spoiled mark are refused alike', async () => {
    await writeFile(site.markFile, '0.spoiled');
    expect(await site.command('serve')).toMatchObject({
      code: 78,
      err: expect.stringMatching(/high-water is not as the gateway wrote it.*--after-restore/),
    });
  });
});
