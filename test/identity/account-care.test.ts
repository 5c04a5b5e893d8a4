import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, it } from '@jest/globals';
import { AppPasswords } from '../../src/credentials/app-passwords.ts';
import { auditLine } from '../../src/credentials/audit-line.ts';
import { Journal } from '../../src/credentials/journal.ts';
import type { SessionDirectory, SessionFilter } from '../../src/credentials/session-directory.ts';
import { AccountCare, type Order } from '../../src/identity/account-care.ts';
import { findAccount, findAccountById } from '../../src/store/accounts.ts';
import type { Database } from '../../src/store/database.ts';
import type { Account } from '../../src/store/schema.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from '../credentials/bed.ts';
import { Tap } from '../credentials/tap.ts';
import { type Engine, engines } from '../store/scratch-database.ts';
import { testJournal } from '../support/journal.ts';

const beds: Bed[] = [];
afterEach(async () => {
  for (const each of beds.splice(0).reverse()) await each.close();
});

async function bed(options: BedOptions): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}

const order: Order = { actor: { kind: 'operator', user: 'olga' }, reason: 'TICKET-7' };

/** A journal that nobody can write to, as with the disk full. */
class FullJournal extends Journal {
  override async record(): Promise<void> {
    throw new Error('the disk is full');
  }
}

async function withAnna(engine: Engine) {
  const gateway = await bed({ engine });
  const { database, guard, keys, clock, passwordHash, revocations, config } = gateway;
  const { now } = clock;
  const careOf = (journal: Journal) => {
    const appPasswords = new AppPasswords({
      ...{ database, keys, passwordHash, revocations, journal, config, now },
    });
    return new AccountCare({ database, guard, appPasswords, revocations, journal, now });
  };
  const anna = await gateway.account('anna@example.com');
  /** Action, facts, who and why of what the trail has. */
  const trail = async () => {
    const rows = await database
      .selectFrom('audit_entry')
      .selectAll()
      .orderBy('at')
      .orderBy('chain')
      .orderBy('seq')
      .execute();
    return rows.map((row) => JSON.parse(auditLine(row))).filter(({ action }) => !action.startsWith('audit.'));
  };
  return {
    gateway,
    database,
    anna,
    care: careOf(testJournal(keys, now, { database, guard })),
    broken: careOf(new FullJournal({ audit: null as never, notices: null })),
    trail,
    current: async () => await findAccountById(database, guard, anna.id),
  };
}

const blob = () => randomBytes(16);

/** Rows of an account in every table that can have some, but for app passwords, which are real ones. */
async function fill(database: Database, { id, address }: Account, credentialId: Buffer): Promise<void> {
  const row = { account_id: id, created_at: 1, row_mac: blob() };
  const factor = { last_step: -1, consecutive_failures: 0, is_primary: 0, name: `${address}'s app` } as const;
  for (const kind of ['totp', 'recovery', 'email'] as const) {
    const factorId = blob();
    const place = kind === 'email' ? `other-of-${address}` : null;
    await database
      .insertInto('second_factor')
      .values({ ...row, ...factor, id: factorId, kind, sealed: `seed-of-${address}`, address: place })
      .execute();
    await database.insertInto('factor_failure').values({ factor_id: factorId, at: 1 }).execute();
    if (kind !== 'recovery') continue;
    const code = { id: blob(), factor_id: factorId, pepper_version: 1, selector: 1, phc: 'phc' };
    await database
      .insertInto('recovery_code')
      .values({ ...code, row_mac: blob() })
      .execute();
  }
  await database
    .insertInto('enrollment_code')
    .values({
      ...{ account_id: id, pepper_version: 1, phc: 'phc', not_after: 9, row_mac: blob() },
      ...{ tries: 0, spell_began_at: 0, spell_tries: 0 },
    })
    .execute();
  await database
    .insertInto('webauthn_challenge')
    .values({
      ...row,
      ...{ challenge: blob(), session_hash: blob(), ceremony: 'get', user_verification: 'required' },
    })
    .execute();
  await database
    .insertInto('email_code')
    .values({
      ...{ account_id: id, created_at: 1, id: blob(), session_hash: blob(), code_mac: blob(), tries: 0 },
      address: `other-of-${address}`,
    })
    .execute();
  await database
    .insertInto('portal_session')
    .values({
      ...row,
      ...{ id_hash: blob(), level: 'full', csrf: 'x', assurance: 'password', seen_at: 1 },
    })
    .execute();
  await database
    .insertInto('oidc_transaction')
    .values({ account_id: id, created_at: 1, id_hash: blob(), sealed: 'x' })
    .execute();
  await database
    .insertInto('identity_link')
    .values({ ...row, id: blob(), issuer: 'https://id.example', subject: address, created_by: 'operator' })
    .execute();
  await database
    .insertInto('profile_link')
    .values({ ...row, id: blob(), token_hash: blob(), device: 'Phone', not_after: 9 })
    .execute();
  const event = { first_at: 1, last_at: 1, times: 1, protocol: 'imap', address: '192.0.2.1' };
  for (const whose of [{ account_id: id }, { account_id: null, name: address }]) {
    await database
      .insertInto('login_event')
      .values({ ...event, ...whose, id: blob() })
      .execute();
  }
  await database
    .insertInto('stale_client')
    .values({ ...event, credential_id: credentialId })
    .execute();
}

/** Every row of every table as text, bytes in hexadecimal digits; the bookkeeping of migrations left out. */
async function dump(database: Database): Promise<ReadonlyMap<string, readonly string[]>> {
  const tables = await database.introspection.getTables();
  const rows = new Map<string, readonly string[]>();
  for (const { name } of tables) {
    const all = await database
      .selectFrom(name as 'account')
      .selectAll()
      .execute();
    rows.set(
      name,
      all
        .map((row) =>
          JSON.stringify(row, (_, value) =>
            value?.type === 'Buffer' ? Buffer.from(value).toString('hex') : value,
          ),
        )
        .sort(),
    );
  }
  return rows;
}

describe.each(engines)('what others do to an account, on %s', (engine) => {
  it('S-94: is entered with who and why', async () => {
    const { gateway, care, anna, trail, current } = await withAnna(engine);
    await gateway.issue(anna);
    expect(await care.create('bert@example.com', order)).toMatchObject({ created: true });
    expect(await care.create('bert@example.com', order)).toMatchObject({ created: false });
    await care.disable(anna, order);
    expect(await current()).toMatchObject({ state: 'disabled' });
    await care.enable(anna, order);
    await care.setMfa(anna, 'off', order);
    expect(await current()).toMatchObject({ state: 'active', mfa: 'off' });
    await care.viewed(anna, order);
    expect(await care.resetFactors(anna, 'keep', order)).toEqual({ factorsRemoved: 0, revoked: 0 });
    expect(await care.mainPasswordChanged(anna, 'keep', order)).toEqual({ sessionsEnded: 0, revoked: 0 });
    expect(await care.resetFactors(anna, 'revoke', order)).toEqual({ factorsRemoved: 0, revoked: 1 });
    await gateway.issue(anna);
    expect(await care.mainPasswordChanged(anna, 'revoke', order)).toEqual({ sessionsEnded: 0, revoked: 1 });
    const entries = (await trail()).filter(({ action }) => action !== 'app-password.created');
    expect(entries.map(({ action }) => action)).toEqual([
      'account.created',
      'account.disabled',
      'account.enabled',
      'account.mfa-set',
      'account.viewed',
      'factors.reset',
      'account.password-changed',
      'factors.reset',
      'app-passwords.revoked',
      'account.password-changed',
    ]);
    for (const entry of entries) {
      expect(entry).toMatchObject({ actor: { kind: 'operator', user: 'olga' }, reason: 'TICKET-7' });
    }
    expect(entries[3]).toMatchObject({ object: { mfa: 'off' }, account: { id: anna.id.toString('hex') } });
  });

  it('S-94: is not done where it cannot be entered', async () => {
    const { gateway, broken, anna, current } = await withAnna(engine);
    const { id } = await gateway.issue(anna);
    const before = await dump(gateway.database);
    for (const work of [
      () => broken.create('bert@example.com', order),
      () => broken.disable(anna, order),
      () => broken.enable(anna, order),
      () => broken.setMfa(anna, 'off', order),
      () => broken.resetFactors(anna, 'revoke', order),
      () => broken.mainPasswordChanged(anna, 'revoke', order),
      () => broken.erase(anna, order),
    ]) {
      await expect(work()).rejects.toThrow('the disk is full');
    }
    expect(await dump(gateway.database)).toEqual(before);
    expect(await current()).toEqual(anna);
    expect(await gateway.appPasswords.find(id)).toMatchObject({ state: 'active' });
  });

  it('ends live sessions by the account, the browser’s too, with the reason cut to what nodes take', async () => {
    const { care, anna, database } = await withAnna(engine);
    await database
      .insertInto('portal_session')
      .values({
        ...{ account_id: anna.id, created_at: 1, row_mac: blob(), id_hash: blob(), level: 'full' },
        ...{ csrf: 'x', assurance: 'password', seen_at: 1 },
      })
      .execute();
    const asked: [SessionFilter, string][] = [];
    const ending = { ended: 2, silent: [], isAlone: false };
    const sessions: SessionDirectory = {
      list: async () => ({ sessions: [], omitted: 0, silent: [], isAlone: false }),
      end: async (filter, reason) => {
        asked.push([filter, reason]);
        return ending;
      },
    };
    expect(await care.endSessions(anna, sessions, { ...order, reason: 'x'.repeat(300) })).toEqual(ending);
    expect(asked).toEqual([
      [{ by: 'owner', accountId: anna.id.toString('hex'), session: null }, 'x'.repeat(200)],
    ]);
    expect(await database.selectFrom('portal_session').selectAll().execute()).toEqual([]);
  });

  it('S-36: an erased account leaves its id in the feed and the trail, its address in the trail, and nothing else', async () => {
    const { gateway, care, anna, database, trail } = await withAnna(engine);
    const bert = await gateway.account('bert@example.com');
    for (const account of [anna, bert]) await fill(database, account, (await gateway.issue(account)).id);
    const before = await dump(database);
    const of = (rows: readonly string[] | undefined, { id, address }: Account) =>
      (rows ?? []).filter((row) => row.includes(id.toString('hex')) || row.includes(address));
    const owned = [...before].filter(([, rows]) => of(rows, anna).length > 0).map(([name]) => name);
    // A table that is new and has an account in it belongs into `fill`, and into the erasure.
    const columns = (await database.introspection.getTables())
      .filter((table) => table.columns.some(({ name }) => /^account_id$|^address$/.test(name)))
      .map(({ name }) => name)
      .filter((name) => name !== 'revocation' && name !== 'stale_client');
    expect(owned).toEqual(expect.arrayContaining(columns));

    const erased = await care.erase(anna, order);
    expect(erased).toEqual({
      appPasswords: 1,
      secondFactors: 3,
      recoveryCodes: 1,
      portalSessions: 1,
      identityLinks: 1,
      profileLinks: 1,
      notices: 1,
      loginEvents: 2,
    });
    const after = await dump(database);
    for (const [name, rows] of after) {
      if (name !== 'audit_entry' && name !== 'revocation') expect([name, of(rows, anna)]).toEqual([name, []]);
      if (!name.startsWith('audit_'))
        expect([name, of(rows, bert)]).toEqual([name, of(before.get(name), bert)]);
    }
    // What has neither id nor address in it hangs on something that has.
    for (const name of ['factor_failure', 'recovery_code', 'stale_client', 'notice_delivery']) {
      const [was, is] = [before.get(name)?.length ?? 0, after.get(name)?.length ?? 0];
      expect([name, was > 0, is]).toEqual([name, true, was / 2]);
    }
    expect((await trail()).find(({ action }) => action === 'account.erased')).toMatchObject({
      action: 'account.erased',
      account: { id: anna.id.toString('hex'), address: 'anna@example.com' },
      object: { ...erased },
      reason: 'TICKET-7',
    });
  });

  it('S-36: is erased once, however often and from how many sides', async () => {
    const { gateway, care, anna, trail } = await withAnna(engine);
    await gateway.issue(anna);
    const outcomes = await Promise.all([1, 2, 3].map(() => care.erase(anna, order)));
    expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(1);
    expect(await care.erase(anna, order)).toBeNull();
    expect((await trail()).filter(({ action }) => action === 'account.erased')).toHaveLength(1);
    expect(await gateway.database.selectFrom('revocation').selectAll().execute()).toMatchObject([
      { account_id: anna.id, credential_id: null, reason: 'account erased' },
    ]);
  });

  it('S-36: a row that was changed by hand is erased too', async () => {
    const { care, anna, database } = await withAnna(engine);
    await database
      .updateTable('account')
      .set({ mfa: 'off' } as never)
      .execute();
    expect(await care.erase(anna, order)).toMatchObject({ appPasswords: 0 });
    expect(await database.selectFrom('account').selectAll().execute()).toEqual([]);
  });

  it('S-36: what was logged of a name without an account is deleted and entered without the name', async () => {
    const { care, database, trail } = await withAnna(engine);
    const event = { first_at: 1, last_at: 1, times: 1, protocol: 'imap', account_id: null };
    for (const name of ['nina@example.com', 'nils@example.com']) {
      await database
        .insertInto('login_event')
        .values({ ...event, id: blob(), name })
        .execute();
    }
    expect(await care.eraseName('nina@example.com', order)).toBe(1);
    expect(await care.eraseName('nina@example.com', order)).toBe(0);
    const left = await database.selectFrom('login_event').select('name').execute();
    expect(left).toEqual([{ name: 'nils@example.com' }]);
    const entries = (await trail()).filter(({ action }) => action === 'login-log.erased');
    expect(entries).toMatchObject([{ account: null, object: { loginEvents: 1 } }]);
    expect(JSON.stringify(entries)).not.toContain('nina');
  });

  it('S-36: a cached record of an erased account lets nobody in, with the store or without it', async () => {
    const { gateway, care, anna } = await withAnna(engine);
    const { password } = await gateway.issue(anna);
    const tap = new Tap();
    const { file, clock, keys } = gateway;
    const other = await bed({ file, clock, keys, plugin: tap });
    const login = async () => outcomeOf(await other.login('anna@example.com', password));
    const away = async () => {
      const answers: string[] = [];
      // Every statement fails, one after the other.
      tap.break(0, 'throw');
      answers.push(await login());
      tap.heal();
      return answers[0];
    };
    expect(await login()).toBe('verified');
    // What it stands against: the record alone lets in.
    expect(await away()).toBe('verified');

    await care.erase(anna, order);
    // Before this process has heard of it, by the account that is not there.
    expect(await login()).toBe('unknown-account');
    await other.revocations.poll();
    expect(await away()).toBe('unavailable');

    const { account } = await care.create('anna@example.com', order);
    expect(account.id).not.toEqual(anna.id);
    expect(await login()).toBe('wrong');
    expect(await findAccount(gateway.database, gateway.guard, 'anna@example.com')).toEqual(account);
  });
});

describe('on disk', () => {
  it('S-36: nothing that was deleted stays in the file or the log beside it', async () => {
    const { gateway, care, anna, database } = await withAnna('SQLite');
    const bert = await gateway.account('bert@example.com');
    for (const account of [anna, bert]) await fill(database, account, (await gateway.issue(account)).id);
    const { phc } = await database
      .selectFrom('app_password')
      .select('phc')
      .where('account_id', '=', anna.id)
      .executeTakeFirstOrThrow();
    const holds = async (text: string) => {
      const files = [gateway.file, `${gateway.file}-wal`];
      const bytes = await Promise.all(files.map((file) => readFile(file)));
      return bytes.some((each) => each.includes(text));
    };
    const secrets = ['seed-of-anna', 'other-of-anna', phc];
    for (const text of secrets) expect([text, await holds(text)]).toEqual([text, true]);
    await care.erase(anna, order);
    for (const text of secrets) expect([text, await holds(text)]).toEqual([text, false]);
    expect(await holds('seed-of-bert')).toBe(true);
  });
});
