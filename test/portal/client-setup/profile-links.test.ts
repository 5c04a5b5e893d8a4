import { randomBytes } from 'node:crypto';
import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { AppPasswords } from '../../../src/credentials/app-passwords.ts';
import { PasswordHash } from '../../../src/credentials/password-hash.ts';
import type { SteppedUpSession } from '../../../src/identity/portal-session.ts';
import { createLogger } from '../../../src/observability/logger.ts';
import { mailSettings } from '../../../src/portal/client-setup/mail-settings.ts';
import { ProfileIssuer } from '../../../src/portal/client-setup/profile-issuer.ts';
import { ProfileLinks } from '../../../src/portal/client-setup/profile-links.ts';
import { type Languages, loadLanguages } from '../../../src/portal/language.ts';
import { createAccount, disableAccount, resetSecondFactors } from '../../../src/store/accounts.ts';
import { type Database, migrate } from '../../../src/store/database.ts';
import { deletePortalSessionsOf } from '../../../src/store/portal-sessions.ts';
import { ForgedRowError } from '../../../src/store/row-guard.ts';
import type { Account } from '../../../src/store/schema.ts';
import { keyRing } from '../../credentials/keys.ts';
import { rowGuard } from '../../credentials/row-guard.ts';
import { Clock } from '../../identity/clock.ts';
import { engines, scratchDatabase } from '../../store/scratch-database.ts';
import { HeldHash } from '../../support/held-hash.ts';
import { testJournal } from '../../support/journal.ts';
import { documentsConfig } from './documents.ts';

const keys = keyRing();
const guard = rowGuard(keys);
const minute = 60_000;

// On several connections at once, as gateways on one database.
describe.each(engines)('profile links on %s', (engine) => {
  let scratch: Awaited<ReturnType<typeof scratchDatabase>>;
  let clock: Clock;
  let log: string[];
  let languages: Languages;
  let alice: Account;
  let session: SteppedUpSession;
  let nodes: readonly { database: Database; links: ProfileLinks; appPasswords: AppPasswords }[];
  let first: (typeof nodes)[number];

  beforeEach(async () => {
    clock = new Clock();
    log = [];
    scratch = await scratchDatabase(engine);
    languages = await loadLanguages({ defaultTag: 'en', timeZone: 'UTC' });
    const database = scratch.open();
    await migrate(database);
    alice = (await createAccount(database, guard, 'alice@example.com', clock.now())).account;
    session = sessionOf(alice);
    first = open(database);
    nodes = [first, ...[1, 2, 3].map(() => open(scratch.open()))];
  });
  afterEach(async () => {
    for (const { links } of nodes) links.clear();
    await scratch.close();
  });

  const argon2 = { memoryKib: 7_168, passes: 1, lanes: 1 };
  function open(database: Database, passwordHash = new PasswordHash({ keys, argon2, now: clock.now })) {
    const { now } = clock;
    const sink = new Writable({
      write(chunk: Buffer, _encoding, done) {
        log.push(chunk.toString());
        done();
      },
    });
    const logger = createLogger('trace', sink);
    const config = documentsConfig({ app_passwords: { max_per_account: 3 } });
    const appPasswords = new AppPasswords({
      database,
      keys,
      passwordHash,
      revocations: null,
      journal: testJournal(keys, now),
      config: config as never,
      now,
    });
    const issuer = new ProfileIssuer({
      appPasswords,
      settings: mailSettings(config),
      languages,
      certificate: () => null,
      logger,
      now,
    });
    return { database, appPasswords, links: new ProfileLinks({ database, guard, issuer, now }) };
  }

  const sessionOf = (account: Account): SteppedUpSession =>
    ({ level: 'stepped-up', account, idHash: randomBytes(32), csrf: '' }) as unknown as SteppedUpSession;
  const phone = () => ({ address: '203.0.113.9', by: 'iphone', language: languages.all[0] });
  const issued = async () => await first.appPasswords.list(alice.id);

  async function makeLink(device = 'Kitchen iPad') {
    const id = await first.links.create(session, device);
    const token = first.links.take(session, id);
    if (token === null) throw new Error('the token was not held');
    return { id, token };
  }

  it('S-71: looks change nothing, one use makes one app password, and then the link is over', async () => {
    const { id, token } = await makeLink();
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    for (let look = 0; look < 5; look += 1) {
      const found = await first.links.look(token);
      expect(found).toMatchObject({ account: { address: 'alice@example.com' }, device: 'Kitchen iPad' });
    }
    expect(await issued()).toEqual([]);

    const profile = await first.links.redeem(token, phone());
    if (profile.kind !== 'issued') throw new Error(profile.kind);
    expect(profile.profile.toString()).toContain('<string>alice@example.com</string>');
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
    expect(await first.links.look(token)).toBeNull();

    expect(await issued()).toMatchObject([
      { id: profile.credentialId, label: 'Kitchen iPad', scopes: ['imap', 'smtp'], createdBy: 'portal' },
    ]);
    expect(await first.links.find(alice, id)).toMatchObject({
      used_at: clock.now(),
      used_address: '203.0.113.9',
      used_by: 'iphone',
      credential_id: profile.credentialId,
    });
  });

  it('S-71: twenty uses at once on four nodes make one app password', async () => {
    const { token } = await makeLink();
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) => nodes[index % 4]?.links.redeem(token, phone())),
    );
    expect(outcomes.filter((outcome) => outcome?.kind === 'issued')).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome?.kind === 'over')).toHaveLength(19);
    expect(await issued()).toHaveLength(1);
  });

  it('S-71: a link that nobody uses makes nothing and is over after ten minutes', async () => {
    const { token } = await makeLink();
    clock.advance(10 * minute - 1);
    expect(await first.links.look(token)).not.toBeNull();
    clock.advance(1);
    expect(await first.links.look(token)).toBeNull();
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
    expect(await issued()).toEqual([]);
  });

  it('S-71: an account has one open link; a new one voids it', async () => {
    const [old, young] = [await makeLink(), await makeLink('iPhone')];
    expect(await first.links.redeem(old.token, phone())).toEqual({ kind: 'over' });
    expect((await first.links.redeem(young.token, phone())).kind).toBe('issued');
  });

  it('S-70: the token is shown once, to the session that made it, and lies nowhere in clear', async () => {
    const id = await first.links.create(session, 'iPhone');
    expect(first.links.take(sessionOf(alice), id)).toBeNull();
    const token = first.links.take(session, id);
    if (token === null) throw new Error('the token was not held');
    expect(first.links.take(session, id)).toBeNull();
    const rows = await first.database.selectFrom('profile_link').selectAll().execute();
    expect(rows).toHaveLength(1);
    const stored = rows.flatMap((row) =>
      Object.values(row).map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value))),
    );
    expect(stored.join(' ')).not.toContain(token);
    expect(stored.join(' ')).not.toContain(Buffer.from(token, 'base64url').toString('latin1'));
    const profile = await first.links.redeem(token, phone());
    if (profile.kind !== 'issued') throw new Error(profile.kind);
    const secret = /<key>IncomingPassword<\/key>\s*<string>([a-z]{16})<\/string>/.exec(
      profile.profile.toString(),
    )?.[1];
    expect(secret).toBeDefined();
    expect(log.join('')).toContain('profile-issued');
    expect(log.join('')).not.toContain(secret);
    expect(log.join('')).not.toContain(token);
  });

  it('S-84: an app password that its profile was not installed for ends after a quarter of an hour', async () => {
    const { token } = await makeLink();
    await first.links.redeem(token, phone());
    expect(await issued()).toMatchObject([{ state: 'active', firstUseBy: clock.now() + 15 * minute }]);
    clock.advance(15 * minute + 1);
    expect(await issued()).toMatchObject([{ state: 'expired' }]);
  });

  it('S-34: a row that the gateway did not write sets up nothing', async () => {
    const { token } = await makeLink();
    const mallory = (await createAccount(first.database, guard, 'mallory@example.com', 1)).account;
    await first.database
      .updateTable('profile_link')
      .set({ account_id: mallory.id } as never)
      .execute();
    await expect(first.links.look(token)).rejects.toBeInstanceOf(ForgedRowError);
    await expect(first.links.redeem(token, phone())).rejects.toBeInstanceOf(ForgedRowError);
    expect(await first.appPasswords.list(mallory.id)).toEqual([]);
    expect(await issued()).toEqual([]);
  });

  it('S-67: is found by the account it belongs to, and by nobody else', async () => {
    const { id } = await makeLink();
    const bob = (await createAccount(first.database, guard, 'bob@example.com', 1)).account;
    expect(await first.links.find(bob, id)).toBeNull();
    await first.links.cancel(bob, id);
    expect(await first.links.find(alice, id)).not.toBeNull();
    await first.links.cancel(alice, id);
    expect(await first.links.find(alice, id)).toBeNull();
  });

  it('ends with the sessions of its account', async () => {
    const { token } = await makeLink();
    await deletePortalSessionsOf(first.database, alice.id, session.idHash);
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
  });

  it('ends when the second factors of its account are reset', async () => {
    const { token } = await makeLink();
    await first.database
      .transaction()
      .execute(async (transaction) => resetSecondFactors(transaction, guard, alice.id));
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
  });

  it('S-54: sets up nothing when the sessions of its account end while it is being used', async () => {
    const { token } = await makeLink();
    const passwordHash = new HeldHash({ keys, argon2, now: clock.now });
    const redeeming = open(first.database, passwordHash).links.redeem(token, phone());
    await passwordHash.reached;
    await deletePortalSessionsOf(first.database, alice.id, null);
    passwordHash.release();
    expect(await redeeming).toEqual({ kind: 'not-allowed' });
    expect(await issued()).toEqual([]);
  });

  it('sets up nothing for an account that was turned off', async () => {
    const { token } = await makeLink();
    await disableAccount(first.database, guard, alice.id, clock.now());
    expect(await first.links.look(token)).toBeNull();
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
    expect(await issued()).toEqual([]);
  });

  it('numbers devices of the same name, and holds the cap of app passwords', async () => {
    for (let made = 0; made < 3; made += 1)
      await first.links.redeem((await makeLink('iPhone')).token, phone());
    expect((await issued()).map(({ label }) => label).toSorted()).toEqual(['iPhone', 'iPhone 2', 'iPhone 3']);
    const { id, token } = await makeLink('iPhone');
    expect(await first.links.redeem(token, phone())).toEqual({ kind: 'cap-reached', cap: 3 });
    expect(await first.links.find(alice, id)).toMatchObject({ used_at: clock.now(), credential_id: null });
    expect(await issued()).toHaveLength(3);
  });

  it.each(['', 'x'.repeat(43), '../../etc', 'A'.repeat(44), `${'A'.repeat(42)}=`])(
    'knows no token %p',
    async (token) => {
      expect(await first.links.look(token)).toBeNull();
      expect(await first.links.redeem(token, phone())).toEqual({ kind: 'over' });
    },
  );
});
