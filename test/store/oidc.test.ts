import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount, lockAccount } from '../../src/store/accounts.ts';
import { type Database, migrate } from '../../src/store/database.ts';
import {
  findLinkedAccount,
  linkIdentity,
  listIdentityLinks,
  unlinkIdentity,
} from '../../src/store/identity-links.ts';
import { insertOidcTransaction, takeOidcTransaction } from '../../src/store/oidc-transactions.ts';
import { replaceProfileLink } from '../../src/store/profile-links.ts';
import type { GuardedRows } from '../../src/store/row-guard.ts';
import { renewRowMacs } from '../../src/store/row-renewal.ts';
import type { Account } from '../../src/store/schema.ts';
import { keyRing } from '../credentials/keys.ts';
import { rowGuard } from '../credentials/row-guard.ts';
import { engines, scratchDatabase } from './scratch-database.ts';

const guard = rowGuard();
const identity = { issuer: 'https://login.example.com', subject: 'a-1' };
const made = { at: 5, by: 'operator' } as const;

describe.each(engines)('identities on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let database: Database;
  let alice: Account;
  let bob: Account;

  beforeEach(async () => {
    scratch = await scratchDatabase(engine);
    database = scratch.open();
    await migrate(database);
    alice = (await createAccount(database, guard, 'alice@example.com', 1)).account;
    bob = (await createAccount(database, guard, 'bob@example.com', 1)).account;
  });
  afterEach(async () => {
    await scratch.close();
  });

  const link = async (account: Account, who: typeof identity, on = database) =>
    await on
      .transaction()
      .execute(async (transaction) => linkIdentity(transaction, guard, account.id, who, made));

  it('S-87: are linked to one account each, and an account to one of an issuer', async () => {
    expect(await link(alice, identity)).toBe(true);
    expect((await findLinkedAccount(database, guard, identity))?.id).toEqual(alice.id);
    expect(await link(bob, identity)).toBe(false);
    expect(await link(alice, { ...identity, subject: 'a-2' })).toBe(false);
    expect(await link(alice, { issuer: 'https://other.example', subject: 'a-1' })).toBe(true);
    for (const near of ['A-1', 'a-1 ', '']) {
      expect(await findLinkedAccount(database, guard, { ...identity, subject: near })).toBeNull();
    }
    expect(await listIdentityLinks(database, alice.id)).toHaveLength(2);
  });

  it('are linked once by many at once', async () => {
    const others = [scratch.open(), scratch.open(), database];
    const outcomes = await Promise.all(
      Array.from({ length: 9 }, (_, index) =>
        link(index % 2 === 0 ? alice : bob, identity, others[index % 3]),
      ),
    );
    expect(outcomes.filter((isLinked) => isLinked)).toHaveLength(1);
  });

  it('are unlinked with every session of the account', async () => {
    await link(alice, identity);
    const session = {
      id_hash: Buffer.alloc(32, 1),
      account_id: alice.id,
      level: 'full',
      csrf: 'c',
      factor_at: null,
      assurance: 'idp-mfa',
      opened: null,
      role: 'administrator',
      created_at: 1,
    } satisfies GuardedRows['portal_session'];
    await database
      .insertInto('portal_session')
      .values({ ...session, seen_at: 1, row_mac: guard.mac('portal_session', session) })
      .execute();
    const fresh = { id: Buffer.alloc(16, 2), token_hash: Buffer.alloc(32, 2), account_id: alice.id };
    await replaceProfileLink(database, guard, { ...fresh, device: 'Phone', created_at: 1, not_after: 2 }, 0);
    const unlink = async () =>
      await database
        .transaction()
        .execute(async (transaction) => unlinkIdentity(transaction, alice.id, identity.issuer));
    expect(await unlink()).toBe(true);
    expect(await unlink()).toBe(false);
    expect(await findLinkedAccount(database, guard, identity)).toBeNull();
    expect(await database.selectFrom('portal_session').selectAll().execute()).toEqual([]);
    expect(await database.selectFrom('profile_link').selectAll().execute()).toEqual([]);
  });

  it('S-34: are not moved to another account or another person by SQL', async () => {
    await link(alice, identity);
    for (const change of [{ account_id: bob.id }, { subject: 'a-9' }, { issuer: 'https://evil.example' }]) {
      const before = await database.selectFrom('identity_link').selectAll().executeTakeFirstOrThrow();
      await database
        .updateTable('identity_link')
        .set(change as never)
        .execute();
      const { issuer, subject } = { ...identity, ...change };
      await expect(findLinkedAccount(database, guard, { issuer, subject })).rejects.toThrow('identity_link');
      const { account_id, issuer: was, subject: who } = before;
      await database
        .updateTable('identity_link')
        .set({ account_id, issuer: was, subject: who } as never)
        .execute();
    }
    expect(await findLinkedAccount(database, guard, identity)).not.toBeNull();
  });

  it('S-40: move to the active mac key', async () => {
    await link(alice, identity);
    const next = rowGuard(
      keyRing({
        mac: [
          { id: 1, first: 0x20, state: 'accept' },
          { id: 2, first: 0x21 },
        ],
      }),
    );
    expect(await renewRowMacs(database, next)).toBe(3);
    const row = await database.selectFrom('identity_link').selectAll().executeTakeFirstOrThrow();
    expect(row.row_mac.readUInt32BE(0)).toBe(2);
    expect(next.isGenuine('identity_link', row)).toBe(true);
  });

  it('S-85: a transaction is taken once by many at once, and the oldest go first', async () => {
    const enter = async (index: number, at: number) =>
      await insertOidcTransaction(
        database,
        { id_hash: Buffer.alloc(32, index), account_id: null, sealed: 's', created_at: at },
        { most: 3, createdAfter: at - 100 },
      );
    for (let index = 1; index <= 4; index += 1) await enter(index, index);
    expect(await takeOidcTransaction(database, Buffer.alloc(32, 1))).toBeNull();
    const others = [scratch.open(), scratch.open(), database];
    const taken = await Promise.all(
      Array.from({ length: 9 }, (_, index) =>
        takeOidcTransaction(others[index % 3] ?? database, Buffer.alloc(32, 2)),
      ),
    );
    expect(taken.filter((row) => row !== null)).toHaveLength(1);
    await enter(9, 103);
    const left = await database.selectFrom('oidc_transaction').select('created_at').execute();
    expect(left.map(({ created_at }) => created_at).toSorted((one, other) => one - other)).toEqual([4, 103]);
  });

  it('go with the account', async () => {
    await link(alice, identity);
    await database.transaction().execute(async (transaction) => {
      await lockAccount(transaction, alice.id);
      await transaction.deleteFrom('account').where('id', '=', alice.id).execute();
    });
    expect(await database.selectFrom('identity_link').selectAll().execute()).toEqual([]);
  });
});

describe('S-34: the MAC', () => {
  const keys = keyRing();
  const lp = (value: Buffer) => Buffer.concat([Buffer.from([value.length >> 8, value.length & 0xff]), value]);

  it('of a link is the id of the mac key and HMAC over every field', () => {
    const row = { id: Buffer.alloc(16, 1), account_id: Buffer.alloc(16, 2), ...identity };
    const message = [row.id, row.account_id, Buffer.from(row.issuer), Buffer.from(row.subject)].map(lp);
    const key = keys.derive('mac', 1, 'sallyport/v1/identity-link-row') ?? Buffer.alloc(0);
    const tag = createHmac('sha256', key).update(Buffer.concat(message)).digest('hex');
    expect(guard.mac('identity_link', row).toString('hex')).toBe(`00000001${tag}`);
  });

  it('of a session tells every role and assurance apart', () => {
    const session = {
      id_hash: Buffer.alloc(32),
      account_id: Buffer.alloc(16),
      level: 'full',
      csrf: 'c',
      factor_at: 1,
      created_at: 1,
    } as const;
    const macs = (['password', 'idp', 'idp-mfa'] as const).flatMap((assurance) =>
      ([null, 'gate', 'recovery'] as const).flatMap((opened) =>
        ([null, 'administrator'] as const).map((role) =>
          guard.mac('portal_session', { ...session, assurance, opened, role }).toString('hex'),
        ),
      ),
    );
    expect(new Set(macs).size).toBe(18);
  });
});
