import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { type PostgresServer, database as schema } from '../../src/config/database-schema.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import { errorCode } from '../../src/observability/error-text.ts';
import { Secret } from '../../src/secret.ts';
import { createAccount, disableAccount, findAccount, listAccounts } from '../../src/store/accounts.ts';
import { currentCacheSalts } from '../../src/store/cache-salts.ts';
import { type Database, migrate, pendingMigrations } from '../../src/store/database.ts';
import { isStoreOutage, StoreSilentError } from '../../src/store/outage.ts';
import { openPostgres } from '../../src/store/postgres.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { gatewayPassword, type Postgres, startPostgres } from '../support/postgres.ts';

const guard = rowGuard();
let scratch: ScratchFolder;
let certificates: ThrowAwayCertificates;
let postgres: Postgres;
const opened: Database[] = [];
beforeAll(async () => {
  scratch = await makeScratchFolder();
  certificates = await makeThrowAwayCertificates(scratch.path);
  postgres = await startPostgres({ tls: certificates });
});
afterEach(async () => {
  for (const each of opened.splice(0)) await each.destroy();
});
afterAll(async () => {
  await postgres.stop();
  await scratch.remove();
});

interface Change extends Partial<PostgresServer> {
  readonly password?: string;
  readonly ca?: Buffer | null;
}

function open(url: string, change: Change = {}): { readonly database: Database; readonly faults: string[] } {
  const location = schema.parse({ url });
  if (location.engine !== 'postgres') throw new Error('no server');
  const { password = gatewayPassword, ca = null, ...server } = change;
  const faults: string[] = [];
  const database = openPostgres({
    server: { ...location, ...server },
    password: Secret.fromText(password),
    ca,
    onFault: (problem) => faults.push(problem),
  });
  opened.push(database);
  return { database, faults };
}

async function migrated() {
  const url = await postgres.createDatabase();
  const { database, faults } = open(url);
  await migrate(database);
  return { url, database, faults };
}

const outage = async (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => false,
    (error: unknown) => {
      if (!isStoreOutage(error)) throw error;
      return true;
    },
  );

describe('a PostgreSQL server', () => {
  it('gives numbers and bytes as the embedded engine does', async () => {
    const { database } = await migrated();
    const at = Date.UTC(2100, 0, 1);
    const { account } = await createAccount(database, guard, 'alice@example.com', at);
    expect(account).toMatchObject({ created_at: at, enrolled_at: null });
    expect(Buffer.isBuffer(account.id)).toBe(true);
    const { count, sum } = await database
      .selectFrom('account')
      .select((select) => [
        select.fn.countAll<number>().as('count'),
        select.fn.sum<number>('created_at').as('sum'),
      ])
      .executeTakeFirstOrThrow();
    expect([count, sum]).toEqual([1, at]);
  });

  it('is reached over its Unix socket too', async () => {
    const url = await postgres.createDatabase();
    const at = encodeURIComponent(postgres.socketFolder);
    const { database } = open(url.replace('127.0.0.1', at));
    expect((await migrate(database)).length).toBeGreaterThan(0);
  });

  it('S-33: over TLS only with the right certificate, chain and name', async () => {
    const url = await postgres.createDatabase();
    const { ca } = certificates;
    const seen = async (change: Change): Promise<unknown> => {
      const { database } = open(url, { isTls: true, ...change });
      const { rows } = await sql<{
        ssl: boolean;
      }>`select ssl from pg_stat_ssl where pid = pg_backend_pid()`.execute(database);
      return rows[0]?.ssl;
    };
    expect(await seen({ ca })).toBe(true);
    expect(await seen({ ca, host: 'localhost' })).toBe(true);
    await expect(seen({})).rejects.toThrow(/certificate|self.signed/i);
    const elsewhere = await mkdtemp(join(scratch.path, 'elsewhere-'));
    const { ca: foreign } = await makeThrowAwayCertificates(elsewhere);
    await expect(seen({ ca: foreign })).rejects.toThrow(/certificate/i);
    await expect(seen({ ca, host: '127.0.0.2' })).rejects.toThrow(/altnames|cert's list/);
  });

  it('S-33: a role without rights on the schema runs the gateway, and cannot change the schema', async () => {
    const { url, database: owner } = await migrated();
    await postgres.query(url, "create role runtime login password 'runtime'");
    await postgres.query(url, 'grant usage on schema public to runtime');
    await postgres.query(
      url,
      'grant select, insert, update, delete on all tables in schema public to runtime',
    );
    const { database } = open(url, { user: 'runtime', password: 'runtime' });
    expect(await migrate(database)).toEqual([]);
    const { account } = await createAccount(database, guard, 'alice@example.com', 1);
    await disableAccount(database, guard, account.id, 2);
    expect(await currentCacheSalts(database, 1, 1_000)).toHaveLength(1);
    expect(await findAccount(owner, guard, 'alice@example.com')).toMatchObject({ state: 'disabled' });
    await expect(database.schema.createTable('x').addColumn('id', 'integer').execute()).rejects.toThrow(
      /permission denied/,
    );
    await expect(database.schema.dropTable('account').execute()).rejects.toThrow(/must be owner/);
  });

  it('S-41: an error names no value of a row, and no password', async () => {
    const { database, url } = await migrated();
    await createAccount(database, guard, 'alice@example.com', 1);
    const row = await database.selectFrom('account').selectAll().executeTakeFirstOrThrow();
    const text = (error: unknown) =>
      JSON.stringify(Object.getOwnPropertyNames(error).map((key) => (error as never)[key]));
    const twice = await database
      .insertInto('account')
      .values(row)
      .execute()
      .catch((error: unknown) => error);
    expect(errorCode(twice)).toBe('23505');
    expect(text(twice)).not.toContain('alice');
    const bare = await database
      .insertInto('account')
      .values({ ...row, id: Buffer.alloc(16), address: 'bob@example.com', row_mac: null as never })
      .execute()
      .catch((error: unknown) => error);
    expect(errorCode(bare)).toBe('23502');
    expect(text(bare)).not.toContain('bob');
    const refused = await migrate(open(url, { password: 'never to be seen' }).database).catch(
      (error: unknown) => error,
    );
    expect(errorCode(refused)).toBe('28P01');
    expect(text(refused)).not.toContain('never to be seen');
  });

  it('bounds its connections, and who waits too long is told of an outage', async () => {
    const { database, url } = await migrated();
    const release = Promise.withResolvers<void>();
    const holding = Array.from({ length: 10 }, () =>
      database.transaction().execute(async (inside) => {
        await inside.selectFrom('account').select('id').execute();
        await release.promise;
      }),
    );
    expect(await outage(listAccounts(database, guard))).toBe(true);
    const own = await postgres.query(
      url,
      "select 1 from pg_stat_activity where datname = current_database() and usename = 'sallyport'",
    );
    expect(own).toHaveLength(10);
    release.resolve();
    await Promise.all(holding);
    expect(await listAccounts(database, guard)).toEqual([]);
  });

  it('a lock that is not let go is an outage within the time of a login', async () => {
    const { database, url } = await migrated();
    const { account } = await createAccount(database, guard, 'alice@example.com', 1);
    const release = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const holding = open(url)
      .database.transaction()
      .execute(async (inside) => {
        await inside.updateTable('account').set({ row_mac: account.row_mac }).execute();
        locked.resolve();
        await release.promise;
      });
    await locked.promise;
    const error: unknown = await disableAccount(database, guard, account.id, 2).catch(
      (thrown: unknown) => thrown,
    );
    expect([errorCode(error), isStoreOutage(error)]).toEqual(['55P03', true]);
    expect(await findAccount(database, guard, 'alice@example.com')).toMatchObject({ state: 'active' });
    release.resolve();
    await holding;
    await disableAccount(database, guard, account.id, 3);
  });

  it('a transaction that is left open ends, and its connection is not used again', async () => {
    const { database, url } = await migrated();
    const gone = database.transaction().execute(async (inside) => {
      await createAccount(inside, guard, 'alice@example.com', 1);
      // As idle_in_transaction_session_timeout does after ten seconds.
      await postgres.query(
        url,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'",
      );
      await new Promise(setImmediate);
      await findAccount(inside, guard, 'alice@example.com');
    });
    expect(await outage(gone)).toBe(true);
    expect(await listAccounts(database, guard)).toEqual([]);
  });
});

describe('PostgreSQL away', () => {
  it('killed and started again: outages, told as such, then the same pool goes on', async () => {
    const { database, faults } = await migrated();
    await createAccount(database, guard, 'alice@example.com', 1);
    await postgres.crash();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      expect(await outage(findAccount(database, guard, 'alice@example.com'))).toBe(true);
      expect(await outage(createAccount(database, guard, 'bob@example.com', 1))).toBe(true);
    }
    await postgres.start();
    expect(await findAccount(database, guard, 'alice@example.com')).not.toBeNull();
    expect(await findAccount(database, guard, 'bob@example.com')).toBeNull();
    expect(faults.length).toBeGreaterThan(0);
  });

  it('frozen: nobody waits longer than a login may, and nothing stays stuck behind it', async () => {
    const { database } = await migrated();
    await Promise.all(Array.from({ length: 10 }, () => listAccounts(database, guard)));
    await postgres.freeze();
    try {
      const asked = await Promise.all(
        Array.from({ length: 30 }, async () => await outage(listAccounts(database, guard))),
      );
      expect(asked).toEqual(new Array(30).fill(true));
    } finally {
      await postgres.thaw();
    }
    expect(await listAccounts(database, guard)).toEqual([]);
    expect(await Promise.all(Array.from({ length: 30 }, () => listAccounts(database, guard)))).toHaveLength(
      30,
    );
  });

  it('not there at all: every question is an outage, and closing takes no time', async () => {
    const { database } = open('postgres://sallyport:x@127.0.0.1:1/none');
    expect(await outage(pendingMigrations(database))).toBe(true);
    expect(await outage(currentCacheSalts(database, 1, 1))).toBe(true);
    await expect(listAccounts(database, guard)).rejects.toThrow(StoreSilentError);
  });
});
