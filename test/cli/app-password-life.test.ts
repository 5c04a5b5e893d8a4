import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openDatabase } from '../../src/store/database.ts';
import { addStaleClients } from '../../src/store/stale-clients.ts';
import { makeSite, type Site } from './site.ts';

let site: Site;
beforeEach(async () => {
  site = await makeSite();
  await site.command('keys', 'init');
  await site.command('migrate');
  await site.command('account', 'create', 'anna');
});
afterEach(() => site.remove());

const create = async (label: string, ...options: string[]) =>
  (
    (await site.dataOf('app-password', 'create', '--account', 'anna', '--label', label, ...options)) as {
      id: string;
    }
  ).id;
const list = async () =>
  (await site.dataOf('app-password', 'list', '--account', 'anna')) as Record<string, unknown>[];

describe('pause and resume', () => {
  it('each of several, and twice is no error', async () => {
    const [one, two] = [await create('One'), await create('Two')];
    expect((await site.command('app-password', 'pause', one, two)).out).toBe(`${one} paused\n${two} paused`);
    expect((await list()).map(({ state }) => state)).toEqual(['paused', 'paused']);
    expect(await site.command('app-password', 'pause', one)).toMatchObject({
      code: 0,
      out: `${one} already paused`,
    });
    expect(await site.command('app-password', 'resume', one)).toMatchObject({
      code: 0,
      out: `${one} resumed`,
    });
    expect(await site.dataOf('app-password', 'show', one)).toMatchObject({ state: 'active' });
  });

  it('what cannot be paused is told, and the rest is done', async () => {
    const [one, two] = [await create('One'), await create('Two')];
    await site.command('app-password', 'revoke', two);
    expect(await site.command('app-password', 'pause', '0'.repeat(32), two, one)).toMatchObject({
      code: 1,
      out: `${'0'.repeat(32)} not found\n${two} revoked\n${one} paused`,
    });
    expect(await site.command('app-password', 'pause', 'x')).toMatchObject({ code: 2 });
  });
});

describe('how one ends by itself', () => {
  it('is set by options, listed, and changed', async () => {
    const id = await create(
      'Scanner',
      '--expires-unused',
      '90d',
      '--unused-after',
      '24h',
      '--expires',
      '365d',
    );
    expect(await list()).toMatchObject([
      {
        account: 'anna@example.com',
        state: 'active',
        expiresUnused: '90d',
        firstUseBy: expect.stringMatching(/^\d{4}-/),
        expiresAt: expect.stringMatching(/^\d{4}-/),
        endsAt: expect.stringMatching(/^\d{4}-/),
        staleClient: null,
      },
    ]);
    expect((await site.command('app-password', 'list', '--account', 'anna')).out).toMatch(
      /UTC, after 90d without use, unless used by .* UTC +never$/m,
    );
    await site.command('app-password', 'update', id, '--expires-unused', 'none', '--unused-after', 'none');
    expect(await site.dataOf('app-password', 'show', id)).toMatchObject({
      expiresUnused: null,
      firstUseBy: null,
    });
    expect(await site.command('app-password', 'update', id, '--expires-unused', '5m')).toMatchObject({
      code: 2,
    });
    expect(await site.command('app-password', 'update', id, '--unused-after', 'soon')).toMatchObject({
      code: 2,
    });
  });

  it('S-84: one that an operator makes waits for its first use as long as it takes', async () => {
    await create('Scanner');
    expect(await list()).toMatchObject([{ firstUseBy: null, endsAt: null }]);
  });
});

describe('list', () => {
  it('shows the last use, and the client that still sends an ended one', async () => {
    const [used, ended] = [await create('Outlook'), await create('Phone')];
    await site.command('app-password', 'revoke', ended);
    const database = openDatabase(site.databaseFile);
    const last_used = { last_used_at: Date.UTC(2026, 10, 24, 13, 48), last_used_address: '192.0.2.7' };
    await database
      .updateTable('app_password')
      .set({ ...last_used, last_used_protocol: 'imap', last_used_client: 'Outlook\u001b[2J' })
      .where('id', '=', Buffer.from(used, 'hex'))
      .execute();
    const now = Date.now();
    const stale = {
      credential_id: Buffer.from(ended, 'hex'),
      first_at: now - 5_000,
      last_at: now,
      times: 12,
    };
    await addStaleClients(database, [
      { ...stale, protocol: 'imap', address: '192.0.2.1', client: 'iPhone Mail' },
    ]);
    await database.destroy();
    const { out } = await site.command('app-password', 'list', '--account', 'anna');
    expect(out).toContain('2026-11-24 13:48 UTC from 192.0.2.7 over imap by "Outlook\\x1b[2J"');
    expect(out).toMatch(
      /Warning: "Phone" ended on .* UTC and is still being sent from 192\.0\.2\.1 by "iPhone Mail": 12 times, last at/,
    );
    expect(await list()).toContainEqual(
      expect.objectContaining({
        id: ended,
        staleClient: expect.objectContaining({ address: '192.0.2.1', client: 'iPhone Mail', times: 12 }),
      }),
    );
  });
});

describe('account password-changed', () => {
  it('asks what becomes of the app passwords', async () => {
    await create('Outlook');
    expect(await site.command('account', 'password-changed', 'anna')).toMatchObject({ code: 2 });
    expect(
      await site.command('account', 'password-changed', 'anna', '--app-passwords', 'maybe'),
    ).toMatchObject({
      code: 2,
    });
    expect(await list()).toMatchObject([{ state: 'active' }]);
  });

  it.each([
    ['keep', 0, 'active'],
    ['revoke', 1, 'revoked'],
  ])('%s', async (fate, revoked, state) => {
    await create('Outlook');
    expect(await site.dataOf('account', 'password-changed', 'anna', '--app-passwords', fate)).toEqual({
      ...{ address: 'anna@example.com', sessionsEnded: 0, revoked },
    });
    expect(await list()).toMatchObject([{ state }]);
  });
});

it('an operator makes more than ten in an hour', async () => {
  for (let index = 0; index < 11; index += 1) await create(`Scanner ${index}`);
  expect(await list()).toHaveLength(11);
});
