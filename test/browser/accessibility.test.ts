import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { addLoginEvents } from '../../src/store/login-events.ts';
import type { Account } from '../../src/store/schema.ts';
import { addStaleClients } from '../../src/store/stale-clients.ts';
import { days, hours, minutes } from '../identity/clock.ts';
import { enroll } from '../portal/bed.ts';
import { issue, markUsed, OpenSessions } from '../portal/own-session.ts';
import { overflowOf, violationsOf } from './axe.ts';
import { openPortalWindows, type PortalWindows } from './portal-window.ts';

type Who = 'nobody' | 'first-factor' | 'enrolling' | 'stepped-up' | 'administrator';

/** Every page a person can come to: who she is, and where. `:app-password` and its like are ids that the test made. */
const pages: readonly (readonly [who: Who, path: string])[] = [
  ['nobody', '/sign-in'],
  ['nobody', '/nowhere'],
  ['nobody', '/help'],
  ['nobody', '/help/outlook-2016-windows'],
  ['enrolling', '/set-up'],
  ['enrolling', '/set-up/method'],
  ['first-factor', '/verify'],
  ['stepped-up', '/confirm/create'],
  ['stepped-up', '/app-passwords'],
  ['stepped-up', '/app-passwords/new'],
  ['stepped-up', '/app-passwords/:app-password'],
  ['stepped-up', '/app-passwords/:paused'],
  ['stepped-up', '/app-passwords/:ended'],
  ['stepped-up', '/app-passwords/:app-password/change'],
  ['stepped-up', '/app-passwords/:app-password/revoke'],
  ['stepped-up', '/app-passwords/:paused/resume'],
  ['stepped-up', '/app-passwords/revoke-all'],
  ['stepped-up', '/app-passwords/:app-password/secret'],
  ['stepped-up', '/activity'],
  ['stepped-up', '/sessions'],
  ['stepped-up', '/methods'],
  ['stepped-up', '/apple-device'],
  ['administrator', '/administration'],
  ['administrator', '/administration/accounts/:account'],
  ['administrator', '/administration/accounts/:forged'],
  ['administrator', '/administration/accounts/:account/activity'],
  ['administrator', '/administration/accounts/:account/mfa'],
  ['administrator', '/administration/accounts/:account/disable'],
  ['administrator', '/administration/trail'],
];

/** Phone and desktop, light and dark, both languages; each page in each of these. */
const windows = [
  ['phone, light, English', 360, 740, 'light', 'en'],
  ['desktop, light, Latvian', 1_280, 900, 'light', 'lv'],
  ['narrow, dark, Latvian', 320, 640, 'dark', 'lv'],
  ['desktop, dark, English', 1_280, 900, 'dark', 'en'],
] as const;

describe('accessibility in Chromium', () => {
  let portal: PortalWindows;
  let alice: Account;
  let newcomer: Account;
  let ada: Account;
  const ids: Record<string, string> = {};

  beforeAll(async () => {
    const open = new OpenSessions();
    portal = await openPortalWindows({ liveSessions: open });
    const { bed } = portal;
    alice = await bed.account('alice@example.com');
    newcomer = await bed.account('new@example.com');
    await enroll(bed, alice);
    const now = bed.clock.now();
    const used = await issue(bed, alice, 'Outlook, Windows computer', {
      networks: ['192.0.2.0/24'],
      maxIdleMs: 90 * days,
    });
    const paused = await issue(bed, alice, 'Kitchen iPad');
    const ended = await issue(bed, alice, `Old phone with ${'avery'.repeat(9)}`);
    const gateway = { kind: 'gateway' } as const;
    await bed.appPasswords.update(alice.id, paused, { state: 'paused' }, 'test', gateway);
    await bed.appPasswords.revoke(alice.id, ended, 'test', gateway);
    await markUsed(bed, used, { at: now - 5 * minutes, client: 'Microsoft Outlook 16.0' });
    const seen = { protocol: 'imap', address: '2001:db8:40:1:aaaa:bbbb:cccc:dddd', client: 'x'.repeat(128) };
    await addStaleClients(bed.database, [
      { ...seen, credential_id: ended, first_at: now - days, last_at: now - hours, times: 7 },
    ]);
    await addLoginEvents(
      bed.database,
      [null, 'revoked', 'not-an-app-password', 'throttled'].map((reason, index) => ({
        ...seen,
        id: randomBytes(16),
        account_id: alice.id,
        name: null,
        first_at: now - days,
        last_at: now - index * 20 * hours,
        times: index + 1,
        reason,
        detail: null,
        mechanism: 'PLAIN',
        credential_id: index === 0 ? used : null,
      })),
    );
    open.open(alice, 's1', used, { since: now - hours });
    open.open(alice, 's2', used, { since: now - days, client: 'y'.repeat(128), peerAddress: seen.address });
    const forged = await bed.account(`${'a-long-name.'.repeat(5)}@example.com`);
    await bed.database
      .updateTable('account')
      .set({ mfa: 'off' } as never)
      .where('id', '=', forged.id)
      .execute();
    ada = await bed.account('ada@example.com');
    Object.assign(ids, {
      ':account': alice.id.toString('hex'),
      ':forged': forged.id.toString('hex'),
      ':app-password': used.toString('hex'),
      ':paused': paused.toString('hex'),
      ':ended': ended.toString('hex'),
    });
  }, 60_000);
  afterAll(async () => {
    await portal.close();
  });

  const sessionOf = async (who: Who) => {
    const { sessions } = portal.bed;
    switch (who) {
      case 'nobody':
        return null;
      case 'first-factor':
        return await sessions.startFirstFactor(alice);
      case 'enrolling':
        return await sessions.startFirstFactor(newcomer);
      case 'stepped-up':
        return await sessions.stepUp((await sessions.startFirstFactor(alice)).session);
      case 'administrator':
        return await sessions.startFull(ada, portal.bed.clock.now(), 'administrator');
      default:
        return who satisfies never;
    }
  };

  describe.each(windows)('%s', (_, width, height, colorScheme, language) => {
    it.each(pages)(
      'to %s, %s has no fault that axe-core knows, and fits',
      async (who, pattern) => {
        const session = await sessionOf(who);
        const { page, complaints, close } = await portal.open({
          ...(session === null ? {} : { session }),
          language,
          context: { viewport: { width, height }, colorScheme },
        });
        const path = pattern.replace(/:[a-z-]+/, (name) => ids[name] ?? name);
        await page.goto(`${portal.origin}${path}`);
        expect(new URL(page.url()).pathname).toBe(path);
        expect(await page.getAttribute('html', 'lang')).toBe(language);
        expect(await violationsOf(page)).toEqual([]);
        expect(await overflowOf(page)).toBe(0);
        expect(complaints.filter((text) => !/status of 404/.test(text))).toEqual([]);
        await close();
      },
      60_000,
    );
  });
});
