import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { formatsOf, type Languages, loadLanguages } from '../../src/portal/language.ts';
import { accountLanguage } from '../../src/store/notices.ts';
import { type Bed, Browser, enroll, openBed, portalConfig } from './bed.ts';

const noon = Date.UTC(2026, 10, 22, 12, 5);

describe('languages', () => {
  let languages: Languages;
  beforeEach(async () => {
    languages = await loadLanguages({ defaultTag: 'en', timeZone: 'Europe/Riga' });
  });

  it('are the files of the catalogue folder, English and Latvian among them', () => {
    expect(languages.all.map(({ tag }) => tag)).toEqual(['en', 'lv']);
  });

  it('have every key in every language, of one shape, and no empty text', () => {
    const [english, ...others] = languages.all;
    const wanted = shapeOf(english.texts);
    expect(wanted.length).toBeGreaterThan(100);
    for (const { tag, texts } of others)
      expect({ tag, shape: shapeOf(texts) }).toEqual({ tag, shape: wanted });
  });

  it('leave no sentence in English in another language', () => {
    const [english, ...others] = languages.all;
    const sentences = new Map(
      leavesOf(english.texts).filter(([, text]) => typeof text === 'string' && / \w+ /.test(text)),
    );
    for (const { texts } of others) {
      const same = leavesOf(texts).filter(([key, text]) => sentences.get(key) === text);
      expect(same).toEqual([]);
    }
  });

  it('follow the choice, then the browser with its weights, then the default', () => {
    const tag = (chosen: string | undefined, accepted?: string) => languages.choose(chosen, accepted).tag;
    expect(tag('lv', 'en')).toBe('lv');
    expect(tag('xx', 'lv-LV,lv;q=0.9,en;q=0.8')).toBe('lv');
    expect(tag(undefined, 'de, en;q=0.2, lv;q=0.7')).toBe('lv');
    expect(tag(undefined, 'lv;q=0, en;q=0.1')).toBe('en');
    expect(tag(undefined, 'LV')).toBe('lv');
    expect(tag(undefined, 'de,fr')).toBe('en');
    expect(tag(undefined, ',;q=,;;,'.repeat(10_000))).toBe('en');
    expect(tag(undefined)).toBe('en');
  });

  it('refuse a default that has no catalogue', async () => {
    await expect(loadLanguages({ defaultTag: 'xx', timeZone: 'UTC' })).rejects.toThrow(
      'portal.default_language: there is no catalogue for xx',
    );
  });

  it('print times in the zone of the configuration', () => {
    const english = formatsOf('en', 'Europe/Riga');
    const latvian = formatsOf('lv', 'Europe/Riga');
    expect(english.dateTime(noon)).toBe('22 Nov 2026, 14:05');
    expect(latvian.dateTime(noon)).toBe('2026. gada 22. nov. 14:05');
    expect([english.ago(30_000), english.ago(3 * 60_000), english.ago(50 * 3_600_000)]).toEqual([
      'now',
      '3 minutes ago',
      '2 days ago',
    ]);
    expect([latvian.ago(21 * 60_000), latvian.ago(72 * 3_600_000)]).toEqual([
      'pirms 21 minūtes',
      'pirms 3 dienām',
    ]);
    expect([english.until(1), english.until(100 * 60_000), latvian.until(5 * 60_000)]).toEqual([
      'in 1 minute',
      'in 2 hours',
      'pēc 5 minūtēm',
    ]);
    expect(latvian.list(['IMAP', 'POP3', 'SMTP'])).toBe('IMAP, POP3 un SMTP');
  });
});

describe('the language switch', () => {
  let bed: Bed;
  let browser: Browser;
  beforeEach(async () => {
    bed = await openBed();
    browser = new Browser(bed);
  });
  afterEach(async () => {
    await bed.close();
  });

  it('stands on every page and comes back to it in the other language', async () => {
    const english = await browser.get('/sign-in', { 'accept-language': 'en' });
    expect(english.body).toContain('<html lang="en">');
    expect(english.body).toMatch(/<button[^>]*name="language" value="lv" lang="lv"[^>]*>Latviešu<\/button>/);
    const switched = await browser.post('/language', { language: 'lv', to: '/sign-in' });
    expect([switched.statusCode, switched.headers.location]).toEqual([303, '/sign-in']);
    const latvian = await browser.get('/sign-in', { 'accept-language': 'en' });
    expect(latvian.body).toContain('<html lang="lv">');
    expect(latvian.body).toContain('Pierakstīšanās');
  });

  it('is remembered for the mails to come, once a second factor was shown', async () => {
    const alice = await bed.account('alice@example.com');
    await enroll(bed, alice);
    const first = await bed.sessions.startFirstFactor(alice);
    browser.show(first);
    await browser.post('/language', { language: 'lv', to: '/verify' });
    expect(await accountLanguage(bed.database, alice.id)).toBeNull();
    const full = await bed.sessions.stepUp(first.session);
    if (full === null) throw new Error('the session was gone');
    browser.show(full);
    await browser.post('/language', { language: 'lv', to: '/app-passwords' });
    expect(await accountLanguage(bed.database, alice.id)).toBe('lv');
  });

  it('is no open redirect and takes no language that there is not', async () => {
    for (const to of [
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '/sign-in?x=https://evil.example',
      '/nowhere',
      '',
    ]) {
      const answer = await browser.post('/language', { language: 'lv', to });
      expect([to, answer.headers.location]).toEqual([to, '/']);
    }
    const unknown = await browser.post('/language', { language: '../en', to: '/sign-in' });
    expect(unknown.headers['set-cookie']).toBeUndefined();
  });

  it('S-61: is not switched by a page of somebody else', async () => {
    const answer = await browser.post(
      '/language',
      { language: 'lv', to: '/sign-in' },
      { origin: 'https://evil.example' },
    );
    expect([answer.statusCode, answer.headers['set-cookie']]).toEqual([403, undefined]);
  });

  it('speaks the configured default to a browser that asks for neither', async () => {
    const config = portalConfig();
    const latvian = await openBed({
      config: { ...config, portal: { ...config.portal, defaultLanguage: 'lv' } },
    });
    const page = await new Browser(latvian).get('/nowhere', { 'accept-language': 'de' });
    expect(page.body).toContain('Šādas lapas nav');
    await latvian.close();
  });
});

/** Each leaf as `path: kind`, functions with their number of values. */
function shapeOf(texts: object): readonly string[] {
  return leavesOf(texts).map(([path, leaf]) =>
    typeof leaf === 'function'
      ? `${path}(${leaf.length})`
      : `${path}: ${leaf === '' ? 'empty' : typeof leaf}`,
  );
}

function leavesOf(texts: object, prefix = ''): readonly (readonly [string, unknown])[] {
  return Object.entries(texts)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .flatMap(([key, value]: [string, unknown]) =>
      typeof value === 'object' && value !== null
        ? leavesOf(value, `${prefix}${key}.`)
        : [[`${prefix}${key}`, value] as const],
    );
}
