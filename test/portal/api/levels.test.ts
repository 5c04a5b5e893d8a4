import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Account } from '../../../src/store/schema.ts';
import { minutes } from '../../identity/clock.ts';
import { ApiClient } from '../api-client.ts';
import { Contract } from '../api-document.ts';
import { type Bed, Browser, enroll, openBed, portalConfig } from '../bed.ts';
import { issue, OpenSessions } from '../own-session.ts';

const levels = ['anonymous', 'first-factor', 'enrolling', 'full', 'stepped-up'] as const;
type Level = (typeof levels)[number];
/** A status, or the code of a problem. */
type Outcome = number | string;
type Outcomes = readonly [Outcome, Outcome, Outcome, Outcome, Outcome];

const everybody = (outcome: Outcome): Outcomes => [outcome, outcome, outcome, outcome, outcome];
const full = (outcome: Outcome): Outcomes => [
  'not-signed-in',
  'second-factor-needed',
  'second-factor-needed',
  outcome,
  outcome,
];
const steppedUp = (outcome: Outcome): Outcomes => [
  'not-signed-in',
  'second-factor-needed',
  'second-factor-needed',
  'fresh-factor-needed',
  outcome,
];
const enrolling = (outcome: Outcome): Outcomes => [
  'not-signed-in',
  'elsewhere-now',
  outcome,
  'elsewhere-now',
  'elsewhere-now',
];
const confirming = (outcome: Outcome): Outcomes => [
  'not-signed-in',
  outcome,
  'elsewhere-now',
  outcome,
  outcome,
];

/** What an `{id}` is of. */
type Thing = 'app-password' | 'method' | 'notice' | 'portal-session' | 'profile-link' | 'account';
interface Row {
  readonly outcomes: Outcomes;
  readonly body?: object;
  readonly thing?: Thing;
  readonly isAdministration?: true;
}

const wish = { label: 'Laptop', scopes: ['imap'] };
const reason = 'ticket 7';
const appPassword = (outcomes: Outcomes, body = {}): Row => ({ outcomes, body, thing: 'app-password' });
const method = (outcomes: Outcomes, body = {}): Row => ({ outcomes, body, thing: 'method' });
const administration = (outcomes: Outcomes, body = {}): Row => ({ outcomes, body, isAdministration: true });
const account = (outcomes: Outcomes, body = {}): Row => ({
  ...administration(outcomes, body),
  thing: 'account',
});
const acting = (body: object = {}, outcome: Outcome = 200): Row =>
  account(steppedUp(outcome), { reason, ...body });

const table: Readonly<Record<string, Row>> = {
  'GET /session': { outcomes: everybody(200) },
  'POST /session': { outcomes: everybody('invalid'), body: { address: '', password: '' } },
  'POST /session/end': { outcomes: ['not-signed-in', 200, 200, 200, 200] },
  'POST /session/end-all': { outcomes: full(200) },
  'GET /portal-sessions': { outcomes: full(200) },
  'POST /portal-sessions/{id}/end': { outcomes: full(200), thing: 'portal-session' },
  'GET /second-factor': { outcomes: confirming(200) },
  'POST /second-factor/totp': { outcomes: confirming('wrong-code'), body: { code: '000000' } },
  'POST /second-factor/recovery': {
    outcomes: confirming('method-disabled'),
    body: { code: '7KQ2-9F3M-XT4D-8HVN' },
  },
  'POST /second-factor/email/send': { outcomes: confirming('method-disabled') },
  'POST /second-factor/email': { outcomes: confirming('method-disabled'), body: { code: '00000000' } },
  'POST /second-factor/passkey/begin': { outcomes: confirming('method-disabled') },
  'POST /second-factor/passkey': { outcomes: confirming('passkey-refused'), body: { answer: '{}' } },
  'GET /enrollment': { outcomes: enrolling(200) },
  'POST /enrollment/code': { outcomes: enrolling('elsewhere-now'), body: { code: '7KQ2-9F3M-XT4D-8HVN' } },
  'POST /enrollment/totp/begin': { outcomes: enrolling(200) },
  'POST /enrollment/totp': { outcomes: enrolling('question-gone'), body: { code: '000000' } },
  'POST /enrollment/passkey/begin': { outcomes: enrolling(200) },
  'POST /enrollment/passkey': { outcomes: enrolling('passkey-refused'), body: { answer: '{}', name: '' } },
  'GET /methods': { outcomes: full(200) },
  'GET /methods/offered': { outcomes: steppedUp(200) },
  'POST /methods/totp/begin': { outcomes: steppedUp(200) },
  'POST /methods/totp': { outcomes: steppedUp('question-gone'), body: { code: '000000' } },
  'POST /methods/passkey/begin': { outcomes: steppedUp(200) },
  'POST /methods/passkey': { outcomes: steppedUp('passkey-refused'), body: { answer: '{}', name: '' } },
  'POST /methods/email/send': {
    outcomes: steppedUp('method-not-offered'),
    body: { address: 'alice@example.net' },
  },
  'POST /methods/email': { outcomes: steppedUp('method-not-offered'), body: { code: '00000000' } },
  'POST /methods/{id}/rename': method(full(200), { name: 'Phone' }),
  'POST /methods/{id}/primary': method(full(200)),
  // It is not turned off.
  'POST /methods/{id}/enable': method(steppedUp('not-found')),
  'POST /methods/{id}/remove': method(steppedUp('last-method')),
  'POST /recovery-codes': { outcomes: steppedUp(201) },
  'POST /recovery-codes/saved': { outcomes: full(200) },
  'GET /app-passwords': { outcomes: full(200) },
  'POST /app-passwords': { outcomes: steppedUp(201), body: wish },
  'POST /app-passwords/revoke-all': { outcomes: steppedUp(200) },
  'GET /app-passwords/{id}': appPassword(full(200)),
  'POST /app-passwords/{id}': appPassword(steppedUp(200), wish),
  'POST /app-passwords/{id}/rename': appPassword(full(200), { label: 'Phone' }),
  'POST /app-passwords/{id}/pause': appPassword(full(200)),
  'POST /app-passwords/{id}/resume': appPassword(steppedUp(200)),
  'POST /app-passwords/{id}/revoke': appPassword(full(200)),
  'POST /app-passwords/{id}/end-sessions': appPassword(full(200)),
  'GET /activity': { outcomes: full(200) },
  'GET /mail-sessions': { outcomes: full(200) },
  'POST /mail-sessions/end': { outcomes: full(200), body: { session: 'nothing' } },
  'GET /notices': { outcomes: full(200) },
  'POST /notices/{id}/dismiss': {
    outcomes: ['not-signed-in', 'second-factor-needed', 'second-factor-needed', 200, 'not-found'],
    thing: 'notice',
  },
  'POST /notices/dismiss-all': { outcomes: full(200) },
  'POST /profile-links': { outcomes: steppedUp(201), body: { device: 'iPhone' } },
  'GET /profile-links/{id}': { outcomes: full(200), thing: 'profile-link' },
  'POST /profile-links/{id}/cancel': {
    outcomes: ['not-signed-in', 'second-factor-needed', 'second-factor-needed', 200, 'not-found'],
    thing: 'profile-link',
  },
  'GET /administration/accounts': administration(full(200)),
  'POST /administration/accounts': administration(steppedUp(201), { address: 'zoe@example.com' }),
  'GET /administration/accounts/{id}': account(full(200)),
  'GET /administration/accounts/{id}/activity': account(full(200)),
  'POST /administration/accounts/{id}/disable': acting(),
  'POST /administration/accounts/{id}/enable': acting(),
  'POST /administration/accounts/{id}/revoke-all': acting(),
  'POST /administration/accounts/{id}/end-sessions': acting(),
  'POST /administration/accounts/{id}/enrollment-code': acting({}, 'enrolled'),
  'POST /administration/accounts/{id}/mfa': acting({ policy: 'required' }),
  'POST /administration/accounts/{id}/reset-factors': acting({ appPasswords: 'keep' }),
  'POST /administration/accounts/{id}/password-changed': acting({ appPasswords: 'keep' }),
  'POST /administration/accounts/{id}/pause': acting({ credential: '0'.repeat(32) }, 'not-found'),
  'POST /administration/accounts/{id}/resume': acting({ credential: '0'.repeat(32) }, 'not-found'),
  'POST /administration/accounts/{id}/revoke': acting({ credential: '0'.repeat(32) }, 'not-found'),
  'GET /administration/trail': administration(full(200)),
  'GET /openapi.json': { outcomes: everybody(200) },
};
const rows = Object.entries(table);

describe('S-60: levels of the API', () => {
  let bed: Bed;
  let alice: Account;
  let bob: Account;
  let ada: Account;
  const ofAccount = new Map<Account, { readonly credential: Buffer; readonly link: string }>();

  beforeEach(async () => {
    bed = await openBed({
      config: portalConfig({
        portal: {
          ...{ host: '127.0.0.1', port: 0, public_url: 'https://mail.example.com:8443' },
          administrators: ['ada@example.com'],
        },
      }),
      liveSessions: new OpenSessions(),
    });
    [alice, bob, ada] = [
      await bed.account('alice@example.com'),
      await bed.account('bob@example.com'),
      await bed.account('ada@example.com'),
    ];
    for (const account of [alice, bob, ada]) {
      await enroll(bed, account);
      const credential = await issue(bed, account, `of ${account.address}`);
      const client = await ApiClient.of(bed, account);
      const { id } = await client.do('/profile-links', { device: 'iPhone' });
      ofAccount.set(account, { credential, link: id });
    }
  });
  afterEach(async () => {
    await bed.close();
  });

  const clientAt = async (level: Level, person: Account): Promise<ApiClient> => {
    const browser = new Browser(bed);
    if (level === 'anonymous') return await ApiClient.open(bed, browser);
    const account = level === 'enrolling' ? await bed.account('new@example.com') : person;
    const first = await bed.sessions.startFirstFactor(account);
    browser.show(first);
    if (level === 'full' || level === 'stepped-up') {
      const started = await bed.sessions.stepUp(first.session);
      if (started === null) throw new Error('the session was gone');
      browser.cookies.clear();
      browser.show(started);
      if (level === 'full') bed.clock.advance(5 * minutes);
    }
    return await ApiClient.open(bed, browser);
  };
  const idOf = async (thing: Thing, owner: Account): Promise<string> => {
    const own = ofAccount.get(owner);
    if (own === undefined) throw new Error('nobody');
    switch (thing) {
      case 'app-password':
        return own.credential.toString('hex');
      case 'profile-link':
        return own.link;
      case 'account':
        return owner.id.toString('hex');
      case 'method':
        return (await bed.factors.list(owner))[0]?.id.toString('hex') ?? '';
      case 'notice': {
        const { id } = await bed.database
          .selectFrom('notice')
          .select('id')
          .where('account_id', '=', owner.id)
          .executeTakeFirstOrThrow();
        return id.toString('hex');
      }
      case 'portal-session': {
        const { session } = await bed.sessions.startFirstFactor(owner);
        return session.idHash.toString('hex', 0, 16);
      }
      default:
        return thing satisfies never;
    }
  };
  const ask = async (client: ApiClient, route: string, id: string, body?: object) => {
    const [verb, path = ''] = route.split(' ');
    const url = path.replace('{id}', id);
    return verb === 'GET' ? await client.get(url) : await client.post(url, body);
  };
  const outcomeOf = ({
    status,
    body,
  }: {
    readonly status: number;
    readonly body: { type?: string };
  }): Outcome => (status < 300 ? status : (body.type?.replace('urn:sallyport:problem:', '') ?? status));
  const everything = async () => ({
    passwords: await bed.database.selectFrom('app_password').selectAll().execute(),
    factors: await bed.database.selectFrom('second_factor').selectAll().execute(),
    notices: await bed.database.selectFrom('notice').selectAll().execute(),
    links: await bed.database.selectFrom('profile_link').selectAll().execute(),
    accounts: await bed.database.selectFrom('account').selectAll().execute(),
  });

  it('has a row for every route of the document', async () => {
    const { document } = await Contract.of(bed);
    const routes = Object.entries(document.paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((verb) => `${verb.toUpperCase()} ${path.replace('/api/v1', '')}`),
    );
    expect(Object.keys(table).toSorted()).toEqual(routes.toSorted());
  });

  it.each(rows)('%s', async (route, { outcomes, body, thing, isAdministration }) => {
    const person = isAdministration ? ada : alice;
    const seen: Outcome[] = [];
    for (const level of levels) {
      const client = await clientAt(level, person);
      // Administrators act on others, everybody else on what is the own.
      const id = thing === undefined ? '' : await idOf(thing, alice);
      seen.push(outcomeOf(await ask(client, route, id, body)));
    }
    expect(seen).toEqual(outcomes);
  });

  it.each(rows.filter(([, { thing, isAdministration }]) => thing !== undefined && !isAdministration))(
    'S-67: %s of somebody else is not there',
    async (route, { thing, body }) => {
      if (thing === undefined) throw new Error('no thing');
      const client = await clientAt('stepped-up', alice);
      const theirs = await idOf(thing, bob);
      const before = await everything();
      for (const id of [
        theirs,
        '0'.repeat(32),
        'nonsense',
        theirs.toUpperCase(),
        `${theirs}0`,
        `${theirs}%00`,
      ]) {
        const response = await ask(client, route, id, body);
        expect(outcomeOf(response)).toBe('not-found');
        expect(response.text).not.toContain('bob');
      }
      expect(await everything()).toEqual(before);
      expect(
        await bed.database
          .selectFrom('portal_session')
          .selectAll()
          .where('account_id', '=', bob.id)
          .execute(),
      ).not.toEqual([]);
    },
  );

  it.each(rows.filter(([, { isAdministration }]) => isAdministration === true))(
    'S-60: %s does not exist for whoever is no administrator, and no factor is asked for it',
    async (route, { thing, body }) => {
      const id = thing === undefined ? '' : await idOf(thing, bob);
      for (const level of ['stepped-up', 'full'] as const) {
        const client = await clientAt(level, alice);
        const before = await everything();
        const entries = await bed.database.selectFrom('audit_entry').selectAll().execute();
        const response = await ask(client, route, id, body);
        expect(outcomeOf(response)).toBe('not-found');
        expect(response.text).not.toContain('bob');
        expect(await everything()).toEqual(before);
        expect(await bed.database.selectFrom('audit_entry').selectAll().execute()).toEqual(entries);
      }
    },
  );

  it('S-61: GET changes nothing but that a look at an account is entered', async () => {
    const client = await clientAt('stepped-up', ada);
    const before = await everything();
    for (const [route, { thing, outcomes }] of rows) {
      if (!route.startsWith('GET') || outcomes[4] !== 200) continue;
      const id = thing === undefined ? '' : await idOf(thing, thing === 'account' ? alice : ada);
      expect((await ask(client, route, id)).status).toBe(200);
    }
    expect(await everything()).toEqual(before);
  });
});
