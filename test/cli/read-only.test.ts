import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Postgres, startPostgres } from '../support/postgres.ts';
import { makeSite } from './site.ts';

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(async () => await postgres.stop());

describe('S-94: a database role that may only read', () => {
  it('looks and takes out all the same, with a warning; changes nothing', async () => {
    const url = await postgres.createDatabase();
    const owner = await makeSite({ database: { url } });
    try {
      await owner.command('keys', 'init');
      await owner.command('migrate');
      await owner.command('account', 'create', 'anna');
      await postgres.query(url, "create role reader login password 'reader'");
      await postgres.query(url, 'grant select on all tables in schema public to reader');
      const text = await readFile(owner.configFile, 'utf8');
      const use = async (at: string) =>
        await writeFile(owner.configFile, text.replace(/url: "?postgres:\S+/, `url: "${at}"`));
      await use(url.replace(/:\/\/[^@]+@/, '://reader:reader@'));
      const warning = expect.stringMatching(/^Warning: the audit trail does not have it\. permission denied/);
      for (const words of [
        ['login-log', 'anna'],
        ['export', 'accounts'],
      ]) {
        const { code, out, err } = await owner.command(...words);
        expect([words[0], code, err]).toEqual([words[0], 0, warning]);
        expect(out).toContain('anna@example.com');
      }
      expect((await owner.command('account', 'erase', 'anna', '--yes')).code).toBe(1);
      await use(url);
      expect((await owner.command('account', 'list')).out).toContain('anna@example.com');
    } finally {
      await owner.remove();
    }
  });
});
