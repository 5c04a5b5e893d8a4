import { afterEach, describe, expect, it } from '@jest/globals';
import type { Peer } from '../../src/identity/sign-in/imap.ts';
import type { Account } from '../../src/store/schema.ts';
import { days, minutes, seconds } from './clock.ts';
import { codeOf, type FactorBed, factorConfig, openFactorBed, peer } from './factor-bed.ts';

const operator = { kind: 'operator', user: 'root' } as const;

describe('S-74: the gate of the first enrollment', () => {
  let bed: FactorBed;
  afterEach(async () => {
    await bed.close();
  });
  const open = async (domain: object): Promise<Account> => {
    bed = await openFactorBed('SQLite', factorConfig({ domain }));
    return await bed.account();
  };
  /** The whole of it: what was shown is not what decides. */
  const enroll = async (session: Awaited<ReturnType<FactorBed['signIn']>>, from: Peer = peer) => {
    await bed.factors.apps.begin(session);
    const pending = await bed.factors.apps.pending(session);
    return await bed.factors.apps.confirm(session, from, await codeOf(pending?.key ?? '', bed.clock.now()));
  };

  it('open lets in whoever has the main password', async () => {
    const alice = await open({ enrollment: 'open' });
    const session = await bed.signIn(alice);
    expect(bed.factors.gate.decide(session, peer)).toEqual({ kind: 'open' });
    expect(await enroll(session)).toBe('added');
  });

  it('code: the main password alone enrolls nothing', async () => {
    const alice = await open({ enrollment: 'code' });
    const session = await bed.signIn(alice);
    expect(bed.factors.gate.decide(session, peer)).toEqual({ kind: 'code' });
    expect(await enroll(session)).toBe('closed');
    expect(await bed.factors.stateOf(alice)).toBe('none');
  });

  it('code: the operator’s code opens it in the session in which it was typed, once', async () => {
    const alice = await open({ enrollment: 'code' });
    const made = await bed.factors.enrollmentCodes.create(alice.id, operator, 'seen in person');
    if (made === null) throw new Error('no code');
    expect(made.until).toBe(bed.clock.now() + 7 * days);
    const code = made.secret.text();
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{16}$/);
    expect(await bed.actions(alice)).toEqual(['enrollment-code.created']);
    const rows = JSON.stringify(await bed.database.selectFrom('enrollment_code').selectAll().execute());
    expect(rows).not.toContain(code);

    const [thief, session] = [await bed.signIn(alice), await bed.signIn(alice)];
    expect(await bed.factors.enrollmentCodes.check(alice, peer, code)).toEqual({ kind: 'right' });
    const opened = await bed.sessions.open(session, 'gate');
    if (opened === null) throw new Error('the session was gone');
    expect(await bed.factors.enrollmentCodes.check(alice, peer, code)).toEqual({ kind: 'disabled' });
    expect(await enroll(thief)).toBe('closed');
    expect(await enroll(opened.session)).toBe('added');
  });

  it('code: goes after seven days', async () => {
    const alice = await open({ enrollment: 'code' });
    const made = await bed.factors.enrollmentCodes.create(alice.id, operator);
    bed.clock.advance(7 * days);
    expect(await bed.factors.enrollmentCodes.check(alice, peer, made?.secret.text() ?? '')).toEqual({
      kind: 'disabled',
    });
  });

  it('code: takes ten tries, five in a quarter of an hour', async () => {
    const alice = await open({ enrollment: 'code' });
    const made = await bed.factors.enrollmentCodes.create(alice.id, operator);
    const guess = async () => await bed.factors.enrollmentCodes.check(alice, peer, '7KQ2-9F3M-XT4D-8HVN');
    for (let tried = 0; tried < 5; tried += 1) expect(await guess()).toEqual({ kind: 'wrong' });
    expect(await guess()).toEqual({ kind: 'throttled', until: bed.clock.now() + 15 * minutes });
    bed.clock.advance(15 * minutes);
    const parallel = await Promise.all(Array.from({ length: 20 }, guess));
    expect(parallel.filter(({ kind }) => kind === 'wrong')).toHaveLength(5);
    bed.clock.advance(15 * minutes + seconds);
    expect(await bed.factors.enrollmentCodes.check(alice, peer, made?.secret.text() ?? '')).toEqual({
      kind: 'disabled',
    });
  });

  it('code: counts what has not its shape nowhere, and takes it however it is typed', async () => {
    const alice = await open({ enrollment: 'code' });
    const made = await bed.factors.enrollmentCodes.create(alice.id, operator);
    for (let tried = 0; tried < 20; tried += 1) {
      expect(await bed.factors.enrollmentCodes.check(alice, peer, 'short')).toEqual({ kind: 'malformed' });
    }
    const typed = (made?.secret.text() ?? '').toLowerCase().replace(/(.{4})/g, '$1 ');
    expect(await bed.factors.enrollmentCodes.check(alice, peer, typed)).toEqual({ kind: 'right' });
  });

  it('code: a new one takes the place of the last one; none is made for who has enrolled', async () => {
    const alice = await open({ enrollment: 'code' });
    const old = await bed.factors.enrollmentCodes.create(alice.id, operator);
    const fresh = await bed.factors.enrollmentCodes.create(alice.id, operator);
    expect(await bed.factors.enrollmentCodes.check(alice, peer, old?.secret.text() ?? '')).toEqual({
      kind: 'wrong',
    });
    const opened = await bed.sessions.open(await bed.signIn(alice), 'gate');
    if (opened === null) throw new Error('the session was gone');
    expect(await enroll(opened.session)).toBe('added');
    expect(await bed.factors.enrollmentCodes.check(alice, peer, fresh?.secret.text() ?? '')).toEqual({
      kind: 'disabled',
    });
    expect(await bed.factors.enrollmentCodes.create(alice.id, operator)).toBeNull();
  });

  it.each<[string, Peer, boolean]>([
    ['192.0.2.7', { address: '192.0.2.7', network: '192.0.2.7/32' }, true],
    ['::ffff:192.0.2.7', { address: '::ffff:192.0.2.7', network: '192.0.2.7/32' }, true],
    ['2001:db8:1::5', { address: '2001:db8:1::5', network: '2001:db8:1::/64' }, true],
    ['192.0.3.7', { address: '192.0.3.7', network: '192.0.3.7/32' }, false],
    ['2001:db8:2::5', { address: '2001:db8:2::5', network: '2001:db8:2::/64' }, false],
    ['no address', { address: '', network: 'unknown' }, false],
    // Its address would be the proxy's.
    ['behind a web proxy', { address: '192.0.2.7', network: null }, false],
  ])('network: from %s', async (_what, from, isInside) => {
    const alice = await open({
      enrollment: 'network',
      enrollment_networks: ['192.0.2.0/24', '2001:db8:1::/48'],
    });
    const session = await bed.signIn(alice);
    expect(bed.factors.gate.decide(session, from)).toEqual(
      isInside ? { kind: 'open' } : { kind: 'closed', because: 'network' },
    );
    expect(await enroll(session, from)).toBe(isInside ? 'added' : 'closed');
  });

  it.each(['password', 'idp', 'idp-mfa'] as const)('idp: after a sign-in by %s', async (assurance) => {
    const alice = await open({
      enrollment: 'idp',
      sign_in: { method: 'oidc', provider: 'office' },
    });
    const { session } = await bed.sessions.startFirstFactor(alice, assurance);
    const isOpen = assurance === 'idp-mfa';
    expect(bed.factors.gate.decide(session, peer).kind).toBe(isOpen ? 'open' : 'closed');
    expect(await enroll(session)).toBe(isOpen ? 'added' : 'closed');
  });

  it('is closed to a domain that has left the configuration, but for a code', async () => {
    await open({ enrollment: 'open' });
    const stranger = await bed.account('alice@left.example');
    expect(bed.factors.gate.decide(await bed.signIn(stranger), peer)).toEqual({ kind: 'code' });
  });

  it('S-34: is not opened by SQL', async () => {
    const alice = await open({ enrollment: 'code' });
    const started = await bed.sessions.startFirstFactor(alice);
    await bed.database
      .updateTable('portal_session')
      .set({ opened: 'gate' } as never)
      .execute();
    await expect(bed.sessions.find('first-factor', started.token)).rejects.toThrow(
      /not as the gateway wrote/,
    );
  });
});
