import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { loadLanguages } from '../../src/portal/language.ts';
import { addLoginEvents } from '../../src/store/login-events.ts';
import type { Account, NewLoginEventRow } from '../../src/store/schema.ts';
import { hours, minutes } from '../identity/clock.ts';
import { type Bed, type Browser, openBed } from './bed.ts';
import { issue, signedIn } from './own-session.ts';

describe('activity', () => {
  let bed: Bed;
  let alice: Account;
  let browser: Browser;

  beforeEach(async () => {
    bed = await openBed();
    alice = await bed.account('alice@example.com');
    browser = await signedIn(bed, alice);
  });
  afterEach(async () => {
    await bed.close();
  });

  const event = (account: Account, ago: number, more: Partial<NewLoginEventRow> = {}): NewLoginEventRow => ({
    id: randomBytes(16),
    account_id: account.id,
    name: null,
    first_at: bed.clock.now() - ago - minutes,
    last_at: bed.clock.now() - ago,
    times: 1,
    protocol: 'imap',
    reason: null,
    detail: null,
    address: '192.0.2.14',
    client: 'Thunderbird 128',
    mechanism: 'PLAIN',
    credential_id: null,
    ...more,
  });

  it('says so where there is none', async () => {
    expect((await browser.get('/activity')).body).toContain('No mail app has signed in yet.');
  });

  it('names the app password, the app, the place and how often', async () => {
    const id = await issue(bed, alice, 'Desk');
    await addLoginEvents(bed.database, [event(alice, 0, { credential_id: id, times: 41 })]);
    const { body } = await browser.get('/activity');
    expect(body).toContain(`<a href="/app-passwords/${id.toString('hex')}">Desk</a>`);
    expect(body).toContain('Thunderbird 128');
    expect(body).toContain('from 192.0.2.14');
    expect(body).toMatch(/41 times since \d\d:\d\d/);
  });

  it('says every reason and what to do about it, in words of both languages', async () => {
    const languages = await loadLanguages({ defaultTag: 'en', timeZone: 'UTC' });
    expect(languages.all).toHaveLength(2);
    const reasons = Object.keys(languages.all[0].texts.activity.reasons);
    expect(reasons.length).toBeGreaterThan(15);
    const unknown = 'reason-of-a-newer-version';
    const rows = [...reasons, unknown].map((reason, index) =>
      event(alice, index * minutes, { reason, detail: 'X99-detail', client: null }),
    );
    await addLoginEvents(bed.database, rows);
    for (const { tag, texts } of languages.all) {
      const { body } = await browser.get('/activity', { 'accept-language': tag });
      expect(body).toContain(`<html lang="${tag}">`);
      for (const { sentence, remedy } of Object.values(texts.activity.reasons)) {
        expect(body).toContain(sentence);
        expect(body).toContain(remedy);
      }
      expect(body).toContain(texts.activity.unknownReason.sentence);
      for (const reason of reasons.filter((code) => code.includes('-'))) expect(body).not.toContain(reason);
      expect(body).not.toContain(unknown);
      expect(body).not.toContain('X99-detail');
    }
  });

  it('S-95: shows nothing of another account, whatever is asked', async () => {
    const bob = await bed.account('bob@example.com');
    const theirs = event(bob, hours, { client: "Bob's client" });
    await addLoginEvents(bed.database, [theirs, event(alice, 2 * hours)]);
    const after = `${theirs.last_at + 1}-${theirs.id.toString('hex')}`;
    for (const url of [
      '/activity',
      `/activity?after=${after}`,
      `/activity?account=${bob.id.toString('hex')}`,
    ]) {
      expect((await browser.get(url)).body).not.toContain('Bob');
    }
    // Nor the label of an app password of somebody else that a row names.
    const id = await issue(bed, bob, 'Secret project scanner');
    await addLoginEvents(bed.database, [event(alice, 0, { credential_id: id })]);
    expect((await browser.get('/activity')).body).not.toContain('Secret project');
  });

  it('S-65: shows what clients say as text', async () => {
    const client = '<img src=x onerror=alert(1)>"\'`';
    await addLoginEvents(bed.database, [event(alice, 0, { client, reason: 'wrong' })]);
    const { body } = await browser.get('/activity');
    expect(body).not.toContain('<img src=x');
    expect(body).toContain('&lt;img src=x onerror=alert(1)&gt;');
  });

  it('goes back page by page, each event once', async () => {
    const rows = Array.from({ length: 75 }, (_, index) =>
      // Some at the same moment, as one batch writes them.
      event(alice, Math.floor(index / 5) * minutes, { client: `client-${index}-` }),
    );
    await addLoginEvents(bed.database, rows);
    const seen: string[] = [];
    let url: string | null = '/activity';
    let pages = 0;
    while (url !== null && pages < 10) {
      const { body } = await browser.get(url);
      seen.push(...[...body.matchAll(/client-(\d+)-/g)].map((match) => match[1] ?? ''));
      url = /href="(\/activity\?after=[^"]+)"/.exec(body)?.[1] ?? null;
      pages += 1;
    }
    expect(pages).toBe(3);
    expect(seen).toHaveLength(75);
    expect(new Set(seen).size).toBe(75);
  });

  it.each(['x', '1', '-1', `${'9'.repeat(400)}-${'0'.repeat(32)}`, "1' OR '1'='1", `1-${'g'.repeat(32)}`])(
    'begins with the newest for the place %p',
    async (after) => {
      await addLoginEvents(bed.database, [event(alice, 0)]);
      const page = await browser.get(`/activity?after=${encodeURIComponent(after)}`);
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('Thunderbird 128');
    },
  );
});
