import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { LoginLog, type LoginLogLimits, type LoginReport } from '../../src/credentials/login-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { listLoginEvents } from '../../src/store/login-events.ts';
import type { Account } from '../../src/store/schema.ts';
import { engines } from '../store/scratch-database.ts';
import { type Bed, openBed } from './bed.ts';
import { until } from './until.ts';

const hour = 3_600_000;
const day = 24 * hour;

describe.each(engines)('the login log on %s', (engine) => {
  let bed: Bed;
  let anna: Account;
  let log: LoginLog;

  beforeEach(async () => {
    bed = await openBed({ engine });
    anna = await bed.account('anna@example.com');
    log = open();
  });
  afterEach(async () => {
    await log.stop();
    await bed.close();
  });

  function open(limits: Partial<LoginLogLimits> = {}): LoginLog {
    return new LoginLog({
      database: bed.database,
      logger: createLogger('silent'),
      metrics: bed.metrics,
      now: bed.clock.now,
      monotonic: bed.clock.monotonic,
      limits: { keepMs: 90 * day, perAccount: 1_000, ...limits },
    });
  }

  function report(change: Partial<LoginReport> = {}): LoginReport {
    return {
      protocol: 'imap',
      reason: 'wrong',
      detail: null,
      account: 'anna@example.com',
      mayBePassword: false,
      address: '203.0.113.7',
      client: 'K-9 Mail',
      mechanism: 'PLAIN',
      credentialId: null,
      ...change,
    };
  }

  const events = async (of: { accountId: Buffer } | { name: string } = { accountId: anna.id }) =>
    await listLoginEvents(bed.database, of, 0, 100_000);
  const allRows = async () => await bed.database.selectFrom('login_event').selectAll().execute();

  it('wire 149: a client that polls every 15 minutes makes one row a day', async () => {
    const start = bed.clock.now();
    for (let poll = 0; poll < 7 * 96; poll += 1) {
      log.note(report());
      log.note(report({ mechanism: 'LOGIN' }));
      bed.clock.advance(15 * 60_000);
    }
    await log.stop();
    const rows = await events();
    expect(rows.map(({ times }) => times).reduce((sum, each) => sum + each, 0)).toBe(7 * 96 * 2);
    expect(rows).toHaveLength(8);
    expect(rows.at(-1)).toMatchObject({
      first_at: start,
      last_at: start + 12 * hour - 15 * 60_000,
      times: 96,
      protocol: 'imap',
      reason: 'wrong',
      address: '203.0.113.7',
      client: 'K-9 Mail',
      mechanism: 'LOGIN',
      name: null,
    });
  });

  it('keeps apart what differs', async () => {
    const id = Buffer.alloc(16, 7);
    const reports = [
      report(),
      report({ protocol: 'smtp' }),
      report({ reason: 'throttled' }),
      report({ reason: null, credentialId: id }),
      report({ address: '203.0.113.8' }),
      report({ client: null }),
      report({ reason: 'backend-refused', detail: 'OVERQUOTA' }),
    ];
    for (const each of [...reports, ...reports]) log.note(each);
    await log.stop();
    const rows = await events();
    expect(rows.map(({ times }) => times)).toEqual(reports.map(() => 2));
    expect(rows.find(({ reason }) => reason === null)?.credential_id).toEqual(id);
    expect(rows.find(({ reason }) => reason === 'backend-refused')?.detail).toBe('OVERQUOTA');
  });

  it('adds up over processes', async () => {
    const other = open();
    for (const process of [log, other, log]) {
      process.note(report());
      await log.stop();
      await other.stop();
    }
    expect((await events()).map(({ times }) => times)).toEqual([3]);
  });

  it('is written within a second, behind the login', async () => {
    log.note(report());
    expect(await events()).toEqual([]);
    await until(async () => (await events()).length === 1);
  });

  it('bounded by age', async () => {
    log.note(report());
    await log.stop();
    bed.clock.advance(89 * day);
    log.note(report());
    await log.stop();
    await log.purge();
    expect(await events()).toHaveLength(2);
    bed.clock.advance(2 * day);
    await log.purge();
    expect(await events()).toHaveLength(1);
  });

  it('bounded by rows of an account, and refusals push out no login', async () => {
    log = open({ perAccount: 40 });
    for (let index = 0; index < 5; index += 1) log.note(report({ reason: null, client: `device ${index}` }));
    await log.stop();
    for (let past = 0; past < 10; past += 1) {
      bed.clock.advance(day);
      for (let index = 0; index < 30; index += 1) log.note(report({ address: `203.0.113.${index}` }));
      await log.stop();
    }
    const rows = await events();
    expect(rows.filter(({ reason }) => reason === null)).toHaveLength(5);
    expect(rows.filter(({ reason }) => reason !== null)).toHaveLength(20);
    expect(Math.min(...rows.filter(({ reason }) => reason !== null).map((row) => row.last_at))).toBe(
      bed.clock.now(),
    );
  });

  it('a botnet on one account: fifty rows a day, and one for all the rest', async () => {
    for (let bot = 0; bot < 2_000; bot += 1) {
      log.note(report({ address: `203.${bot >> 8}.${bot & 255}.1`, client: `bot ${bot}` }));
    }
    await log.stop();
    const rows = await events();
    expect(rows).toHaveLength(51);
    expect(rows.find(({ address }) => address === null)).toMatchObject({ client: null, times: 1_950 });
  });

  it('S-19: a spray over names that are no account: 200 rows a day, and one for all the rest', async () => {
    for (let index = 0; index < 4_000; index += 1) {
      log.note(report({ account: `nobody${index}@example.com`, reason: 'unknown-account' }));
    }
    log.note(report());
    await log.stop();
    const rows = await allRows();
    expect(rows).toHaveLength(202);
    expect(rows.find((row) => row.account_id === null && row.name === null)).toMatchObject({ times: 3_800 });
    expect(await events({ name: 'nobody7@example.com' })).toHaveLength(1);
    expect(await events()).toHaveLength(1);
    for (let past = 0; past < 12; past += 1) {
      bed.clock.advance(day);
      for (let index = 0; index < 200; index += 1) log.note(report({ account: `no${index}@example.com` }));
      await log.stop();
    }
    expect((await allRows()).length).toBeLessThanOrEqual(1 + 500 + 200);
  });

  it('S-91: keeps no name that may be a password, and its owner finds the one that is an account', async () => {
    const typed = { mayBePassword: true, reason: 'not-an-app-password' } as const;
    log.note(report({ ...typed, account: 'tr0ub4dor@example.com' }));
    log.note(report({ ...typed, account: 'anna@example.com' }));
    log.note(report({ ...typed, account: null, reason: 'malformed-name' }));
    await log.stop();
    expect(JSON.stringify(await allRows())).not.toContain('tr0ub4dor');
    expect(await events()).toHaveLength(1);
    expect((await allRows()).filter(({ name, account_id: id }) => id === null && name === null)).toHaveLength(
      2,
    );
  });

  it('a flood is counted and costs no login its row', async () => {
    for (let index = 0; index < 12_000; index += 1) {
      log.note(report({ account: `person${index}@example.com` }));
    }
    log.note(report({ reason: null }));
    await log.stop();
    expect(await bed.value('sallyport_login_events_lost_total')).toBe(7_000);
    expect((await events()).map(({ reason }) => reason)).toEqual([null]);
  });

  it('S-36: goes with the account', async () => {
    log.note(report());
    await log.stop();
    await bed.database.deleteFrom('account').where('id', '=', anna.id).execute();
    expect(await allRows()).toEqual([]);
  });

  it('takes whatever a client calls itself', async () => {
    log.note(report({ client: `\ud800 ${'x'.repeat(500)}`, detail: 'y'.repeat(500) }));
    await log.stop();
    const [row] = await events();
    expect([row?.client?.length, row?.detail?.length]).toEqual([128, 128]);
  });
});
