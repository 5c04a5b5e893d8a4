import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { AppPasswordChange } from '../../src/credentials/app-passwords.ts';
import { encodeFence, noFence } from '../../src/credentials/fence.ts';
import { rowMac } from '../../src/credentials/row-mac.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { openRedis, type RedisBed } from './redis-bed.ts';

const fence = { ...noFence, from: ['alice@example.com'], messagesPerHour: 20 };
const beds: Bed[] = [];
let redis: RedisBed;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis.close());
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}

async function withAlice(options: BedOptions = {}) {
  const gateway = await bed(options);
  const alice = await gateway.account('alice@example.com');
  const issued = await gateway.issue(alice, { fence });
  const login = async (from: Parameters<Bed['login']>[2] = {}) =>
    await gateway.login('alice', issued.password, { protocol: 'smtp', ...from });
  const fenceOf = async () => {
    const verdict = await login();
    return verdict.kind === 'verified' ? verdict.login.fence : outcomeOf(verdict);
  };
  const update = async (change: AppPasswordChange) =>
    await gateway.appPasswords.update(alice.id, issued.id, change, 'changed by test', tester);
  return { gateway, alice, ...issued, login, fenceOf, update };
}

describe('S-58: the fence of a login', () => {
  it('is that of its app password, from the store, from memory and from Redis', async () => {
    const connection = await redis.connect();
    const { gateway, password, fenceOf } = await withAlice({ redis: connection });
    expect(await fenceOf()).toEqual(fence);
    expect(await fenceOf()).toEqual(fence);
    const other = await bed({ file: gateway.file, clock: gateway.clock, redis: connection });
    const verdict = await other.login('alice', password, { protocol: 'smtp' });
    expect(verdict.kind === 'verified' && verdict.login.fence).toEqual(fence);
    expect(await other.value('sallyport_verifications_total', { source: 'redis' })).toBe(1);
  });

  it('S-28: stands in Redis unread', async () => {
    const { login } = await withAlice({ redis: await redis.connect() });
    const commands = await redis.watch(async () => void (await login()));
    expect(commands.filter((command) => command.startsWith('set'))).toHaveLength(1);
    for (const text of ['alice', 'example.com', 'messages']) expect(commands.join('\n')).not.toContain(text);
  });

  it('is none where nothing was said', async () => {
    const { gateway, alice } = await withAlice();
    const { password } = await gateway.issue(alice);
    const verdict = await gateway.login('alice', password);
    expect(verdict.kind === 'verified' && verdict.login.fence).toEqual(noFence);
  });

  it('refuses a fence that is no fence, and makes nothing', async () => {
    const { gateway, alice } = await withAlice();
    const made = { createdBy: 'test', actor: tester };
    const order = { account: alice, label: 'x', scopes: ['smtp'], networks: [], ...made } as const;
    expect(
      await gateway.appPasswords.create({
        ...order,
        expiresInMs: null,
        fence: { ...noFence, recipientDomains: ['*'] },
      }),
    ).toMatchObject({ kind: 'invalid' });
    expect(await gateway.appPasswords.list(alice.id)).toHaveLength(1);
  });
});

describe('S-34: a fence that SQL was made to hold', () => {
  it.each(['', '{"from":["boss@example.com"]}', encodeFence({ ...fence, messagesPerHour: 21 })])(
    '%j: refused, alarm',
    async (altered) => {
      const { gateway, login } = await withAlice();
      await gateway.database.updateTable('app_password').set({ fence: altered }).execute();
      expect(outcomeOf(await login())).toBe('unavailable');
      expect(await gateway.value('sallyport_integrity_alarms_total', { table: 'app_password' })).toBe(1);
    },
  );

  it('cannot be changed by command, so that it gets no MAC', async () => {
    const { gateway, login, update } = await withAlice();
    await gateway.database.updateTable('app_password').set({ fence: '' }).execute();
    expect(await update({ label: 'x' })).toEqual({ kind: 'altered' });
    expect(outcomeOf(await login())).toBe('unavailable');
  });

  it('a fence of a later version lets nobody in, and is not overwritten', async () => {
    const { gateway, login, update } = await withAlice();
    const row = await gateway.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    const later = { ...row, fence: '{"weekends":false}' };
    const row_mac = rowMac(gateway.keys, 'alice@example.com', later);
    await gateway.database.updateTable('app_password').set({ fence: later.fence, row_mac }).execute();
    expect(outcomeOf(await login())).toBe('unavailable');
    expect(await update({ fence: noFence })).toMatchObject({ kind: 'invalid' });
    expect((await gateway.appPasswords.find(row.id))?.fence).toBeNull();
  });

  it('a row from before there were fences stays genuine', async () => {
    const { gateway, alice } = await withAlice();
    const { id, password } = await gateway.issue(alice);
    const row = await gateway.database
      .selectFrom('app_password')
      .selectAll()
      .where('id', '=', id)
      .executeTakeFirstOrThrow();
    expect(row.fence).toBe('');
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
  });
});

describe('S-56: an app password that is changed', () => {
  it.each<[string, AppPasswordChange]>([
    ['fence', { fence: { messagesPerHour: 5 } }],
    ['wider fence', { fence: noFence }],
    ['scopes', { scopes: ['smtp'] }],
    ['networks', { networks: ['203.0.113.0/24'] }],
    ['expiry', { expiresInMs: 60_000 }],
  ])('%s: its sessions end, its cached record is void, here and elsewhere', async (_, change) => {
    const connection = await redis.connect();
    const { gateway, id, password, login, update } = await withAlice({ redis: connection });
    const ended: string[] = [];
    gateway.revocations.onRevoked((entry) => ended.push(entry.credentialId?.toString('hex') ?? 'all'));
    const other = await bed({ file: gateway.file, clock: gateway.clock, redis: connection });
    const [before, elsewhere] = [await login(), await other.login('alice', password, { protocol: 'smtp' })];
    if (before.kind !== 'verified' || elsewhere.kind !== 'verified') throw new Error('not verified');
    expect((await update(change)).kind).toBe('updated');
    expect(ended).toEqual([id.toString('hex')]);
    expect(gateway.verifier.stillValid(before.login)).toBe(false);
    await other.revocations.poll();
    expect(other.verifier.stillValid(elsewhere.login)).toBe(false);

    const after = await other.login('alice', password, { protocol: 'smtp' });
    if (after.kind !== 'verified') throw new Error(after.kind);
    expect(other.verifier.stillValid(after.login)).toBe(true);
    expect(after.login.fence).toEqual({ ...fence, ...change.fence });
    expect(after.login.notAfter).toBe(change.expiresInMs === undefined ? null : gateway.clock.now() + 60_000);
    expect(await other.value('sallyport_verifications_total', { source: 'store' })).toBe(1);
  });

  it('keeps what was not mentioned', async () => {
    const { gateway, id, update } = await withAlice();
    const before = await gateway.appPasswords.find(id);
    const outcome = await update({ fence: { maxBytes: 1_000 } });
    expect(outcome).toEqual({
      kind: 'updated',
      isChanged: true,
      row: { ...before, fence: { ...fence, maxBytes: 1_000 } },
    });
    expect(await gateway.appPasswords.find(id)).toEqual(outcome.kind === 'updated' ? outcome.row : null);
  });

  it('with another label alone goes on', async () => {
    const { gateway, login, update } = await withAlice();
    const before = await login();
    expect(await update({ label: ' Scanner ' })).toMatchObject({
      kind: 'updated',
      row: { label: 'Scanner' },
    });
    expect(before.kind === 'verified' && gateway.verifier.stillValid(before.login)).toBe(true);
    expect(await gateway.database.selectFrom('revocation').selectAll().execute()).toEqual([]);
  });

  it('is by id and account, and only while it is not revoked (S-67)', async () => {
    const { gateway, alice, id, update } = await withAlice();
    const bob = await gateway.account('bob@example.com');
    const change = { fence: noFence };
    expect(await gateway.appPasswords.update(bob.id, id, change, 'mine', tester)).toEqual({
      kind: 'not-found',
    });
    await gateway.appPasswords.revoke(alice.id, id, 'lost', tester);
    expect(await update(change)).toEqual({ kind: 'revoked' });
  });

  it('refuses what creating refuses, and changes nothing', async () => {
    const { gateway, id, update } = await withAlice();
    const before = await gateway.appPasswords.find(id);
    for (const change of [
      { label: '' },
      { scopes: [] },
      { networks: ['x'] },
      { expiresInMs: 0 },
      { fence: { from: [] } },
    ]) {
      expect((await update(change)).kind).toBe('invalid');
    }
    expect(await gateway.appPasswords.find(id)).toEqual(before);
  });

  it('ten changes at once are ten changes', async () => {
    const { gateway, id, login, update } = await withAlice();
    const numbers = Array.from({ length: 10 }, (_, index) => index + 1);
    await Promise.all(numbers.map((number) => update({ fence: { recipientsPerDay: number } })));
    const last = (await gateway.appPasswords.find(id))?.fence?.recipientsPerDay;
    expect(numbers).toContain(last);
    expect(outcomeOf(await login())).toBe('verified');
  });
});

describe('wire 123: the listener for old TLS', () => {
  it('takes app passwords of that scope only, cached or not', async () => {
    const { gateway, login, update } = await withAlice();
    const old = async () => outcomeOf(await login({ legacyTls: true }));
    expect(await old()).toBe('wrong-security');
    expect(await old()).toBe('wrong-security');
    expect(outcomeOf(await login())).toBe('verified');
    await update({ scopes: ['smtp', 'legacy-tls'] });
    expect(await old()).toBe('verified');
    expect(outcomeOf(await login())).toBe('verified');
    expect(outcomeOf(await login({ protocol: 'imap', legacyTls: true }))).toBe('wrong-protocol');
    expect(await gateway.appPasswords.list((await gateway.account('alice@example.com')).id)).toMatchObject([
      { scopes: ['smtp', 'legacy-tls'] },
    ]);
  });

  it('is no protocol', async () => {
    const { update } = await withAlice();
    expect(await update({ scopes: ['legacy-tls'] })).toMatchObject({ kind: 'invalid' });
  });
});
