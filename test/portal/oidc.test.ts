import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Secret } from '../../src/secret.ts';
import { disableAccount, findAccount } from '../../src/store/accounts.ts';
import { minutes } from '../identity/clock.ts';
import {
  clientSecret,
  ProviderBrowser,
  providerCertificates,
  providerSettings,
  redirectUri,
} from '../identity/oidc-bed.ts';
import { type Persona, startOidcProvider, type TestProvider } from '../support/oidc-provider.ts';
import { type Bed, Browser, openBed, portalConfig } from './bed.ts';

const alice: Persona = { sub: 'a-1', email: 'alice@work.example', email_verified: true };
const withTwoFactors: Persona = { ...alice, amr: ['mfa'] };

describe('sign-in at an identity provider, in the portal', () => {
  let certificates: Awaited<ReturnType<typeof providerCertificates>>;
  let provider: TestProvider;
  let bed: Bed;

  beforeAll(async () => {
    certificates = await providerCertificates();
  });
  afterAll(async () => {
    await certificates.remove();
  });
  beforeEach(async () => {
    provider = await startOidcProvider({
      ...certificates,
      host: 'localhost',
      client: {
        client_id: 'sallyport',
        client_secret: clientSecret,
        redirect_uris: [redirectUri()],
        grant_types: ['authorization_code'],
        response_types: ['code'],
      },
      claims: { groups: ['groups'] },
    });
    const open = { backend: 'office', enrollment: 'open' };
    const config = portalConfig({
      domains: {
        'example.com': { ...open, sign_in: { method: 'imap' } },
        'work.example': { ...open, sign_in: { method: 'oidc', provider: 'work' } },
      },
      oidc: {
        work: providerSettings(provider.issuer, {
          mfa: { amr: ['mfa'] },
          scopes: ['email', 'groups'],
          admin_claim: { name: 'groups', value: 'mail-admins' },
        }),
      },
    });
    bed = await openBed({
      config,
      secrets: {
        oidcProofs: new Map([['work', { kind: 'secret', secret: Secret.fromText(clientSecret) }]]),
        authorities: new Map([['ca.pem', certificates.ca]]),
      },
      now: Date.now,
    });
  });
  afterEach(async () => {
    await bed.close();
    await provider.stop();
  });

  const leave = async (browser: Browser, from = '/oidc/work/start') => {
    const response = await browser.get(from);
    expect(response.statusCode).toBe(303);
    return { response, to: new URL(String(response.headers.location)) };
  };
  /** There, and where the provider sends the browser: a path of ours. */
  const walk = async (to: URL): Promise<string> => {
    const back = await new ProviderBrowser(certificates.ca).walk(to);
    expect(back.href.split('?')[0]).toBe(redirectUri());
    return `${back.pathname}${back.search}`;
  };
  const signIn = async (persona: Persona, browser = new Browser(bed)) => {
    provider.persona = persona;
    const { to } = await leave(browser);
    return { browser, response: await browser.get(await walk(to)) };
  };
  const cookiesOf = (response: { headers: Readonly<Record<string, unknown>> }): string[] =>
    [response.headers['set-cookie'] ?? []].flat().map(String);
  const sessionRows = async () => await bed.database.selectFrom('portal_session').selectAll().execute();

  it('offers the provider beside the password, and by its label', async () => {
    const page = await new Browser(bed).get('/sign-in');
    expect(page.body).toContain('href="/oidc/work/start">Continue with Work account</a>');
    expect(page.body).toContain('name="password"');
    const latvian = await new Browser(bed).get('/sign-in', { 'accept-language': 'lv' });
    expect(latvian.body).toContain('Turpināt ar Work account');
  });

  it('opens a session that has yet to set up a factor, and no more', async () => {
    const { browser, response } = await signIn(alice);
    expect(response.statusCode).toBe(200);
    expect(response.headers.refresh).toBe('0; url=/');
    expect(response.body).toContain('You are signed in');
    const [given] = cookiesOf(response).filter(
      (each) => each.startsWith('__Host-sp-pre=') && !/=;/.test(each),
    );
    expect(given).toMatch(/^__Host-sp-pre=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; Secure; SameSite=Strict$/);
    expect([...browser.cookies.keys()]).toEqual(['__Host-sp-pre']);
    expect((await browser.get('/')).headers.location).toBe('/set-up');
    expect((await browser.get('/app-passwords')).headers.location).toBe('/');
    expect(await sessionRows()).toMatchObject([{ level: 'first-factor', assurance: 'idp', role: null }]);
  });

  it('S-59, S-85: ties the way to one browser by a cookie that survives the return, for one use', async () => {
    const browser = new Browser(bed);
    provider.persona = alice;
    const { response, to } = await leave(browser);
    expect(cookiesOf(response)).toEqual([
      expect.stringMatching(
        /^__Host-sp-oidc=[A-Za-z0-9_-]{43}; Max-Age=600; Path=\/; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ]);
    const back = await walk(to);
    const stranger = new Browser(bed);
    const refused = await stranger.get(back);
    expect(refused.statusCode).toBe(400);
    expect(refused.body).toContain('This sign-in is over');
    expect(stranger.cookies.size).toBe(0);

    expect((await browser.get(back)).statusCode).toBe(200);
    expect(browser.cookies.has('__Host-sp-oidc')).toBe(false);
    const replayed = await browser.get(back);
    expect(replayed.statusCode).toBe(400);
    expect(replayed.body).toContain('href="/"');
  });

  it('S-86: opens a full session where the provider asked for a second factor just now', async () => {
    const { browser, response } = await signIn(withTwoFactors);
    expect(response.statusCode).toBe(303);
    expect(response.headers.location).toBe('/');
    const [given] = cookiesOf(response).filter((each) => each.startsWith('__Host-sp=') && !/=;/.test(each));
    expect(given).toMatch(/^__Host-sp=[A-Za-z0-9_-]{43}; Path=\/; HttpOnly; Secure; SameSite=Lax$/);
    expect((await browser.get('/app-passwords/new')).statusCode).toBe(200);
    expect(await sessionRows()).toMatchObject([{ level: 'full', assurance: 'idp-mfa' }]);
  });

  it('S-68: asks the provider again after five minutes, for that page and in that session only', async () => {
    await signIn(withTwoFactors);
    const account = await findAccount(bed.database, bed.guard, 'alice@work.example');
    if (account === null) throw new Error('no account');
    const browser = new Browser(bed);
    browser.show(await bed.sessions.startFull(account, Date.now() - 5 * minutes, null));
    const before = browser.cookies.get('__Host-sp') ?? '';
    expect((await browser.get('/app-passwords/new')).headers.location).toBe('/confirm/create');
    const page = await browser.get('/confirm/create');
    expect(page.body).toContain('href="/oidc/work/confirm/create">Confirm with Work account</a>');
    expect(page.body).not.toContain('name="code"');

    const { to } = await leave(browser, '/oidc/work/confirm/create');
    expect(to.searchParams.get('max_age')).toBe('0');
    const done = await browser.get(await walk(to));
    expect(done.headers.location).toBe('/app-passwords/new');
    expect(browser.cookies.get('__Host-sp')).not.toBe(before);
    expect((await browser.get('/app-passwords/new')).statusCode).toBe(200);
    browser.cookies.set('__Host-sp', before);
    expect((await browser.get('/app-passwords')).statusCode).toBe(401);
  });

  it('S-68: takes no confirmation of one factor, of another person, or for another session', async () => {
    const { browser } = await signIn(withTwoFactors);
    provider.persona = alice;
    const single = await browser.get(await walk((await leave(browser, '/oidc/work/confirm/create')).to));
    expect(single.statusCode).toBe(403);
    expect(single.body).toContain('It was not confirmed that it is you');
    expect(single.body).toContain('href="/app-passwords/new"');

    provider.persona = { ...withTwoFactors, sub: 'b-2', email: 'bob@work.example' };
    const other = await browser.get(await walk((await leave(browser, '/oidc/work/confirm/create')).to));
    expect(other.statusCode).toBe(403);

    provider.persona = withTwoFactors;
    const back = await walk((await leave(browser, '/oidc/work/confirm/create')).to);
    const { browser: second } = await signIn(withTwoFactors);
    browser.cookies.set('__Host-sp', second.cookies.get('__Host-sp') ?? '');
    expect((await browser.get(back)).statusCode).toBe(400);
    const accounts = await bed.database.selectFrom('account').select('address').execute();
    expect(accounts).toEqual([{ address: 'alice@work.example' }]);
  });

  it('confirms for no page but those that wait for a factor, and at no other provider', async () => {
    const { browser } = await signIn(withTwoFactors);
    for (const path of ['work/confirm/elsewhere', 'work/confirm/%2F%2Fevil.example', 'none/confirm/create']) {
      expect((await browser.get(`/oidc/${path}`)).statusCode).toBe(404);
    }
    const password = new Browser(bed);
    const first = await bed.sessions.startFirstFactor(await bed.account('carol@example.com'));
    const full = await bed.sessions.stepUp(first.session);
    if (full === null) throw new Error('the session was gone');
    password.show(full);
    expect((await password.get('/oidc/work/confirm/create')).statusCode).toBe(404);
  });

  it('keeps the administrator’s role through a factor of our own, and lets SQL give it to nobody', async () => {
    await signIn({ ...alice, groups: ['mail-admins'] });
    expect(await sessionRows()).toMatchObject([{ level: 'first-factor', role: 'administrator' }]);
    const account = await findAccount(bed.database, bed.guard, 'alice@work.example');
    if (account === null) throw new Error('no account');
    const first = await bed.sessions.startFirstFactor(account, 'idp', null, 'administrator');
    const opened = await bed.sessions.open(first.session, 'gate');
    const full = opened === null ? null : await bed.sessions.stepUp(opened.session);
    expect(await bed.sessions.find('full', full?.token ?? '')).toMatchObject({ role: 'administrator' });

    const { browser } = await signIn(withTwoFactors);
    expect((await browser.get('/app-passwords')).statusCode).toBe(200);
    await bed.database
      .updateTable('portal_session')
      .set({ role: 'administrator' } as never)
      .execute();
    const forged = await browser.get('/app-passwords');
    expect(forged.statusCode).toBe(503);
    expect(bed.log.join('')).toContain('"event":"integrity-alarm"');
  });

  it('shows people of its domains the way, and checks no password of theirs', async () => {
    // The backend of this test answers nobody: had it been asked, the page would say that it cannot check.
    for (const address of ['alice@work.example', 'Nobody@WORK.example']) {
      const browser = new Browser(bed);
      const page = await browser.post('/sign-in', { address, password: 'Work password 7' });
      expect(page.statusCode).toBe(200);
      expect(page.body).toContain('Sign in with Work account');
      expect(page.body).toContain('href="/oidc/work/start"');
      expect(page.body).not.toContain('Work password 7');
      expect(browser.cookies.size).toBe(0);
    }
    const bare = await new Browser(bed).post('/sign-in', { address: 'alice@work.example', password: '' });
    expect(bare.body).toContain('href="/oidc/work/start"');
    expect(bed.log.join('')).not.toContain('Work password');
    const typed = Secret.fromText('Work password 7');
    const peer = { address: '203.0.113.7', network: '203.0.113.7/32' };
    expect(await bed.signIn.signIn('alice@work.example', typed, peer)).toEqual({ kind: 'wrong' });
    const others = await new Browser(bed).post('/sign-in', { address: 'alice@example.com', password: 'x' });
    expect(others.statusCode).toBe(503);
  });

  it('ends the session that was there before', async () => {
    const { browser } = await signIn(alice);
    const first = browser.cookies.get('__Host-sp-pre') ?? '';
    // A browser that comes from the provider may still carry it.
    const again = new Browser(bed);
    provider.persona = withTwoFactors;
    const { to } = await leave(again);
    again.cookies.set('__Host-sp-pre', first);
    expect((await again.get(await walk(to))).statusCode).toBe(303);
    expect(await sessionRows()).toHaveLength(1);
    expect((await browser.get('/set-up')).statusCode).toBe(401);
  });

  it('has a plain page with a way on for whatever goes wrong, in both languages', async () => {
    const cases: readonly (readonly [
      string,
      string,
      number,
      () => Promise<{ path: string; browser: Browser }>,
    ])[] = [
      [
        'You were not signed in',
        'Pierakstīšanās nenotika',
        403,
        async () => {
          const browser = new Browser(bed);
          provider.persona = { ...alice, denies: true };
          return { browser, path: await walk((await leave(browser)).to) };
        },
      ],
      [
        'This sign-in is over',
        'Šī pierakstīšanās vairs nav derīga',
        400,
        async () => ({ browser: new Browser(bed), path: '/oidc/work/callback?code=c&state=s' }),
      ],
      [
        'The sign-in could not be accepted',
        'Pierakstīšanos nevarēja pieņemt',
        400,
        async () => {
          const browser = new Browser(bed);
          provider.persona = alice;
          return { browser, path: (await walk((await leave(browser)).to)).replace('state=', 'state=x') };
        },
      ],
      [
        'No mailbox here belongs to this sign-in',
        'Šim kontam šeit nav pastkastes',
        403,
        async () => {
          const browser = new Browser(bed);
          provider.persona = { ...alice, email_verified: false };
          return { browser, path: await walk((await leave(browser)).to) };
        },
      ],
    ];
    for (const [english, latvian, status, prepare] of cases) {
      for (const [language, heading] of [
        ['en', english],
        ['lv', latvian],
      ] as const) {
        const { browser, path } = await prepare();
        const page = await browser.get(path, { 'accept-language': language });
        expect(page.statusCode).toBe(status);
        expect(page.body).toContain(`<h1>${heading}</h1>`);
        expect(page.body).toContain('<a class="button main" href="/">');
        expect(page.headers['cache-control']).toBe('no-store');
        expect([...browser.cookies.keys()]).toEqual([]);
      }
    }
  });

  it('says that it cannot check while the provider is down, and signs others in meanwhile', async () => {
    await provider.stop();
    const [page, latvian] = [
      await new Browser(bed).get('/oidc/work/start'),
      await new Browser(bed).get('/oidc/work/start', { 'accept-language': 'lv' }),
    ];
    expect(page.statusCode).toBe(503);
    expect(page.body).toContain('We cannot check with Work account right now');
    expect(page.body).toContain('It has nothing to do with your account or your password.');
    expect(latvian.body).toContain('Pašlaik nevaram sazināties ar pakalpojumu „Work account”');
    expect((await new Browser(bed).get('/sign-in')).statusCode).toBe(200);
    provider = await startOidcProvider({
      ...certificates,
      host: 'localhost',
      client: { client_id: 'unused', redirect_uris: [redirectUri()], client_secret: clientSecret },
    });
  });

  it('tells a disabled person nothing that it does not tell a stranger', async () => {
    await signIn(alice);
    const account = await findAccount(bed.database, bed.guard, 'alice@work.example');
    await disableAccount(bed.database, bed.guard, account?.id ?? Buffer.alloc(0), bed.clock.now());
    const disabled = await signIn(alice);
    const stranger = await signIn({ ...alice, sub: 'c-3', email: 'c@elsewhere.example' });
    expect(disabled.response.statusCode).toBe(403);
    expect(disabled.response.body).toBe(stranger.response.body);
  });

  it('sends the browser to the provider and to paths of its own, whatever the address says', async () => {
    const elsewhere = 'to=https://evil.example&redirect_uri=https://evil.example&next=//evil.example';
    const browser = new Browser(bed);
    const { to } = await leave(browser, `/oidc/work/start?${elsewhere}`);
    expect(to.origin).toBe(provider.issuer);
    expect(to.searchParams.getAll('redirect_uri')).toEqual([redirectUri()]);
    expect(to.href).not.toContain('evil.example');
    provider.persona = withTwoFactors;
    const back = await browser.get(`${await walk(to)}&${elsewhere}`);
    expect(back.headers.location).toBe('/');
    for (const path of [
      '/oidc/https:%2F%2Fevil.example/start',
      '/oidc/..%2F..%2Fevil/start',
      '/oidc//start',
    ]) {
      expect((await new Browser(bed).get(path)).statusCode).toBe(404);
    }
    const spoofed = await new Browser(bed).get('/oidc/work/start', { 'x-forwarded-host': 'evil.example' });
    expect(String(spoofed.headers.location)).not.toContain('evil.example');
  });

  it('S-91: writes no code, state, token or cookie into the log', async () => {
    const browser = new Browser(bed);
    provider.persona = alice;
    const { to } = await leave(browser);
    const cookie = browser.cookies.get('__Host-sp-oidc') ?? '';
    const path = await walk(to);
    await browser.get(path);
    const log = bed.log.join('');
    expect(log).toContain('"method":"oidc","outcome":"signed-in"');
    for (const secret of [cookie, clientSecret, ...new URLSearchParams(path.split('?')[1]).values()]) {
      if (secret !== provider.issuer) expect(log).not.toContain(secret);
    }
  });
});
