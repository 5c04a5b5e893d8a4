import { beforeAll, describe, expect, it } from '@jest/globals';
import { loadAssets } from '../../../src/portal/assets.ts';
import { guideNames } from '../../../src/portal/client-setup/guide-texts.ts';
import { guideView, offeredGuides } from '../../../src/portal/client-setup/guides.ts';
import { mailSettings } from '../../../src/portal/client-setup/mail-settings.ts';
import { formatsOf, type Language, Languages } from '../../../src/portal/language.ts';
import { texts as english } from '../../../src/portal/locales/en.ts';
import { texts as latvian } from '../../../src/portal/locales/lv.ts';
import { helpRoutes } from '../../../src/portal/routes/help.ts';
import { titleOf, Views } from '../../../src/portal/views.ts';
import { documentsConfig } from './documents.ts';

const settings = mailSettings(documentsConfig());
const user = 'anna@example.com';

describe.each([
  ['English', english],
  ['Latvian', latvian],
])('the guides in %s', (_, texts) => {
  it.each(guideNames)('say all there is to say of %s', (name) => {
    const guide = guideView(name, settings, user, texts);
    if (guide === null) throw new Error('there is none');
    const steps = guide.parts.flatMap((part) => part.steps);
    expect(steps.length).toBeGreaterThan(1);
    expect(guide.trouble.length).toBeGreaterThan(2);
    expect(guide.replace.length).toBeGreaterThan(2);
    const fields = steps.flatMap(({ window }) => window?.fields ?? []);
    const codes = steps.flatMap(({ code }) => code ?? []);
    const shown = [...fields.map(({ value }) => value), ...codes].join('\n');
    expect(shown).toContain('mail.example.com');
    expect(shown).toContain(user);
    expect(shown).toContain('465');
    if (name !== 'scanner-printer') expect(shown).toContain('993');
    // The other kind of port is told apart from the steps.
    expect(shown).not.toMatch(/143|587/);
    expect(guide.otherPorts.map(({ service }) => service.port)).toEqual(
      name === 'scanner-printer' ? [587] : [143, 587],
    );
  });
});

describe('the guides', () => {
  it('have the same windows in both languages', () => {
    const shape = (texts: typeof english) =>
      guideNames.map((name) =>
        guideView(name, settings, user, texts)?.parts.map(({ steps }) =>
          steps.map(({ window, code }) => window?.title ?? code),
        ),
      );
    expect(shape(latvian)).toEqual(shape(english));
  });

  it('say STARTTLS only where it is offered, and then with its ports', () => {
    const clear = mailSettings(
      documentsConfig({
        listen: [
          { door: 'imap', port: 143, tls: 'starttls' },
          { door: 'smtp', port: 587, tls: 'starttls' },
        ],
      }),
    );
    for (const name of guideNames) {
      const secure = JSON.stringify(
        guideView(
          name,
          { ...settings, imap: [settings.imap[0] as never], smtp: [settings.smtp[0] as never] },
          user,
          english,
        )?.parts,
      );
      expect(secure).not.toMatch(/STARTTLS|starttls\(/);
      const other = JSON.stringify(guideView(name, clear, user, english)?.parts);
      expect(other).toContain('587');
      expect(other).not.toMatch(/\b(?:993|465)\b/);
    }
  });

  it('are only those that can be followed', () => {
    const sending = { ...settings, imap: [] };
    expect(offeredGuides(sending)).toEqual(['scanner-printer']);
    expect(guideView('thunderbird', sending, user, english)).toBeNull();
    expect(offeredGuides({ ...settings, smtp: [] })).toEqual([]);
    expect(guideView('constructor', settings, user, english)).toBeNull();
  });

  it('warn that new Outlooks take the password to a cloud', () => {
    for (const name of [
      'outlook-2016-windows',
      'outlook-2016-mac',
      'iphone-ipad',
      'android',
      'other',
    ] as const) {
      expect(guideView(name, settings, user, english)?.warning).toContain('Microsoft');
      expect(guideView(name, settings, user, latvian)?.warning).toContain('Microsoft');
    }
  });
});

describe('the pages', () => {
  const languageOf = (tag: string, texts: typeof english): Language => ({
    tag,
    texts,
    formats: formatsOf(tag, 'UTC'),
  });
  const languages = new Languages([languageOf('en', english), languageOf('lv', latvian)], 'en');
  let views: Views;
  beforeAll(() => {
    views = new Views({ assets: loadAssets(), languages, host: 'mail.example.com' });
  });

  /** As the route answers, rendered. */
  const htmlOf = async (path: string, language: Language, session: object): Promise<string> => {
    const route = helpRoutes({ settings }).find((each) => each.path === path);
    if (route === undefined) throw new Error(path);
    expect(route.level).toBe('anyone');
    const answer = await route.handle({ session, language } as never);
    if (answer.kind !== 'page') throw new Error(answer.kind);
    return views.render(answer.page, {
      language,
      title: titleOf(answer.page, language.texts),
      address: null,
      csrf: null,
      level: 'anonymous',
      navigation: [],
      help: null,
      end: null,
      path,
    });
  };
  const anonymous = { level: 'anonymous', ended: false };
  const signedIn = { level: 'full', account: { address: user } };
  const paths = ['/help', ...guideNames.map((name) => `/help/${name}`)];

  it.each(paths)('%s are whole in each language, with one heading of the first level', async (path) => {
    for (const language of languages.all) {
      const html = await htmlOf(path, language, anonymous);
      expect(html.match(/<h1/g)).toHaveLength(1);
      expect(html).not.toMatch(/undefined|\[object|NaN|=&gt;/);
      const ids = [...html.matchAll(/ id="([^"]+)"/g)].map((match) => match[1]);
      expect(new Set(ids).size).toBe(ids.length);
      for (const [, source] of html.matchAll(/data-copy="([^"]+)"/g)) expect(ids).toContain(source);
    }
  });

  it('show the own address to whoever is signed in, ready to copy, and words for it to all others', async () => {
    const [english] = languages.all;
    const own = await htmlOf('/help/outlook-2016-windows', english, signedIn);
    const others = await htmlOf('/help/outlook-2016-windows', english, anonymous);
    expect(own).toMatch(/<span id="step-0-2-1">anna@example\.com<\/span> <span class="copy-row"><button/);
    expect(others).not.toContain('anna@example.com');
    expect(others).toContain('your full e-mail address');
    expect(others).not.toMatch(/<span class="unseen">User Name/);
  });

  it('lists every port that is offered, the best first', async () => {
    const html = await htmlOf('/help', languages.all[0], anonymous);
    const lines = [...html.matchAll(/mail\.example\.com, port (\d+), ([A-Z/]+)/g)].map((match) =>
      match.slice(1),
    );
    expect(lines).toEqual([
      ['993', 'SSL/TLS'],
      ['143', 'STARTTLS'],
      ['995', 'SSL/TLS'],
      ['465', 'SSL/TLS'],
      ['587', 'STARTTLS'],
    ]);
  });
});
