import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { formatAppPassword } from '../../src/credentials/app-password.ts';
import type { AppPasswordOrder } from '../../src/credentials/app-passwords.ts';
import { noFence } from '../../src/credentials/fence.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';

const beds: Bed[] = [];

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function withAlice(options: BedOptions = {}) {
  const gateway = await bed(options);
  const alice = await gateway.account('alice@example.com');
  const order = (change: Partial<AppPasswordOrder> = {}): AppPasswordOrder => ({
    account: alice,
    label: 'Outlook',
    scopes: ['imap', 'smtp'],
    networks: [],
    expiresInMs: undefined,
    unusedAfterMs: null,
    createdBy: 'portal',
    actor: tester,
    ...change,
  });
  return { gateway, alice, order };
}

describe('creating', () => {
  it('answers the secret once and keeps a keyed argon2id hash', async () => {
    const argon2 = { memory_kib: 12_288, passes: 3, lanes: 1 };
    const { gateway, alice, order } = await withAlice({ argon2 });
    const outcome = await gateway.appPasswords.create(order({ label: '  Outlook 2016 ' }));
    if (outcome.kind !== 'created') throw new Error(outcome.kind);
    expect(formatAppPassword(outcome.secret)).toMatch(/^[a-z]{4}( [a-z]{4}){3}$/);
    expect(outcome.row).toEqual({
      id: outcome.id,
      accountId: alice.id,
      label: 'Outlook 2016',
      scopes: ['imap', 'smtp'],
      networks: [],
      fence: noFence,
      notAfter: null,
      firstUseBy: null,
      maxIdleMs: null,
      endsAt: null,
      state: 'active',
      createdAt: gateway.clock.now(),
      createdBy: 'portal',
      lastUsedAt: null,
      lastUsedAddress: null,
      lastUsedProtocol: null,
      lastUsedClient: null,
    });
    expect(await gateway.appPasswords.find(outcome.id)).toEqual(outcome.row);
    const row = await gateway.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    expect(row.phc).toMatch(/^\$argon2id\$v=19\$m=12288,t=3,p=1\$/);
    expect(JSON.stringify(row)).not.toContain(outcome.secret.text());
    expect(JSON.stringify(outcome)).not.toContain(outcome.secret.text());
  });

  it('writes networks in their one form', async () => {
    const { gateway, order } = await withAlice();
    const networks = ['10.1.2.3/8', ' 2001:DB8::/32', '10.0.0.0/8', '::ffff:192.0.2.1'];
    const outcome = await gateway.appPasswords.create(order({ networks }));
    expect(outcome).toMatchObject({ row: { networks: ['10.0.0.0/8', '192.0.2.1/32', '2001:db8::/32'] } });
  });

  it('takes its expiry from the order, or from the configuration', async () => {
    const { gateway, order } = await withAlice();
    const now = gateway.clock.now();
    expect(await gateway.appPasswords.create(order({ expiresInMs: 5_000 }))).toMatchObject({
      row: { notAfter: now + 5_000 },
    });
    expect(await gateway.appPasswords.create(order({ expiresInMs: null }))).toMatchObject({
      row: { notAfter: null },
    });
    gateway.clock.advance(5_000);
    const states = (await gateway.appPasswords.list(order().account.id)).map(({ state }) => state);
    expect(states.toSorted()).toEqual(['active', 'expired']);
  });

  it.each<[string, Partial<AppPasswordOrder>]>([
    ['empty label', { label: '  ' }],
    ['long label', { label: 'x'.repeat(65) }],
    ['line break in label', { label: 'a\nb' }],
    ['escape in label', { label: 'a\u001b]0;x' }],
    ['bidirectional override in label', { label: 'a\u202eb' }],
    ['no protocol', { scopes: [] }],
    ['network', { networks: ['10.0.0.0/33'] }],
    ['name as network', { networks: ['office.example.com'] }],
    ['too many networks', { networks: Array.from({ length: 33 }, (_, index) => `10.0.0.${index}`) }],
    ['expiry in the past', { expiresInMs: 0 }],
    ['expiry not a number', { expiresInMs: Number.NaN }],
    ['first use in the past', { unusedAfterMs: -1 }],
    ['time without use below an hour', { maxIdleMs: 3_599_999 }],
    ['time without use above ten years', { maxIdleMs: 3_651 * 86_400_000 }],
  ])('refuses: %s', async (_name, change) => {
    const { gateway, alice, order } = await withAlice();
    expect(await gateway.appPasswords.create(order(change))).toMatchObject({ kind: 'invalid' });
    expect(await gateway.appPasswords.list(alice.id)).toEqual([]);
  });

  it('counts characters of a label, not bytes, and takes what SQL would not like (S-32)', async () => {
    const { gateway, order } = await withAlice();
    for (const label of ['\u{1f4f1}'.repeat(64), "'; DROP TABLE app_password; --", '%"\\', '<b>&']) {
      expect(await gateway.appPasswords.create(order({ label }))).toMatchObject({ row: { label } });
    }
  });
});

describe('S-23: the cap', () => {
  it('50 parallel creations at 39, of two processes, make exactly one', async () => {
    const { gateway, alice } = await withAlice();
    for (let index = 0; index < 39; index += 1) await gateway.issue(alice);
    const script = fileURLToPath(new URL('./creating-process.ts', import.meta.url));
    const run = promisify(execFile);
    const processes = await Promise.all(
      [1, 2].map(() => run(process.execPath, [script, gateway.file, 'alice@example.com', '25'])),
    );
    const kinds = processes.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
    expect(kinds).toHaveLength(50);
    expect(kinds.filter((kind) => kind === 'created')).toHaveLength(1);
    expect(kinds.filter((kind) => kind === 'cap-reached')).toHaveLength(49);
    expect(await gateway.appPasswords.list(alice.id)).toHaveLength(40);
  });

  it('counts live ones only, and each account for itself', async () => {
    const { gateway, alice, order } = await withAlice({ maxPerAccount: 2 });
    const first = await gateway.issue(alice);
    await gateway.issue(alice, { expiresInMs: 1_000 });
    expect(await gateway.appPasswords.create(order())).toEqual({ kind: 'cap-reached', cap: 2 });
    const bob = await gateway.account('bob@example.com');
    expect((await gateway.appPasswords.create(order({ account: bob }))).kind).toBe('created');
    await gateway.appPasswords.revoke(alice.id, first.id, 'test', tester);
    expect((await gateway.appPasswords.create(order())).kind).toBe('created');
    expect((await gateway.appPasswords.create(order())).kind).toBe('cap-reached');
    gateway.clock.advance(1_000);
    expect((await gateway.appPasswords.create(order())).kind).toBe('created');
  });

  it('selectors are different within an account', async () => {
    const { gateway, alice } = await withAlice({ maxPerAccount: 1_000 });
    for (let index = 0; index < 300; index += 1) await gateway.issue(alice);
    const rows = await gateway.database.selectFrom('app_password').select('selector').execute();
    expect(new Set(rows.map(({ selector }) => selector)).size).toBe(300);
  });
});

describe('revoking', () => {
  it('is by id and account (S-67), and once', async () => {
    const { gateway, alice } = await withAlice();
    const bob = await gateway.account('bob@example.com');
    const { id, password } = await gateway.issue(alice);
    expect(await gateway.appPasswords.revoke(bob.id, id, 'mine', tester)).toBe('not-found');
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    expect(await gateway.appPasswords.revoke(alice.id, id, 'lost', tester)).toBe('revoked');
    expect(await gateway.appPasswords.revoke(alice.id, id, 'lost', tester)).toBe('already-revoked');
    expect(await gateway.appPasswords.revoke(alice.id, Buffer.alloc(16), 'lost', tester)).toBe('not-found');
    expect((await gateway.appPasswords.find(id))?.state).toBe('revoked');
    expect(await gateway.database.selectFrom('revocation').selectAll().execute()).toHaveLength(1);
  });

  it('ends a row that SQL was made to hold, and lends it no MAC (S-34)', async () => {
    const { gateway, alice } = await withAlice();
    const { password } = await gateway.issue(alice);
    await gateway.issue(alice);
    await gateway.database.updateTable('app_password').set({ scopes: 999 }).execute();
    expect(await gateway.appPasswords.revokeAll(alice.id, 'tampered with', tester)).toBe(2);
    await gateway.database.updateTable('app_password').set({ state: 'active', scopes: 5 }).execute();
    expect((await gateway.appPasswords.list(alice.id)).map(({ state }) => state)).toEqual([
      'active',
      'active',
    ]);
    await gateway.database.updateTable('app_password').set({ state: 'revoked' }).execute();
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unavailable');
  });

  it('ends all of an account and none of another', async () => {
    const { gateway, alice } = await withAlice();
    const bob = await gateway.account('bob@example.com');
    const hers = [await gateway.issue(alice), await gateway.issue(alice)];
    const his = await gateway.issue(bob);
    for (const { password } of hers) await gateway.login('alice', password);
    expect(await gateway.appPasswords.revokeAll(alice.id, 'lost laptop', tester)).toBe(2);
    expect(await gateway.appPasswords.revokeAll(alice.id, 'lost laptop', tester)).toBe(0);
    for (const { password } of hers)
      expect(outcomeOf(await gateway.login('alice', password))).toBe('revoked');
    expect(outcomeOf(await gateway.login('bob', his.password))).toBe('verified');
    const after = await gateway.issue(alice);
    expect(outcomeOf(await gateway.login('alice', after.password))).toBe('verified');
  });
});
