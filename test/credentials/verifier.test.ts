import { afterEach, describe, expect, it } from '@jest/globals';
import { generateAppPassword, parseAppPassword } from '../../src/credentials/app-password.ts';
import type { AppPasswordOrder } from '../../src/credentials/app-passwords.ts';
import { rowMac } from '../../src/credentials/row-mac.ts';
import { selectorOf } from '../../src/credentials/selector.ts';
import { assertVerified, type VerifiedLogin } from '../../src/credentials/verifier.ts';
import { Secret } from '../../src/secret.ts';
import { disableAccount, enableAccount } from '../../src/store/accounts.ts';
import { renewRowMacs } from '../../src/store/row-renewal.ts';
import { tester } from '../support/journal.ts';
import { type Bed, type BedOptions, type From, openBed, outcomeOf } from './bed.ts';
import { keyRing } from './keys.ts';
import { until } from './until.ts';

const hour = 3_600_000;
const beds: Bed[] = [];

async function bed(options: BedOptions = {}): Promise<Bed> {
  const opened = await openBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function withAlice(options: BedOptions = {}, order: Partial<AppPasswordOrder> = {}) {
  const gateway = await bed(options);
  const alice = await gateway.account('alice@example.com');
  const { id, password } = await gateway.issue(alice, order);
  const login = async (from: From = {}) =>
    outcomeOf(await gateway.login('alice@example.com', password, from));
  return { gateway, alice, id, password, login };
}

describe('a right app password', () => {
  it('makes a verified login with the names of the row', async () => {
    const { gateway, alice, id, password } = await withAlice();
    const verdict = await gateway.login('ALICE', password.toUpperCase(), { authzid: 'Alice@example.com' });
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    const { login } = verdict;
    assertVerified(login);
    expect(login).toMatchObject({
      address: 'alice@example.com',
      domain: 'example.com',
      backend: 'office',
      protocol: 'imap',
      notAfter: null,
    });
    expect([login.accountId, login.credentialId]).toEqual([alice.id, id]);
    expect(gateway.verifier.stillValid(login)).toBe(true);
    expect(await gateway.value('sallyport_verifications_total', { source: 'store' })).toBe(1);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    expect(await gateway.value('sallyport_verifications_total', { source: 'memory' })).toBe(1);
  });

  it('S-14: nothing else passes for a verified login', async () => {
    const { gateway, password } = await withAlice();
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    const copy = { ...verdict.login };
    const heir = Object.create(verdict.login) as VerifiedLogin;
    for (const forged of [copy, heir, {}, JSON.parse(JSON.stringify(verdict.login))]) {
      expect(() => assertVerified(forged as VerifiedLogin)).toThrow(TypeError);
      expect(gateway.verifier.stillValid(forged as VerifiedLogin)).toBe(false);
    }
  });

  it('wipes the password whatever comes of it', async () => {
    const { gateway, password } = await withAlice();
    for (const [name, typed] of [
      ['alice', password],
      ['alice', 'main password'],
      ['\u0000', password],
      ['nobody@elsewhere.example', password],
    ] as const) {
      const secret = Secret.fromText(typed);
      await gateway.verifier.verify({
        protocol: 'imap',
        credentials: { authzid: Buffer.alloc(0), authcid: Buffer.from(name), password: secret },
        address: '203.0.113.7',
        network: '203.0.113.7/32',
        legacyTls: false,
        client: null,
      });
      expect(secret.bytes().every((byte) => byte === 0)).toBe(true);
    }
  });

  it('is written down as used, once a minute, the rest when the gateway stops', async () => {
    const { gateway, id, login } = await withAlice();
    const used = async () => (await gateway.appPasswords.find(id))?.lastUsedAt;
    const start = gateway.clock.now();
    await login();
    await until(async () => (await used()) === start);
    gateway.clock.advance(1_000);
    await login({ protocol: 'smtp', address: '2001:db8::1' });
    // Bob's first use is written after it, hers waits for its minute.
    const bob = await gateway.issue(await gateway.account('bob@example.com'));
    await gateway.login('bob', bob.password);
    await until(async () => (await gateway.appPasswords.find(bob.id))?.lastUsedAt === start + 1_000);
    expect(await used()).toBe(start);
    await gateway.verifier.stop();
    expect(await gateway.appPasswords.find(id)).toMatchObject({
      lastUsedAt: start + 1_000,
      lastUsedAddress: '2001:db8::1',
      lastUsedProtocol: 'smtp',
    });
  });
});

describe('names', () => {
  it('S-05: an authzid is empty or the same name', async () => {
    const { login } = await withAlice();
    expect(await login({ authzid: 'alice' })).toBe('verified');
    expect(await login({ authzid: 'bob@example.com' })).toBe('authzid-differs');
    expect(await login({ authzid: 'alice@off.example' })).toBe('authzid-differs');
    expect(await login({ authzid: '\u0000' })).toBe('authzid-differs');
  });

  it('S-04: a name no account can have is refused before anything else', async () => {
    const { gateway, password } = await withAlice();
    for (const name of ['', 'alice*admin', 'alice\r\n', '%', 'alice@example.com\u0000']) {
      expect(outcomeOf(await gateway.login(name, password))).toBe('malformed-name');
    }
  });

  it('S-47: the master user and denied mailboxes are nobody, although they have an app password', async () => {
    const { gateway } = await withAlice();
    for (const address of ['gateway@example.com', 'root@example.com']) {
      const { password } = await gateway.issue(await gateway.account(address));
      expect(outcomeOf(await gateway.login(address.toUpperCase(), password))).toBe('unknown-account');
    }
  });

  it('a name of Object.prototype is no domain', async () => {
    const { gateway, password } = await withAlice();
    for (const domain of ['constructor', 'valueof', 'hasownproperty', 'elsewhere.example']) {
      for (const typed of [password, 'a main password']) {
        expect(await gateway.login(`alice@${domain}`, typed)).toEqual({
          kind: 'rejected',
          reason: 'unknown-account',
          appPasswordRequired: false,
          credentialId: null,
        });
      }
    }
  });

  it('wire 25: Latin-1 and UTF-8 name one account', async () => {
    const gateway = await bed();
    const { password } = await gateway.issue(await gateway.account('jos\u00e9@example.com'));
    expect(outcomeOf(await gateway.login(Buffer.from('jos\xe9', 'latin1'), password))).toBe('verified');
    expect(outcomeOf(await gateway.login('jos\u00e9', password))).toBe('verified');
  });
});

describe('S-13: the hint depends on the domain alone', () => {
  it.each([
    ['alice@example.com', true],
    ['nobody@example.com', true],
    ['alice@off.example', false],
    ['nobody@off.example', false],
  ])('%s with a main password: %p', async (name, appPasswordRequired) => {
    const { gateway } = await withAlice();
    expect(await gateway.login(name, 'a main password')).toEqual({
      kind: 'rejected',
      reason: 'not-an-app-password',
      appPasswordRequired,
      credentialId: null,
    });
    expect(await gateway.login(name, 'aaaaaaaaaaaaaaar')).toMatchObject({ appPasswordRequired: false });
  });

  it('is not given where app passwords are optional', async () => {
    const { gateway } = await withAlice({ mfa: 'optional' });
    expect(await gateway.login('alice', 'a main password')).toMatchObject({ appPasswordRequired: false });
  });
});

describe('S-17: attributes are judged at every login', () => {
  it('the protocol', async () => {
    const { login } = await withAlice({}, { scopes: ['imap'] });
    expect(await login({ protocol: 'smtp' })).toBe('wrong-protocol');
    expect(await login()).toBe('verified');
    expect(await login({ protocol: 'smtp' })).toBe('wrong-protocol');
    expect(await login({ protocol: 'pop3' })).toBe('wrong-protocol');
  });

  it('the network', async () => {
    const { login } = await withAlice({}, { networks: ['10.0.0.0/8', '2001:db8::/32'] });
    expect(await login({ address: '203.0.113.7' })).toBe('wrong-network');
    expect(await login({ address: '10.1.2.3' })).toBe('verified');
    expect(await login({ address: '203.0.113.7' })).toBe('wrong-network');
    expect(await login({ address: '::ffff:10.1.2.3' })).toBe('verified');
    expect(await login({ address: '2001:db8::1' })).toBe('verified');
  });

  it('the expiry, also of a cached record', async () => {
    const { gateway, login } = await withAlice({}, { expiresInMs: 10_000 });
    expect(await login()).toBe('verified');
    gateway.clock.advance(9_999);
    expect(await login()).toBe('verified');
    gateway.clock.advance(1);
    expect(await login()).toBe('expired');
    expect(await login({ protocol: 'pop3' })).toBe('expired');
  });

  it('the account', async () => {
    const { gateway, alice, login } = await withAlice();
    expect(await login()).toBe('verified');
    await disableAccount(gateway.database, gateway.guard, alice.id, gateway.clock.now());
    expect(await login()).toBe('account-disabled');
    await gateway.revocations.poll();
    expect(await login()).toBe('account-disabled');
    expect(outcomeOf(await gateway.login('alice', 'aaaaaaaaaaaaaaar'))).toBe('wrong');
    await enableAccount(gateway.database, gateway.guard, alice.id);
    expect(await login()).toBe('verified');
  });

  it('the state: revoked here at once, elsewhere after a poll', async () => {
    const { gateway, alice, id, password, login } = await withAlice();
    const other = await bed({ file: gateway.file, clock: gateway.clock });
    expect(await login()).toBe('verified');
    expect(outcomeOf(await other.login('alice', password))).toBe('verified');
    expect(await gateway.appPasswords.revoke(alice.id, id, 'lost phone', tester)).toBe('revoked');
    expect(await login()).toBe('revoked');
    await other.revocations.poll();
    expect(outcomeOf(await other.login('alice', password))).toBe('revoked');
  });
});

describe('S-54: registered first, checked once more', () => {
  it('a login revoked meanwhile is no longer valid', async () => {
    const { gateway, alice, id, password } = await withAlice();
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    const ended: string[] = [];
    gateway.revocations.onRevoked((entry) => ended.push(entry.reason));
    await gateway.appPasswords.revoke(alice.id, id, 'lost phone', tester);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(false);
    expect(ended).toEqual(['lost phone']);
  });

  it('a login whose account is disabled or whose time is over is no longer valid', async () => {
    const { gateway, alice, password } = await withAlice({}, { expiresInMs: hour });
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    gateway.clock.advance(hour);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(false);
    gateway.clock.advance(-1);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(true);
    await disableAccount(gateway.database, gateway.guard, alice.id, gateway.clock.now());
    await gateway.revocations.poll();
    expect(gateway.verifier.stillValid(verdict.login)).toBe(false);
  });

  it('a new login after the account is enabled again is valid', async () => {
    const { gateway, alice, password } = await withAlice();
    await disableAccount(gateway.database, gateway.guard, alice.id, gateway.clock.now());
    await gateway.revocations.poll();
    await enableAccount(gateway.database, gateway.guard, alice.id);
    const verdict = await gateway.login('alice', password);
    if (verdict.kind !== 'verified') throw new Error(verdict.kind);
    expect(gateway.verifier.stillValid(verdict.login)).toBe(true);
    expect(outcomeOf(await gateway.login('alice', password))).toBe('verified');
    expect(await gateway.value('sallyport_verifications_total', { source: 'memory' })).toBe(1);
  });
});

describe('S-34: a row that SQL was made to hold', () => {
  it.each<[string, Record<string, unknown>]>([
    ['scopes', { scopes: 7 }],
    ['scopes out of range', { scopes: 999 }],
    ['networks', { networks: '0.0.0.0/0' }],
    ['not_after', { not_after: 4_102_444_800_000 }],
    ['not_after removed', { not_after: null }],
    ['first_use_by', { first_use_by: 4_102_444_800_000 }],
    ['max_idle_ms', { max_idle_ms: 4_102_444_800_000 }],
    ['paused by hand', { state: 'paused' }],
    ['phc', { phc: `$argon2id$v=19$m=7168,t=1,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}` }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
    ['row_mac cut', { row_mac: Buffer.alloc(3) }],
    ['state', { state: 'pending' }],
  ])('%s changed: refused, alarm', async (_name, change) => {
    const { gateway, id, login } = await withAlice({}, { expiresInMs: hour, networks: ['203.0.113.0/24'] });
    await gateway.database.updateTable('app_password').set(change).where('id', '=', id).execute();
    expect(await login()).toBe('unavailable');
    expect(await gateway.value('sallyport_integrity_alarms_total', { table: 'app_password' })).toBe(1);
    expect(gateway.log.join('')).toContain('not as the gateway wrote it');
  });

  it.each([
    ['account_id', 'wrong'],
    ['selector', 'wrong'],
    // As of a node that was not given the key: an outage.
    ['pepper_version', 'unavailable'],
  ])('%s changed: never verified', async (column, outcome) => {
    const { gateway, id, password, login } = await withAlice();
    const mallory = await gateway.account('mallory@example.com');
    const change = { account_id: mallory.id, selector: 1, pepper_version: 2 };
    await gateway.database
      .updateTable('app_password')
      .set({ [column]: change[column as keyof typeof change] })
      .where('id', '=', id)
      .execute();
    expect(await login()).toBe(outcome);
    expect(outcomeOf(await gateway.login('mallory', password))).toBe('wrong');
  });

  it('revived by hand: refused', async () => {
    const { gateway, alice, id, login } = await withAlice();
    await gateway.appPasswords.revoke(alice.id, id, 'lost', tester);
    await gateway.database.updateTable('app_password').set({ state: 'active' }).execute();
    expect(await login()).toBe('unavailable');
  });

  it('moved by renaming the account: refused', async () => {
    const { gateway, alice, password } = await withAlice();
    await gateway.database
      .updateTable('account')
      .set({ address: 'director@example.com' } as never)
      .where('id', '=', alice.id)
      .execute();
    expect(outcomeOf(await gateway.login('director', password))).toBe('unavailable');
  });
});

it('S-21: a row that asks for 1 GiB is refused at once', async () => {
  const { gateway, id, login } = await withAlice();
  const phc = `$argon2id$v=19$m=1048576,t=3,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`;
  const row = await gateway.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
  const row_mac = rowMac(gateway.keys, 'alice@example.com', { ...row, phc });
  await gateway.database.updateTable('app_password').set({ phc, row_mac }).where('id', '=', id).execute();
  const start = performance.now();
  expect(await login()).toBe('unavailable');
  // Computing it takes seconds.
  expect(performance.now() - start).toBeLessThan(1_000);
  expect(await gateway.value('sallyport_integrity_alarms_total', { table: 'app_password' })).toBe(1);
});

describe('S-22: argon2 is not for sale', () => {
  /** Another secret that meets the selector of Alice's app password. */
  async function collision(gateway: Bed, accountId: Buffer): Promise<string> {
    const { selector } = await gateway.database
      .selectFrom('app_password')
      .select('selector')
      .executeTakeFirstOrThrow();
    for (;;) {
      const secret = generateAppPassword();
      if (selectorOf(gateway.keys, 1, accountId, secret) === selector) return secret.text();
    }
  }

  it('a colliding secret tried a thousand times is hashed once a minute', async () => {
    const { gateway, alice, login } = await withAlice({
      throttleLimits: { refuseFrom: 1e6, delayFrom: 1e6 },
    });
    const wrong = await collision(gateway, alice.id);
    const count = hashCounter(gateway);
    for (let attempt = 0; attempt < 1_000; attempt += 1) {
      expect(outcomeOf(await gateway.login('alice', wrong))).toBe('wrong');
    }
    expect(count()).toBe(1);
    gateway.clock.advance(60_001);
    await gateway.login('alice', wrong);
    expect(count()).toBe(2);
    expect(await login()).toBe('verified');
  });

  it('parallel logins with one secret are hashed once', async () => {
    const { gateway, password } = await withAlice();
    const count = hashCounter(gateway);
    const verdicts = await Promise.all(
      Array.from({ length: 50 }, () => gateway.login('alice', password, { protocol: 'imap' })),
    );
    expect(verdicts.map(outcomeOf)).toEqual(new Array(50).fill('verified'));
    expect(count()).toBe(1);
  });

  it('parallel logins for different protocols are each judged', async () => {
    const { gateway, password } = await withAlice({}, { scopes: ['imap'] });
    const [imap, smtp] = await Promise.all([
      gateway.login('alice', password, { protocol: 'imap' }),
      gateway.login('alice', password, { protocol: 'smtp' }),
    ]);
    expect([imap, smtp].map(outcomeOf)).toEqual(['verified', 'wrong-protocol']);
  });
});

describe('S-16: nothing is shared between accounts', () => {
  it('an app password opens its account alone, cached or not', async () => {
    const { gateway, password, login } = await withAlice();
    await gateway.issue(await gateway.account('bob@example.com'));
    expect(outcomeOf(await gateway.login('bob', password))).toBe('wrong');
    expect(await login()).toBe('verified');
    expect(outcomeOf(await gateway.login('bob', password))).toBe('wrong');
  });
});

describe('S-40: rotation', () => {
  const rotated = {
    pepper: [
      { id: 2, first: 0x70 },
      { id: 1, first: 0x00, state: 'accept' },
    ],
    mac: [
      { id: 2, first: 0x90 },
      { id: 1, first: 0x20, state: 'accept' },
    ],
  } as const;

  it('old ids verify and their rows move at the next login', async () => {
    const { gateway, id, password } = await withAlice();
    const row = () => gateway.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    const before = await row();

    const next = await bed({ file: gateway.file, clock: gateway.clock, keys: keyRing(rotated) });
    expect(outcomeOf(await next.login('alice', password))).toBe('verified');
    await next.verifier.stop();
    // The account, and what the person was told of the app password: a notice and its two mails.
    expect(await renewRowMacs(next.database, next.guard)).toBe(4);
    const after = await row();
    expect([before.pepper_version, after.pepper_version]).toEqual([1, 2]);
    expect(after.phc).not.toBe(before.phc);
    expect(after.row_mac.readUInt32BE(0)).toBe(2);

    const gone = {
      pepper: [rotated.pepper[0], { id: 1, first: 0, state: 'gone' as const }],
      mac: [rotated.mac[0], { id: 1, first: 0, state: 'gone' as const }],
    };
    const last = await bed({ file: gateway.file, clock: gateway.clock, keys: keyRing(gone) });
    expect(outcomeOf(await last.login('alice', password))).toBe('verified');
    expect(await last.appPasswords.revoke(after.account_id, id, 'done', tester)).toBe('revoked');
  });

  it('a mac key alone moves the row MAC and not the hash', async () => {
    const { gateway, password } = await withAlice();
    const row = () => gateway.database.selectFrom('app_password').selectAll().executeTakeFirstOrThrow();
    const before = await row();
    const keys = keyRing({ mac: rotated.mac });
    const next = await bed({ file: gateway.file, clock: gateway.clock, keys });
    expect(outcomeOf(await next.login('alice', password))).toBe('verified');
    await next.verifier.stop();
    const after = await row();
    expect(after.phc).toBe(before.phc);
    expect(after.row_mac.readUInt32BE(0)).toBe(2);
  });

  it('other argon2 parameters are taken over at the next login', async () => {
    const { gateway, password } = await withAlice();
    const argon2 = { memory_kib: 8_192, passes: 2, lanes: 1 };
    const next = await bed({ file: gateway.file, clock: gateway.clock, argon2 });
    expect(outcomeOf(await next.login('alice', password))).toBe('verified');
    await next.verifier.stop();
    const { phc } = await gateway.database.selectFrom('app_password').select('phc').executeTakeFirstOrThrow();
    expect(phc).toMatch(/^\$argon2id\$v=19\$m=8192,t=2,p=1\$/);
    const third = await bed({ file: gateway.file, clock: gateway.clock, argon2 });
    expect(outcomeOf(await third.login('alice', password))).toBe('verified');
  });

  it('a row revoked meanwhile stays revoked', async () => {
    const { gateway, alice, id, password } = await withAlice();
    const next = await bed({ file: gateway.file, clock: gateway.clock, keys: keyRing(rotated) });
    const [verdict] = await Promise.all([
      next.login('alice', password),
      gateway.appPasswords.revoke(alice.id, id, 'lost', tester),
    ]);
    await next.verifier.stop();
    expect((await gateway.appPasswords.find(id))?.state).toBe('revoked');
    await next.revocations.poll();
    if (verdict.kind === 'verified') expect(next.verifier.stillValid(verdict.login)).toBe(false);
    expect(outcomeOf(await next.login('alice', password))).toBe('revoked');
  });
});

describe('a cached mismatch proves nothing', () => {
  it('a new app password works beside a cached one', async () => {
    const { gateway, alice, login } = await withAlice();
    expect(await login()).toBe('verified');
    const second = await gateway.issue(alice);
    expect(outcomeOf(await gateway.login('alice', second.password))).toBe('verified');
  });

  it('without Redis a record lives for the whole hour and no longer', async () => {
    const { gateway, login } = await withAlice();
    expect(await login()).toBe('verified');
    const count = hashCounter(gateway);
    gateway.clock.advance(0.89 * hour);
    await gateway.revocations.poll();
    expect(await login()).toBe('verified');
    expect(count()).toBe(0);
    gateway.clock.advance(0.11 * hour);
    await gateway.revocations.poll();
    expect(await login()).toBe('verified');
    expect(count()).toBe(1);
  });
});

function hashCounter(gateway: Bed): () => number {
  const { passwordHash } = gateway;
  const matches = passwordHash.matches.bind(passwordHash);
  let count = 0;
  passwordHash.matches = (...call) => {
    count += 1;
    return matches(...call);
  };
  return () => count;
}

it('the shape of what is shown is the shape that is read', async () => {
  const { password } = await withAlice();
  expect(parseAppPassword(Buffer.from(password))).not.toBeNull();
});
