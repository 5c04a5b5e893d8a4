import { afterEach, describe, expect, it } from '@jest/globals';
import { disableAccount, enableAccount, findAccount } from '../../src/store/accounts.ts';
import { ForgedRowError } from '../../src/store/row-guard.ts';
import { renewRowMacs } from '../../src/store/row-renewal.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, openBed, outcomeOf } from './bed.ts';
import { keyRing } from './keys.ts';
import { Tap } from './tap.ts';

const beds: Bed[] = [];
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function withAlice(options: BedOptions = {}) {
  const gateway = await openBed(options);
  beds.push(gateway);
  const alice = await gateway.account('alice@example.com');
  const { id, password } = await gateway.issue(alice);
  const login = async () => outcomeOf(await gateway.login('alice', password));
  /** As somebody does who can write SQL and has no key. */
  const tamper = async (change: object) => {
    await gateway.database
      .updateTable('account')
      .set(change as never)
      .where('id', '=', alice.id)
      .execute();
  };
  return { gateway, alice, id, password, login, tamper };
}

describe('S-34: an account row that SQL was made to hold', () => {
  it.each<[string, object]>([
    ['state', { state: 'disabled' }],
    ['mfa', { mfa: 'off' }],
    ['enrolled_at', { enrolled_at: 1 }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
    ['row_mac, none', { row_mac: Buffer.alloc(0) }],
  ])('%s changed: unavailable, and an alarm; cached or not', async (_name, change) => {
    const { gateway, login, tamper } = await withAlice();
    await tamper(change);
    expect(await login()).toBe('unavailable');
    expect(await gateway.value('sallyport_integrity_alarms_total', { table: 'account' })).toBe(1);
    expect(gateway.log.join('')).toContain('a row of account is not as the gateway wrote it');

    const cached = await withAlice();
    expect(await cached.login()).toBe('verified');
    await cached.tamper(change);
    expect(await cached.login()).toBe('unavailable');
  });

  it('a disabled one enabled by hand opens nothing', async () => {
    const { gateway, alice, login, tamper } = await withAlice();
    await disableAccount(gateway.database, gateway.guard, alice.id, gateway.clock.now());
    expect(await login()).toBe('account-disabled');
    await tamper({ state: 'active' });
    expect(await login()).toBe('unavailable');
  });

  it('with another id or address is nobody’s', async () => {
    const { gateway, password, tamper } = await withAlice();
    await tamper({ address: 'director@example.com' });
    expect(outcomeOf(await gateway.login('director', password))).toBe('unavailable');
    expect(outcomeOf(await gateway.login('alice', password))).toBe('unknown-account');
  });

  it('inserted is nobody’s', async () => {
    const { gateway } = await withAlice();
    const row_mac = Buffer.alloc(36, 1);
    await gateway.database
      .insertInto('account')
      .values({
        id: Buffer.alloc(16, 7),
        address: 'eve@example.com',
        state: 'active',
        mfa: 'off',
        enrolled_at: null,
        row_mac,
        created_at: 1,
      })
      .execute();
    expect(outcomeOf(await gateway.login('eve', 'aaaaaaaaaaaaaaar'))).toBe('unavailable');
  });

  it('is no outage of the store: only that lets what was genuine before serve on', async () => {
    const tap = new Tap();
    const { login, tamper } = await withAlice({ plugin: tap });
    expect(await login()).toBe('verified');
    await tamper({ state: 'disabled' });
    expect(await login()).toBe('unavailable');
    tap.break(0, 'throw');
    expect(await login()).toBe('verified');
  });

  it('can be disabled, and is lent no MAC by it; enabling is refused', async () => {
    const { gateway, alice, login, tamper } = await withAlice();
    await tamper({ mfa: 'off' });
    await disableAccount(gateway.database, gateway.guard, alice.id, gateway.clock.now());
    const row = await gateway.database.selectFrom('account').selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ state: 'disabled', mfa: 'off', row_mac: alice.row_mac });
    expect(await gateway.database.selectFrom('revocation').selectAll().execute()).toHaveLength(1);
    await expect(enableAccount(gateway.database, gateway.guard, alice.id)).rejects.toThrow(ForgedRowError);
    expect(await login()).toBe('unavailable');
  });

  it('does not keep its app passwords from being revoked', async () => {
    const { gateway, alice, id, login, tamper } = await withAlice();
    await tamper({ mfa: 'off' });
    expect(await gateway.appPasswords.revoke(alice.id, id, 'tampered with', tester)).toBe('revoked');
    await tamper({ mfa: null });
    expect(await login()).toBe('revoked');
  });
});

describe('S-40: account rows and mac keys', () => {
  const rotated = keyRing({
    mac: [
      { id: 2, first: 0x99 },
      { id: 1, first: 0x20, state: 'accept' },
    ],
  });
  const macId = async (gateway: Bed) =>
    (
      await gateway.database.selectFrom('account').select('row_mac').executeTakeFirstOrThrow()
    ).row_mac.readUInt32BE(0);

  it('a row moves when it is next written', async () => {
    const { gateway, alice } = await withAlice();
    const next = await openBed({ file: gateway.file, clock: gateway.clock, keys: rotated });
    beds.push(next);
    expect(await findAccount(next.database, next.guard, 'alice@example.com')).toEqual(alice);
    expect(await macId(next)).toBe(1);
    await disableAccount(next.database, next.guard, alice.id, 1);
    expect(await macId(next)).toBe(2);
  });

  it('the rest moves at a start, but for what is not genuine', async () => {
    const { gateway, tamper } = await withAlice();
    const next = await openBed({ file: gateway.file, clock: gateway.clock, keys: rotated });
    beds.push(next);
    await tamper({ mfa: 'off' });
    // The notice of the app password and its two deliveries, and not the account.
    expect(await renewRowMacs(next.database, next.guard)).toBe(3);
    expect(await macId(next)).toBe(1);
    await tamper({ mfa: null });
    expect(await renewRowMacs(next.database, next.guard)).toBe(1);
    expect(await renewRowMacs(next.database, next.guard)).toBe(0);
    expect(await macId(next)).toBe(2);
  });
});
