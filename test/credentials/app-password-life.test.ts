import { afterEach, describe, expect, it } from '@jest/globals';
import type { AppPasswordChange, AppPasswordOrder } from '../../src/credentials/app-passwords.ts';
import { RevocationFeed } from '../../src/credentials/revocation.ts';
import { listStaleClients } from '../../src/store/stale-clients.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';

const day = 86_400_000;
const beds: Bed[] = [];

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function withAlice(order: Partial<AppPasswordOrder> = {}) {
  const gateway = await bed();
  const alice = await gateway.account('alice@example.com');
  const { id, password } = await gateway.issue(alice, order);
  return {
    gateway,
    alice,
    id,
    password,
    login: async () => outcomeOf(await gateway.login('alice', password)),
    change: async (change: AppPasswordChange) =>
      gateway.appPasswords.update(alice.id, id, change, 'test', tester),
    view: async () => {
      const view = await gateway.appPasswords.find(id);
      if (view === null) throw new Error('gone');
      return view;
    },
    /** Another process, which knows nothing yet, after this one wrote what it put off. */
    next: async () => {
      await gateway.verifier.stop();
      const other = await bed({ file: gateway.file, clock: gateway.clock });
      return { other, login: async () => outcomeOf(await other.login('alice', password)) };
    },
  };
}

describe('a paused app password', () => {
  it('lets nobody in, cached or not, until it is resumed', async () => {
    const { change, login, view, next } = await withAlice();
    expect(await login()).toBe('verified');
    expect(await change({ state: 'paused' })).toMatchObject({ kind: 'updated', isChanged: true });
    expect(await login()).toBe('paused');
    expect(await login()).toBe('paused');
    expect((await view()).state).toBe('paused');
    expect(await (await next()).login()).toBe('paused');
    expect(await change({ state: 'active' })).toMatchObject({ kind: 'updated', isChanged: true });
    expect(await login()).toBe('verified');
    expect((await view()).state).toBe('active');
  });

  it('S-56: ends its live sessions through the feed', async () => {
    const { gateway, change, password, id } = await withAlice();
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    const ended: string[] = [];
    gateway.revocations.onRevoked(({ credentialId }) => ended.push(credentialId?.toString('hex') ?? 'all'));
    await change({ state: 'paused' });
    expect(ended).toEqual([id.toString('hex')]);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(false);
  });

  it('is no ended one: nobody is told of a stale client, and nothing counts as a guess', async () => {
    const { gateway, alice, change, login } = await withAlice();
    await change({ state: 'paused' });
    for (let attempt = 0; attempt < 30; attempt += 1) expect(await login()).toBe('paused');
    expect(gateway.waits).toEqual([]);
    await gateway.verifier.stop();
    expect(await listStaleClients(gateway.database, alice.id, 0)).toEqual([]);
  });

  it('takes a place of the cap, can be changed and revoked, and pausing twice changes nothing', async () => {
    const gateway = await bed({ maxPerAccount: 1 });
    const alice = await gateway.account('alice@example.com');
    const { id } = await gateway.issue(alice);
    await gateway.appPasswords.update(alice.id, id, { state: 'paused' }, 'test', tester);
    const seq = gateway.revocations.seq;
    expect(
      await gateway.appPasswords.update(alice.id, id, { state: 'paused' }, 'test', tester),
    ).toMatchObject({
      isChanged: false,
    });
    expect(gateway.revocations.seq).toBe(seq);
    await expect(gateway.issue(alice)).rejects.toThrow('cap-reached');
    expect(await gateway.appPasswords.update(alice.id, id, { label: 'New' }, 'test', tester)).toMatchObject({
      row: { label: 'New', state: 'paused' },
    });
    expect(await gateway.appPasswords.revoke(alice.id, id, 'test', tester)).toBe('revoked');
    expect(await gateway.appPasswords.update(alice.id, id, { state: 'active' }, 'test', tester)).toEqual({
      kind: 'revoked',
    });
  });

  it('of another account is not found, and one changed by hand is not lent a MAC', async () => {
    const { gateway, id, change, login } = await withAlice();
    const bob = await gateway.account('bob@example.com');
    expect(await gateway.appPasswords.update(bob.id, id, { state: 'paused' }, 'test', tester)).toEqual({
      kind: 'not-found',
    });
    await gateway.database.updateTable('app_password').set({ scopes: 7 }).where('id', '=', id).execute();
    expect(await change({ state: 'paused' })).toEqual({ kind: 'altered' });
    expect(await login()).toBe('unavailable');
  });

  it('S-34: set going by hand it opens nothing', async () => {
    const { gateway, id, change, login } = await withAlice();
    await change({ state: 'paused' });
    await gateway.database
      .updateTable('app_password')
      .set({ state: 'active' })
      .where('id', '=', id)
      .execute();
    expect(await login()).toBe('unavailable');
  });
});

describe('S-84: an app password that nobody used in time', () => {
  it('has expired, and says so', async () => {
    const { gateway, login, view } = await withAlice({ unusedAfterMs: day });
    expect(await view()).toMatchObject({ state: 'active', endsAt: gateway.clock.now() + day });
    gateway.clock.advance(day - 1);
    expect((await view()).state).toBe('active');
    gateway.clock.advance(1);
    expect((await view()).state).toBe('expired');
    expect(await login()).toBe('expired');
  });

  it('takes the configured time where none is said', async () => {
    const { gateway, view } = await withAlice({ unusedAfterMs: undefined });
    expect((await view()).firstUseBy).toBe(gateway.clock.now() + day);
  });

  it('lives on after its first use, on every node', async () => {
    const { gateway, login, view, next } = await withAlice({ unusedAfterMs: day });
    gateway.clock.advance(day - 1);
    expect(await login()).toBe('verified');
    const other = await next();
    gateway.clock.advance(30 * day);
    expect(await other.login()).toBe('verified');
    expect(await view()).toMatchObject({ state: 'active', firstUseBy: null, endsAt: null });
  });

  it('a login that was refused is no use', async () => {
    const { gateway, password, next } = await withAlice({ unusedAfterMs: day, scopes: ['smtp'] });
    gateway.clock.advance(day - 1);
    expect(outcomeOf(await gateway.login('alice', password, { protocol: 'imap' }))).toBe('wrong-protocol');
    gateway.clock.advance(1);
    expect(outcomeOf(await gateway.login('alice', password, { protocol: 'smtp' }))).toBe('expired');
    expect(await (await next()).login()).toBe('expired');
  });

  it('a live session is not ended by it', async () => {
    const { gateway, password } = await withAlice({ unusedAfterMs: day });
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    gateway.clock.advance(2 * day);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(true);
  });
});

describe('an app password that ends without use', () => {
  it('ends so long after its last use, and is told of as an ended one', async () => {
    const { gateway, alice, login, view, next } = await withAlice({ maxIdleMs: 90 * day });
    gateway.clock.advance(89 * day);
    expect(await login()).toBe('verified');
    const used = gateway.clock.now();
    const other = await next();
    expect(await view()).toMatchObject({ endsAt: used + 90 * day });
    gateway.clock.advance(90 * day - 1);
    expect((await view()).state).toBe('active');
    gateway.clock.advance(1);
    expect((await view()).state).toBe('expired');
    expect(await other.login()).toBe('expired');
    await other.other.verifier.stop();
    expect(await listStaleClients(gateway.database, alice.id, 0)).toMatchObject([
      { endedAt: used + 90 * day },
    ]);
  });

  it('goes on from record to record while it is used', async () => {
    const { gateway, login } = await withAlice({ maxIdleMs: 2 * 3_600_000 });
    for (let quarter = 0; quarter < 40; quarter += 1) {
      gateway.clock.advance(900_000);
      expect(await login()).toBe('verified');
      await gateway.verifier.stop();
    }
  });

  it('a cached record does not outlive it', async () => {
    const { gateway, id, login } = await withAlice({ maxIdleMs: 3_600_000 });
    gateway.clock.advance(3_000_000);
    expect(await login()).toBe('verified');
    // As if the use had never been written.
    await gateway.verifier.stop();
    await gateway.database
      .updateTable('app_password')
      .set({ last_used_at: null })
      .where('id', '=', id)
      .execute();
    gateway.clock.advance(599_999);
    expect(await login()).toBe('verified');
    await gateway.verifier.stop();
    await gateway.database
      .updateTable('app_password')
      .set({ last_used_at: null })
      .where('id', '=', id)
      .execute();
    gateway.clock.advance(1);
    expect(await login()).toBe('expired');
  });

  it('with the store down it is an outage and not an end', async () => {
    const { gateway, login } = await withAlice({ maxIdleMs: 3_600_000 });
    expect(await login()).toBe('verified');
    gateway.clock.advance(3_600_000);
    await gateway.revocations.poll();
    await gateway.database.destroy();
    expect(await login()).toBe('unavailable');
  });

  it('an open session is a use', async () => {
    const { gateway, password, view } = await withAlice({ maxIdleMs: day });
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    for (let hour = 0; hour < 48; hour += 1) {
      gateway.clock.advance(3_600_000);
      gateway.verifier.noteOpen(verdict.login, { address: '192.0.2.1', protocol: 'imap', client: null });
    }
    await gateway.verifier.stop();
    expect(gateway.verifier.stillValid(verdict.login)).toBe(true);
    expect(await view()).toMatchObject({ state: 'active', lastUsedAt: gateway.clock.now() });
  });

  it('S-34: a last use that SQL was made to hold prolongs it, never beyond its fixed expiry', async () => {
    const { gateway, id, login } = await withAlice({ maxIdleMs: day, expiresInMs: 10 * day });
    await gateway.database
      .updateTable('app_password')
      .set({ last_used_at: 9e15 })
      .where('id', '=', id)
      .execute();
    gateway.clock.advance(9 * day);
    expect(await login()).toBe('verified');
    gateway.clock.advance(day);
    expect(await login()).toBe('expired');
  });

  it('can be set, moved and lifted later', async () => {
    const { gateway, change, login, view } = await withAlice();
    await change({ maxIdleMs: day });
    gateway.clock.advance(day);
    expect(await login()).toBe('expired');
    expect(await change({ maxIdleMs: 2 * day })).toMatchObject({
      row: { state: 'active', maxIdleMs: 2 * day },
    });
    expect(await login()).toBe('verified');
    await change({ maxIdleMs: null });
    gateway.clock.advance(400 * day);
    expect(await login()).toBe('verified');
    expect((await view()).endsAt).toBeNull();
    expect(await change({ maxIdleMs: 5 })).toMatchObject({ kind: 'invalid' });
  });
});

describe('requirements 4.3: how many are made in an hour', () => {
  it('ten of an account, whatever became of them, in one transaction', async () => {
    const gateway = await bed();
    const alice = await gateway.account('alice@example.com');
    const portal = { isByOperator: false, createdBy: 'portal', actor: tester };
    const make = async () => {
      const outcome = await gateway.appPasswords.create({
        ...{ account: alice, label: 'x', scopes: ['imap'], networks: [], ...portal },
      });
      return outcome.kind;
    };
    const kinds = await Promise.all(Array.from({ length: 14 }, make));
    expect(kinds.filter((kind) => kind === 'created')).toHaveLength(10);
    expect(kinds.filter((kind) => kind === 'too-many-recently')).toHaveLength(4);
    await gateway.appPasswords.revokeAll(alice.id, 'test', tester);
    expect(await make()).toBe('too-many-recently');
    await gateway.issue(alice, { createdBy: 'cli:root' });
    gateway.clock.advance(3_600_000);
    expect(await make()).toBe('created');
  });
});

describe('when the main password was changed', () => {
  async function signedIn() {
    const set = await withAlice();
    const { gateway, alice } = set;
    const session = async (number: number) => {
      const created_at = gateway.clock.now();
      const id_hash = Buffer.alloc(32, number);
      const times = { factor_at: created_at, created_at, seen_at: created_at };
      const row = { id_hash, account_id: alice.id, level: 'full', csrf: 'token', ...times };
      await gateway.database
        .insertInto('portal_session')
        .values({ ...row, row_mac: Buffer.alloc(36) } as never)
        .execute();
      return id_hash;
    };
    const own = await session(1);
    await session(2);
    return { ...set, own };
  }

  it('portal sessions end but the own one, and kept app passwords go on', async () => {
    const { gateway, alice, own, login } = await signedIn();
    const order = { appPasswords: 'keep', exceptSession: own, reason: 'test', actor: tester } as const;
    expect(await gateway.appPasswords.mainPasswordChanged(alice.id, order)).toEqual({
      sessionsEnded: 1,
      revoked: 0,
    });
    const left = await gateway.database.selectFrom('portal_session').select('id_hash').execute();
    expect(left.map(({ id_hash }) => id_hash)).toEqual([own]);
    expect(await login()).toBe('verified');
  });

  it('app passwords end with their sessions where that is asked for, paused ones too', async () => {
    const { gateway, alice, login } = await signedIn();
    const paused = await gateway.issue(alice);
    await gateway.appPasswords.update(alice.id, paused.id, { state: 'paused' }, 'test', tester);
    expect(await login()).toBe('verified');
    const order = { appPasswords: 'revoke', exceptSession: null, reason: 'test', actor: tester } as const;
    expect(await gateway.appPasswords.mainPasswordChanged(alice.id, order)).toEqual({
      sessionsEnded: 2,
      revoked: 2,
    });
    expect(await login()).toBe('revoked');
    expect((await gateway.appPasswords.find(paused.id))?.state).toBe('revoked');
  });
});

it('the feed of another process hears of a pause', async () => {
  const { gateway, change, id, alice } = await withAlice();
  const { database, config, metrics, clock } = gateway;
  const other = new RevocationFeed({
    ...{ database, metrics, now: clock.now, monotonic: clock.monotonic },
    windowMs: config.appPasswords.cacheTtlMs,
    maxStalenessMs: config.revocation.maxStalenessMs,
  });
  await other.poll();
  const { seq } = other;
  await change({ state: 'paused' });
  await other.poll();
  expect(other.voids(id, alice.id, seq)).toBe(true);
});
