import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { confirmPath, destinationOf } from '../../src/portal/step-up.ts';
import type { Account } from '../../src/store/schema.ts';
import { minutes } from '../identity/clock.ts';
import { type Bed, enroll, openBed } from './bed.ts';
import { issue, signedIn } from './own-session.ts';

type Need = 'fresh' | 'session';

/** What a person does, and whether it needs a factor of the last five minutes. Stopping a thief must be easy. */
const actions: readonly (readonly [act: string, need: Need, fields?: Readonly<Record<string, string>>])[] = [
  ['GET /app-passwords/new', 'fresh'],
  ['POST /app-passwords/new', 'fresh', { app: 'outlook', device: 'Desk', imap: 'on' }],
  ['GET /app-passwords/:id/change', 'fresh'],
  ['POST /app-passwords/:id/change', 'fresh', { imap: 'on', pop3: 'on', end: 'never' }],
  ['GET /app-passwords/:paused/resume', 'fresh'],
  ['POST /app-passwords/:paused/resume', 'fresh'],
  ['GET /app-passwords/revoke-all', 'fresh'],
  ['POST /app-passwords/revoke-all', 'fresh'],
  ['GET /app-passwords', 'session'],
  ['GET /app-passwords/:id', 'session'],
  ['POST /app-passwords/:id/rename', 'session', { label: 'Laptop' }],
  ['POST /app-passwords/:id/pause', 'session'],
  ['POST /app-passwords/:id/revoke', 'session'],
  ['GET /activity', 'session'],
  ['GET /sessions', 'session'],
  ['POST /sessions/portal/end-all', 'session'],
];

describe('S-68: actions by the age of the factor', () => {
  let bed: Bed;
  let alice: Account;
  let ids: Readonly<Record<string, string>>;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
    const [id, paused] = [await issue(bed, alice, 'Desk'), await issue(bed, alice, 'Paused')];
    await bed.appPasswords.update(alice.id, paused, { state: 'paused' }, 'test', { kind: 'gateway' });
    ids = { ':id': id.toString('hex'), ':paused': paused.toString('hex') };
  });
  afterEach(async () => {
    await bed.close();
  });

  const ages: readonly (readonly [string, number, boolean])[] = [
    ['just shown', 0, true],
    ['4:59 old', 5 * minutes - 1_000, true],
    ['5:00 old', 5 * minutes, false],
    ['14 minutes old', 14 * minutes, false],
  ];
  const cases = actions.flatMap(([act, need, fields]) =>
    ages.map(([name, age, isFresh]) => [act, name, { need, fields, age, isFresh }] as const),
  );

  it.each(cases)('%s with a factor %s', async (act, _, { need, fields, age, isFresh }) => {
    const browser = await signedIn(bed, alice);
    bed.clock.advance(age);
    const [method, pattern = ''] = act.split(' ');
    const path = pattern.replace(/:\w+/, (name) => ids[name] ?? '');
    const dump = async () => await bed.database.selectFrom('app_password').selectAll().execute();
    const before = await dump();
    const answer = method === 'GET' ? await browser.get(path) : await browser.post(path, fields);
    if (need === 'session' || isFresh) {
      expect([200, 303]).toContain(answer.statusCode);
      expect(String(answer.headers.location)).not.toContain('/confirm/');
    } else {
      expect(answer.statusCode).toBe(303);
      const where = String(answer.headers.location);
      expect(where).toMatch(/^\/confirm\//);
      expect(destinationOf(where.slice('/confirm/'.length))).toBe(path);
      expect(await dump()).toEqual(before);
    }
  });

  it('S-67: what is filled in waits for the session that sent it, and for no other of the account', async () => {
    const path = `/app-passwords/${ids[':id']}/change`;
    const intruder = await signedIn(bed, alice);
    bed.clock.advance(6 * minutes);
    const sent = await intruder.post(path, { imap: 'on', networks: '198.51.100.9', end: 'never' });
    expect(String(sent.headers.location)).toMatch(/^\/confirm\/change-/);
    const own = await signedIn(bed, alice);
    expect((await own.get(path)).body).not.toContain('198.51.100.9');
  });

  it.each([
    '',
    'create/../../evil',
    '//evil.example',
    'https://evil.example',
    'change',
    `create-${'0'.repeat(32)}`,
    'change-xyz',
    `change-${'0'.repeat(31)}`,
    `change-${'A'.repeat(32)}`,
    'constructor',
    '__proto__',
    `change-${'0'.repeat(32)}\n`,
  ])('leads nowhere by %p', async (purpose) => {
    expect(destinationOf(purpose)).toBeNull();
    const browser = await signedIn(bed, alice);
    const answer = await browser.get(`/confirm/${encodeURIComponent(purpose)}`);
    expect(answer.statusCode).toBe(404);
  });

  it('names the page by its id', () => {
    const id = Buffer.alloc(16, 7);
    expect(confirmPath('create', null)).toBe('/confirm/create');
    expect(destinationOf(`change-${id.toString('hex')}`)).toBe(`/app-passwords/${id.toString('hex')}/change`);
    expect(confirmPath('change', id)).toBe(`/confirm/change-${id.toString('hex')}`);
  });
});
