import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { createAccount, disableAccount } from '../../src/store/accounts.ts';
import { linkIdentity } from '../../src/store/identity-links.ts';
import { type Persona, startOidcProvider, type TestProvider } from '../support/oidc-provider.ts';
import { minutes, seconds } from './clock.ts';
import {
  clientSecret,
  type OidcBed,
  oidcConfig,
  openOidcBed,
  ProviderBrowser,
  providerCertificates,
  providerSettings,
  redirectUri,
} from './oidc-bed.ts';

const client = {
  client_id: 'sallyport',
  client_secret: clientSecret,
  redirect_uris: [redirectUri()],
  grant_types: ['authorization_code'],
  response_types: ['code' as const],
};
const alice: Persona = { sub: 'a-1', email: 'alice@example.com', email_verified: true };

describe('sign-in with oidc-provider', () => {
  let certificates: Awaited<ReturnType<typeof providerCertificates>>;
  let provider: TestProvider;
  let bed: OidcBed;
  let other: TestProvider | null = null;

  const start = async (
    changes: Readonly<Record<string, unknown>> = {},
    domains: Readonly<Record<string, unknown>> = {},
  ): Promise<OidcBed> => {
    await bed?.close();
    bed = await openOidcBed({
      config: oidcConfig({ work: providerSettings(provider.issuer, changes) }, domains),
      ca: certificates.ca,
    });
    return bed;
  };
  /** All of it, in one browser; answers the result and what came back. */
  const signIn = async (persona: Persona, browser = new ProviderBrowser(certificates.ca)) => {
    provider.persona = persona;
    const begun = await bed.begin();
    const back = await browser.walk(begun.to);
    return { begun, back, result: await bed.finish({ token: begun.token, parameters: back.searchParams }) };
  };

  beforeAll(async () => {
    certificates = await providerCertificates();
    provider = await startOidcProvider({
      ...certificates,
      host: 'localhost',
      client,
      claims: { groups: ['groups'] },
    });
  });
  beforeEach(async () => {
    await start();
  });
  afterEach(async () => {
    await other?.stop();
    other = null;
  });
  afterAll(async () => {
    await bed.close();
    await provider.stop();
    await certificates.remove();
  });

  it('makes and links the account at the first sign-in, and finds it by the link at the second', async () => {
    const { result, back } = await signIn(alice);
    expect(back.href.split('?')[0]).toBe(redirectUri());
    expect(result).toMatchObject({
      kind: 'signed-in',
      account: { address: 'alice@example.com' },
      factor: null,
      isAdministrator: false,
    });
    expect(await bed.links()).toMatchObject([
      { issuer: provider.issuer, subject: 'a-1', created_by: 'email-claim' },
    ]);

    // The address may change there: the person stays who she is (S-87).
    const renamed = await signIn({ ...alice, email: 'someone.else@example.com' });
    expect(renamed.result).toMatchObject({ kind: 'signed-in', account: { address: 'alice@example.com' } });
    expect(await bed.accounts()).toEqual(['alice@example.com']);
    const audit = await bed.database.selectFrom('audit_entry').selectAll().execute();
    expect(audit.map(({ action }) => action)).toEqual(['audit.opened', 'account.created', 'identity.linked']);
  });

  it('S-85: asks with state, nonce and PKCE S256, each of 256 random bits and new every time', async () => {
    const [first, second] = [(await bed.begin()).to.searchParams, (await bed.begin()).to.searchParams];
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(Buffer.from(first.get(name) ?? '', 'base64url')).toHaveLength(32);
      expect(second.get(name)).not.toBe(first.get(name));
    }
    expect(Object.fromEntries(first)).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      redirect_uri: redirectUri(),
      scope: 'openid email',
      client_id: 'sallyport',
    });
  });

  it('S-85: keeps neither cookie nor verifier in clear', async () => {
    const { token, to } = await bed.begin();
    const row = await bed.database.selectFrom('oidc_transaction').selectAll().executeTakeFirstOrThrow();
    const text = Object.values(row).map((value) =>
      Buffer.isBuffer(value) ? value.toString('base64url') : `${value}`,
    );
    expect(text.join(' ')).not.toContain(token);
    expect(text.join(' ')).not.toContain(to.searchParams.get('state'));
    expect(text.join(' ')).not.toContain(to.searchParams.get('nonce'));
  });

  it('S-85: takes a return once, and one of two at once', async () => {
    const { begun, back, result } = await signIn(alice);
    expect(result.kind).toBe('signed-in');
    expect(await bed.finish({ token: begun.token, parameters: back.searchParams })).toEqual({
      kind: 'expired',
    });

    const next = await bed.begin();
    const parameters = (await new ProviderBrowser(certificates.ca).walk(next.to)).searchParams;
    const both = await Promise.all([
      bed.finish({ token: next.token, parameters }),
      bed.finish({ token: next.token, parameters }),
    ]);
    expect(both.map(({ kind }) => kind).toSorted()).toEqual(['expired', 'signed-in']);
  });

  it('S-85: takes no return without its cookie, or with the one of another browser', async () => {
    provider.persona = alice;
    const [mine, other] = [await bed.begin(), await bed.begin()];
    const parameters = (await new ProviderBrowser(certificates.ca).walk(mine.to)).searchParams;
    for (const token of [undefined, '', 'x'.repeat(43), `${mine.token}=`]) {
      expect(await bed.finish({ token, parameters })).toEqual({ kind: 'expired' });
    }
    expect(await bed.finish({ token: other.token, parameters })).toEqual({ kind: 'refused' });
    // The code is worth nothing to the other one, and the right browser can still use it.
    expect(await bed.finish({ token: mine.token, parameters })).toMatchObject({ kind: 'signed-in' });
  });

  it.each(['state', 'code', 'iss'])('S-85: takes no return without %s', async (name) => {
    provider.persona = alice;
    const begun = await bed.begin();
    const parameters = new URLSearchParams(
      (await new ProviderBrowser(certificates.ca).walk(begun.to)).searchParams,
    );
    expect(parameters.has(name)).toBe(true);
    parameters.delete(name);
    const result = await bed.finish({ token: begun.token, parameters });
    expect(result.kind).toMatch(/^(?:refused|unavailable)$/);
    expect(await bed.accounts()).toEqual([]);
  });

  it.each(['state', 'code', 'iss'])('S-85: takes no return with another %s', async (name) => {
    provider.persona = alice;
    const begun = await bed.begin();
    const parameters = new URLSearchParams(
      (await new ProviderBrowser(certificates.ca).walk(begun.to)).searchParams,
    );
    parameters.set(name, 'https://elsewhere.example');
    expect(await bed.finish({ token: begun.token, parameters })).toEqual({ kind: 'refused' });
  });

  it('S-85: the provider gives no token for a code that another verifier is shown with', async () => {
    provider.persona = alice;
    const begun = await bed.begin();
    const url = new URL(begun.to);
    // As if the code had been got by another client of the same name, who knows no verifier of ours.
    url.searchParams.set('code_challenge', Buffer.alloc(32, 7).toString('base64url'));
    const { searchParams } = await new ProviderBrowser(certificates.ca).walk(url);
    expect(await bed.finish({ token: begun.token, parameters: searchParams })).toEqual({ kind: 'refused' });
    expect(bed.log.join('')).toContain('invalid_grant');
  });

  it('S-85: takes no ID token of another nonce', async () => {
    provider.persona = alice;
    const begun = await bed.begin();
    const url = new URL(begun.to);
    url.searchParams.set('nonce', 'another');
    const { searchParams } = await new ProviderBrowser(certificates.ca).walk(url);
    expect(await bed.finish({ token: begun.token, parameters: searchParams })).toEqual({ kind: 'refused' });
  });

  it('S-85: is over after ten minutes, whatever SQL says of its age', async () => {
    provider.persona = alice;
    const begun = await bed.begin();
    const { searchParams } = await new ProviderBrowser(certificates.ca).walk(begun.to);
    bed.advance(10 * minutes);
    await bed.database
      .updateTable('oidc_transaction')
      .set({ created_at: bed.now() } as never)
      .execute();
    expect(await bed.finish({ token: begun.token, parameters: searchParams })).toEqual({ kind: 'expired' });
    await bed.begin();
    bed.advance(10 * minutes);
    await bed.begin();
    expect(await bed.database.selectFrom('oidc_transaction').selectAll().execute()).toHaveLength(1);
  });

  it('says that the person was refused there, or did not want to', async () => {
    const { result } = await signIn({ sub: 'a-1', denies: true });
    expect(result).toEqual({ kind: 'denied' });
  });

  describe('S-86: a second factor of the provider', () => {
    const mfa = { acr: ['urn:two-factors'], amr: ['mfa'] };

    it.each<[string, Persona]>([
      ['amr', { ...alice, amr: ['pwd', 'mfa'] }],
      ['acr', { ...alice, acr: 'urn:two-factors' }],
    ])('counts by a configured %s, since the moment the provider names', async (_name, persona) => {
      await start({ mfa });
      const { result } = await signIn(persona);
      if (result.kind !== 'signed-in') throw new Error(result.kind);
      expect(Math.abs(bed.now() - (result.factor?.at ?? 0))).toBeLessThan(30 * seconds);
    });

    it.each<[string, Persona]>([
      ['neither', alice],
      ['an amr that contains it', { ...alice, amr: ['mfa2', 'MFA'] }],
      ['another acr', { ...alice, acr: 'urn:two-factors:not' }],
    ])('does not count by %s', async (_name, persona) => {
      await start({ mfa });
      expect((await signIn(persona)).result).toMatchObject({ kind: 'signed-in', factor: null });
    });

    it('does not count where none was configured, or where app passwords are not for the domain', async () => {
      expect((await signIn({ ...alice, amr: ['mfa'] })).result).toMatchObject({ factor: null });
      await start({ mfa }, { 'example.com': { mfa: 'off' } });
      expect((await signIn({ ...alice, amr: ['mfa'] })).result).toMatchObject({ factor: null });
    });

    it('is asked for by its acr values, and not older than a session', async () => {
      await start({ mfa });
      const { searchParams } = (await bed.begin()).to;
      expect(searchParams.get('acr_values')).toBe('urn:two-factors');
      expect(searchParams.get('max_age')).toBe('28800');
    });
  });

  it('takes an administrator by the exact claim, alone or in a list', async () => {
    const settings = { admin_claim: { name: 'groups', value: 'mail-admins' }, scopes: ['email', 'groups'] };
    await start(settings);
    const isAdministrator = async (groups: unknown) => {
      const { result } = await signIn({ ...alice, groups: groups as string[] });
      if (result.kind !== 'signed-in') throw new Error(result.kind);
      return result.isAdministrator;
    };
    expect(await isAdministrator(['staff', 'mail-admins'])).toBe(true);
    expect(await isAdministrator('mail-admins')).toBe(true);
    expect(await isAdministrator(['mail-admins-of-another'])).toBe(false);
    expect(await isAdministrator({ 'mail-admins': true })).toBe(false);
    expect(await isAdministrator(undefined)).toBe(false);
  });

  describe('S-87: the first link', () => {
    const expectNobody = async (persona: Persona, because: string) => {
      expect((await signIn(persona)).result).toEqual({ kind: 'no-account' });
      expect(await bed.links()).toEqual([]);
      expect(bed.log.join('')).toContain(because);
      // What an operator needs to link her.
      expect(bed.log.join('')).toContain(`"subject":"${persona.sub}"`);
    };

    it.each<[string, Persona, string]>([
      ['an unverified address', { ...alice, email_verified: false }, 'no verified e-mail claim'],
      [
        'an address that is said to be verified by text',
        { ...alice, email_verified: 'true' as never },
        'no verified',
      ],
      ['no address', { sub: 'a-1' }, 'no verified e-mail claim'],
      ['an address elsewhere', { ...alice, email: 'alice@elsewhere.example' }, 'no domain of this provider'],
      ['a name without a domain', { ...alice, email: 'alice' }, 'no verified e-mail claim'],
      ['the gateway’s own backend user', { ...alice, email: 'gateway@example.com' }, 'nobody opens'],
    ])('is not made by %s', async (_name, persona, because) => {
      await expectNobody(persona, because);
      expect(await bed.accounts()).toEqual([]);
    });

    it('is not made by an address of a domain that signs in otherwise', async () => {
      await start({}, { 'other.example': { sign_in: { method: 'imap' } } });
      await expectNobody({ ...alice, email: 'alice@other.example' }, 'no domain of this provider');
    });

    it('is not made by anybody’s claim of a directory of many organizations, but by the operator', async () => {
      await start({ single_tenant: false });
      await expectNobody(alice, 'not linked');
      const { account } = await createAccount(bed.database, bed.guard, 'alice@example.com', bed.now());
      const identity = { issuer: provider.issuer, subject: 'a-1' };
      const made = { at: bed.now(), by: 'operator' } as const;
      expect(await linkIdentity(bed.database, bed.guard, account.id, identity, made)).toBe(true);
      expect((await signIn(alice)).result).toMatchObject({ kind: 'signed-in' });
      expect((await signIn({ ...alice, sub: 'of another tenant' })).result).toEqual({ kind: 'no-account' });
    });

    it('is not made to an account that somebody else of the provider is linked to', async () => {
      expect((await signIn(alice)).result.kind).toBe('signed-in');
      const heir = { ...alice, sub: 'a-2' };
      expect((await signIn(heir)).result).toEqual({ kind: 'no-account' });
      expect(await bed.links()).toHaveLength(1);
    });

    it('is made once by two first sign-ins of one person at once', async () => {
      provider.persona = alice;
      const begun = await Promise.all([bed.begin(), bed.begin()]);
      const backs = await Promise.all(begun.map(({ to }) => new ProviderBrowser(certificates.ca).walk(to)));
      const results = await Promise.all(
        begun.map(({ token }, index) =>
          bed.finish({ token, parameters: backs[index]?.searchParams ?? new URLSearchParams() }),
        ),
      );
      expect(results.map(({ kind }) => kind)).toEqual(['signed-in', 'signed-in']);
      expect(await bed.links()).toHaveLength(1);
    });
  });

  it('opens neither a disabled account nor one whose domain signs in otherwise by now', async () => {
    const { result } = await signIn(alice);
    if (result.kind !== 'signed-in') throw new Error(result.kind);
    await disableAccount(bed.database, bed.guard, result.account.id, bed.now());
    expect((await signIn(alice)).result).toEqual({ kind: 'no-account' });

    await start(
      { domains: ['other.example'] },
      {
        'example.com': { sign_in: { method: 'imap' } },
        'other.example': {},
      },
    );
    const { account } = await createAccount(bed.database, bed.guard, 'alice@example.com', bed.now());
    const identity = { issuer: provider.issuer, subject: 'a-1' };
    await linkIdentity(bed.database, bed.guard, account.id, identity, { at: bed.now(), by: 'operator' });
    expect((await signIn(alice)).result).toEqual({ kind: 'no-account' });
  });

  it('S-34: a link that SQL was made to hold opens nothing', async () => {
    await signIn(alice);
    const { account } = await createAccount(bed.database, bed.guard, 'boss@example.com', bed.now());
    await bed.database
      .updateTable('identity_link')
      .set({ account_id: account.id } as never)
      .execute();
    await expect(signIn(alice)).rejects.toThrow('identity_link is not as the gateway wrote it');
  });

  it('S-88: takes an answer of one provider at no other', async () => {
    await bed.close();
    other = await startOidcProvider({
      ...certificates,
      host: 'localhost',
      client: { ...client, redirect_uris: [redirectUri('other')] },
    });
    bed = await openOidcBed({
      config: oidcConfig({ work: providerSettings(provider.issuer), other: providerSettings(other.issuer) }),
      ca: certificates.ca,
    });
    provider.persona = alice;
    const browser = new ProviderBrowser(certificates.ca);
    const begun = await bed.begin();
    const { searchParams } = await browser.walk(begun.to);
    const here = { token: begun.token, parameters: searchParams };
    expect(await bed.finish(here, 'other')).toEqual({ kind: 'refused' });
    expect(other.requests.filter((path) => path === '/token')).toEqual([]);

    // Mix-up: begun with the other one, answered by this one, with that one's state.
    const mixed = await bed.begin('other');
    const parameters = new URLSearchParams(searchParams);
    parameters.set('state', mixed.to.searchParams.get('state') ?? '');
    expect(await bed.finish({ token: mixed.token, parameters }, 'other')).toEqual({ kind: 'refused' });
    expect(other.requests.filter((path) => path === '/token')).toEqual([]);
    expect(begun.to.searchParams.get('redirect_uri')).not.toBe(mixed.to.searchParams.get('redirect_uri'));
  });

  it('knows no provider that is not configured', async () => {
    expect(await bed.oidc.begin('__proto__', { kind: 'sign-in' })).toEqual({ kind: 'unknown' });
    expect(await bed.finish({ token: undefined, parameters: new URLSearchParams() }, 'toString')).toEqual({
      kind: 'unknown',
    });
  });

  it('S-91: writes neither code, token, verifier nor secret into the log', async () => {
    const { begun, back } = await signIn(alice);
    const log = bed.log.join('');
    expect(log).toContain('"outcome":"signed-in"');
    for (const secret of [clientSecret, begun.token, ...back.searchParams.values()]) {
      if (secret !== provider.issuer) expect(log).not.toContain(secret);
    }
  });
});

describe('what providers ask of the gateway', () => {
  let certificates: Awaited<ReturnType<typeof providerCertificates>>;
  const closers: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    certificates = await providerCertificates();
  });
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  afterAll(async () => {
    await certificates.remove();
  });

  const signIn = async (options: Omit<Parameters<typeof startOidcProvider>[0], 'cert' | 'key' | 'host'>) => {
    const provider = await startOidcProvider({ ...certificates, host: 'localhost', ...options });
    closers.push(provider.stop);
    const config = oidcConfig({ work: providerSettings(provider.issuer) });
    const bed = await openOidcBed({ config, ca: certificates.ca });
    closers.push(bed.close);
    provider.persona = alice;
    const begun = await bed.begin();
    const { searchParams } = await new ProviderBrowser(certificates.ca).walk(begun.to);
    return { provider, result: await bed.finish({ token: begun.token, parameters: searchParams }) };
  };

  it('its secret in the body, where nothing else is taken', async () => {
    const { result } = await signIn({
      client: { ...client, token_endpoint_auth_method: 'client_secret_post' },
      clientAuthMethods: ['client_secret_post'],
    });
    expect(result).toMatchObject({ kind: 'signed-in' });
  });

  it('to look into the user info, where the ID token leaves the address out', async () => {
    const { result, provider } = await signIn({ client, claimsInToken: false });
    expect(result).toMatchObject({ kind: 'signed-in', account: { address: 'alice@example.com' } });
    expect(provider.requests).toContain('/me');
  });
});
