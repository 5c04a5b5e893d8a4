import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import Sqlite from 'better-sqlite3';
import { Command } from 'commander';
import { addBackupCommand } from '../../src/cli/backup.ts';
import { CommandFailure } from '../../src/cli/io.ts';
import { run } from '../../src/demo/program.ts';
import { newestPrograms, type Postgres, startPostgres } from '../support/postgres.ts';
import { until } from '../support/until.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
let writer: ChildProcess | null = null;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
  await site.command('account', 'create', 'anna');
});
afterEach(async () => {
  writer?.kill('SIGKILL');
  await site.remove();
});

async function backUp(file: string, configFile = site.configFile) {
  const out: string[] = [];
  const program = new Command('sallyport').option('--config <file>').option('--json').exitOverride();
  addBackupCommand(program, {
    out: (line) => out.push(line),
    err: (line) => out.push(line),
    environment: {},
    signal: new AbortController().signal,
    now: Date.now,
  });
  try {
    await program.parseAsync(['backup', file, '--config', configFile], { from: 'user' });
    return { code: 0, text: out.join('\n') };
  } catch (error) {
    if (error instanceof CommandFailure) return { code: error.code, text: error.message };
    throw error;
  }
}

const issue = async (label = 'Phone') =>
  (await site.dataOf('app-password', 'create', '--account', 'anna', '--label', label)) as { id: string };

/** What a backup holds, read without writing to it. */
function contentOf(file: string) {
  const database = new Sqlite(file, { readonly: true });
  try {
    const rows = (text: string) => database.prepare(text).all() as Record<string, unknown>[];
    return {
      soundness: database.pragma('integrity_check', { simple: true }),
      journal: database.pragma('journal_mode', { simple: true }),
      appPasswords: rows('select state from app_password').map(({ state }) => state),
      seqs: rows('select seq from revocation order by seq').map(({ seq }) => seq),
      counter: rows('select seq from revocation_counter').map(({ seq }) => seq),
    };
  } finally {
    database.close();
  }
}

describe('sallyport backup', () => {
  it('S-36: makes one file of mode 0600, checked, and leaves nothing beside it', async () => {
    const { id } = await issue();
    await issue('Tablet');
    await site.command('app-password', 'revoke', id);
    const folder = join(site.folder, 'backups');
    await mkdir(folder);
    const file = join(folder, 'monday.db');
    expect(await backUp(file)).toEqual({
      code: 0,
      text: expect.stringMatching(
        /is backed up in .*monday\.db \(\d+ bytes, 1 revocations\)\.\nThe key file/,
      ),
    });
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['monday.db']);
    expect(contentOf(file)).toEqual({
      soundness: 'ok',
      journal: 'delete',
      appPasswords: expect.arrayContaining(['revoked', 'active']),
      seqs: [1],
      counter: [1],
    });
  });

  it('writes over nothing, and needs a database and a folder', async () => {
    const file = join(site.folder, 'taken.db');
    await writeFile(file, 'dear to somebody');
    expect(await backUp(file)).toEqual({ code: 1, text: expect.stringMatching(/taken\.db exists already/) });
    expect(await readFile(file, 'utf8')).toBe('dear to somebody');
    expect(await backUp(site.databaseFile)).toMatchObject({ code: 1 });
    expect(await backUp(join(site.folder, 'none', 'x.db'))).toEqual({
      code: 1,
      text: expect.stringMatching(/^Nothing was written to .*ENOENT/),
    });
    await rm(site.databaseFile);
    expect(await backUp(join(site.folder, 'x.db'))).toEqual({
      code: 1,
      text: expect.stringMatching(/^There is no database /),
    });
    expect(await readdir(site.folder)).not.toContain('x.db');
  });

  it('of a damaged database is refused, and leaves no file', async () => {
    for (let number = 0; number < 30; number += 1) await issue(`Device ${number} ${'x'.repeat(40)}`);
    const { size } = await stat(site.databaseFile);
    const handle = await open(site.databaseFile, 'r+');
    await handle.write(Buffer.alloc(size - 8_192, 0x5a), 0, size - 8_192, 8_192);
    await handle.close();
    const file = join(site.folder, 'x.db');
    expect(await backUp(file)).toEqual({
      code: 1,
      text: expect.stringMatching(/is damaged, and nothing was written/),
    });
    expect((await readdir(site.folder)).filter((name) => name.startsWith('x.db'))).toEqual([]);
  });

  it('of a PostgreSQL is its own tools’ work, which is said', async () => {
    const text = await readFile(site.configFile, 'utf8');
    const configFile = join(site.folder, 'postgres.yaml');
    await writeFile(configFile, text.replace(/sqlite:\S+/, 'postgres://gw:hidden@db.example/mail'));
    const { code, text: message } = await backUp(join(site.folder, 'x.db'), configFile);
    expect([code, message]).toEqual([
      1,
      expect.stringMatching(/`pg_dump .*postgres:\/\/gw@db\.example:5432\/mail`/),
    ]);
    expect(message).not.toContain('hidden');
  });
});

/** A process that makes and revokes app passwords of anna until it is killed. */
async function startWriter(): Promise<ChildProcess> {
  const script = join(import.meta.dirname, '../credentials/writing-process.ts');
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script, site.databaseFile, join(site.folder, 'keys/keys.json')],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(child.stdout, 'data');
  child.stdout.resume();
  return child;
}

describe('S-35: backup and restore as documented', () => {
  it('a backup taken while a process writes is one moment; restored it is refused, then consistent', async () => {
    writer = await startWriter();
    const seqOf = () => contentOf(site.databaseFile).seqs.length;
    for (const name of ['one', 'two', 'three']) {
      const before = seqOf();
      expect(await backUp(join(site.folder, `${name}.db`))).toMatchObject({ code: 0 });
      await until(() => seqOf() > before);
    }
    writer.kill('SIGKILL');
    await once(writer, 'close');

    for (const name of ['one', 'two', 'three']) {
      const { soundness, appPasswords, seqs, counter } = contentOf(join(site.folder, `${name}.db`));
      expect(soundness).toBe('ok');
      // Row and entry are one transaction, so each backup has as many of one as of the other.
      const revoked = appPasswords.filter((state) => state === 'revoked').length;
      expect(seqs).toEqual(Array.from({ length: revoked }, (_, index) => index + 1));
      expect(counter).toEqual([revoked]);
    }
    // The killed writer lost nothing that it had answered, and its log is taken up by who opens next.
    expect(contentOf(site.databaseFile).soundness).toBe('ok');

    // The mark follows when a gateway or a command reads the feed.
    const { id } = await issue('kept');
    expect(await site.command('app-password', 'revoke', id)).toMatchObject({ code: 0 });
    const atTheEnd = seqOf();
    expect(await readFile(site.markFile, 'utf8')).toMatch(new RegExp(`^${atTheEnd}\\.`));

    for (const leftOver of ['-wal', '-shm']) await rm(`${site.databaseFile}${leftOver}`, { force: true });
    await copyFile(join(site.folder, 'two.db'), site.databaseFile);
    expect(await site.command('serve')).toMatchObject({
      code: 78,
      err: expect.stringMatching(/older than the one last worked with.*--after-restore/),
    });
    expect(await site.command('account', 'create', 'bert')).toMatchObject({ code: 78 });

    const active = contentOf(site.databaseFile).appPasswords.filter((state) => state === 'active');
    expect(await site.dataOf('migrate', '--after-restore')).toMatchObject({
      revoked: active.length,
      seq: atTheEnd + 2,
    });
    const restored = contentOf(site.databaseFile);
    expect(restored.soundness).toBe('ok');
    expect(restored.appPasswords).not.toContain('active');
    expect(restored.counter).toEqual([atTheEnd + 2]);
    const fresh = await issue('fresh');
    await site.command('app-password', 'revoke', fresh.id);
    expect(contentOf(site.databaseFile).seqs.at(-1)).toBe(atTheEnd + 3);
  }, 60_000);
});

describe('S-35: a PostgreSQL restored from its dump', () => {
  let postgres: Postgres;
  beforeAll(async () => {
    postgres = await startPostgres();
  });
  afterAll(async () => {
    await postgres.stop();
  });

  it('is refused, then goes on above the mark, by the same commands', async () => {
    const url = await postgres.createDatabase();
    const shared = await makeSite({ database: { url } });
    try {
      await shared.command('keys', 'init');
      expect(await shared.command('migrate')).toMatchObject({
        code: 0,
        out: expect.stringMatching(/^postgres:.*ran 001/),
      });
      await shared.command('account', 'create', 'anna');
      const issue = async () =>
        (await shared.dataOf('app-password', 'create', '--account', 'anna', '--label', 'Phone')) as {
          id: string;
        };
      const [lost, kept] = [await issue(), await issue()];

      const programs = await newestPrograms();
      const dump = join(shared.folder, 'dump');
      await run(join(programs, 'pg_dump'), ['--format=custom', `--file=${dump}`, url]);
      for (const { id } of [lost, await issue(), await issue()])
        await shared.command('app-password', 'revoke', id);
      expect(await readFile(shared.markFile, 'utf8')).toMatch(/^3\./);
      await run(join(programs, 'pg_restore'), [
        '--clean',
        '--if-exists',
        '--no-owner',
        `--dbname=${url}`,
        dump,
      ]);

      const refusal = {
        code: 78,
        err: expect.stringMatching(/revocations end at 0, not at 3.*--after-restore/),
      };
      for (const words of [['serve'], ['migrate'], ['app-password', 'revoke', kept.id]]) {
        expect(await shared.command(...words)).toMatchObject(refusal);
      }
      expect(await shared.dataOf('migrate', '--after-restore')).toEqual({
        database: `postgres://sallyport@127.0.0.1:${postgres.port}/${new URL(url).pathname.slice(1)}`,
        ran: [],
        revoked: 2,
        sessionsEnded: 0,
        codesVoided: 0,
        seq: 5,
      });
      const fresh = await issue();
      expect(await shared.command('app-password', 'revoke', fresh.id)).toMatchObject({ code: 0 });
      expect(await readFile(shared.markFile, 'utf8')).toMatch(/^6\./);
    } finally {
      await shared.remove();
    }
  }, 60_000);

  it('away, a command says so in one line without the password', async () => {
    const shared = await makeSite({ database: { url: 'postgres://gw:hidden@127.0.0.1:1/mail' } });
    try {
      await shared.command('keys', 'init');
      for (const words of [['migrate'], ['account', 'list']]) {
        const { code, err } = await shared.command(...words);
        expect([code, err]).toEqual([
          1,
          expect.stringMatching(/^The database postgres:\/\/gw@127\.0\.0\.1:1\/mail does not answer: .*\.$/),
        ]);
        expect(err).not.toContain('hidden');
      }
    } finally {
      await shared.remove();
    }
  });
});
