import { createHmac } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { KeyedRowGuard } from '../../src/credentials/keyed-row-guard.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { ForgedRowError, type GuardedRows, genuine } from '../../src/store/row-guard.ts';
import { countingBytes, keyRing } from './keys.ts';
import { rowGuard } from './row-guard.ts';

const keys = keyRing();
const guard = rowGuard(keys);
const id = countingBytes(0x10, 16);
const accountId = countingBytes(0x20, 16);

const account: GuardedRows['account'] = {
  id: accountId,
  address: 'alice@example.com',
  state: 'active',
  mfa: 'required',
  enrolled_at: 7,
  hold_until: null,
};
const factor: GuardedRows['second_factor'] = {
  id,
  account_id: accountId,
  kind: 'totp',
  sealed: 'AQAAAAeg',
  address: null,
  credential_id: null,
  public_key: null,
  rp_id: null,
  user_verified: null,
  backup_eligible: null,
  confirmed_at: 7,
  disabled_at: null,
};
const passkey: GuardedRows['second_factor'] = {
  ...factor,
  kind: 'passkey',
  sealed: '',
  credential_id: countingBytes(0x80, 20),
  public_key: countingBytes(0xa0, 8),
  rp_id: 'mail.example.com',
  user_verified: 1,
  backup_eligible: 0,
};
const email: GuardedRows['second_factor'] = {
  ...factor,
  kind: 'email',
  sealed: '',
  address: 'alice@example.net',
};
const session: GuardedRows['portal_session'] = {
  id_hash: countingBytes(0x60),
  account_id: accountId,
  level: 'full',
  csrf: 'csrf',
  factor_at: 7,
  created_at: 5,
  assurance: 'password',
  opened: null,
  role: null,
};
const profileLink: GuardedRows['profile_link'] = {
  id,
  token_hash: countingBytes(0x40),
  account_id: accountId,
  device: 'iPhone',
  created_at: 5,
  not_after: 9,
};
const recoveryCode: GuardedRows['recovery_code'] = {
  id,
  factor_id: accountId,
  pepper_version: 1,
  selector: 0x2261,
  phc: '$argon2id$',
};
const enrollmentCode: GuardedRows['enrollment_code'] = {
  account_id: accountId,
  pepper_version: 1,
  phc: '$argon2id$',
  not_after: 9,
};
const challenge: GuardedRows['webauthn_challenge'] = {
  challenge: countingBytes(0x30),
  account_id: accountId,
  session_hash: countingBytes(0x60),
  ceremony: 'get',
  user_verification: 'required',
  created_at: 5,
};

/** LP, u8 and u64 written out, so that the layout cannot move without this test. */
const lp = (hex: string) => (hex.length / 2).toString(16).padStart(4, '0') + hex;
const text = (value: string) => lp(Buffer.from(value).toString('hex'));
const u64 = (value: number | null) =>
  value === null ? 'f'.repeat(16) : value.toString(16).padStart(16, '0');
const tag = (label: string, message: string) => {
  const key = keys.derive('mac', 1, label) ?? Buffer.alloc(0);
  return `00000001${createHmac('sha256', key).update(Buffer.from(message, 'hex')).digest('hex')}`;
};

describe('S-34: the MAC of a row', () => {
  it('is the id of the mac key and HMAC over every authorizing field', () => {
    const ids = [id, accountId, session.id_hash].map((each) => lp(each.toString('hex')));
    expect(guard.mac('account', account).toString('hex')).toBe(
      tag('sallyport/v1/account-row', `${ids[1]}${text(account.address)}00${'01'}${u64(7)}`),
    );
    expect(guard.mac('second_factor', factor).toString('hex')).toBe(
      tag('sallyport/v1/factor-row', `${ids[0]}${ids[1]}00${text(factor.sealed)}${u64(7)}${u64(null)}`),
    );
    expect(guard.mac('portal_session', session).toString('hex')).toBe(
      tag('sallyport/v1/portal-session-row', `${ids[2]}${ids[1]}01${text(session.csrf)}${u64(7)}${u64(5)}`),
    );
    const hex = (value: Buffer | null) => lp(value?.toString('hex') ?? '');
    const times = `${u64(7)}${u64(null)}`;
    expect(guard.mac('second_factor', passkey).toString('hex')).toBe(
      tag(
        'sallyport/v1/factor-row',
        `${ids[0]}${ids[1]}01${text('')}${times}${hex(passkey.credential_id)}${hex(passkey.public_key)}${text('mail.example.com')}0100`,
      ),
    );
    expect(guard.mac('second_factor', email).toString('hex')).toBe(
      tag('sallyport/v1/factor-row', `${ids[0]}${ids[1]}02${text('')}${times}${text('alice@example.net')}`),
    );
    expect(guard.mac('profile_link', profileLink).toString('hex')).toBe(
      tag(
        'sallyport/v1/profile-link-row',
        `${ids[0]}${hex(profileLink.token_hash)}${ids[1]}${text('iPhone')}${u64(5)}${u64(9)}`,
      ),
    );
    expect(guard.mac('recovery_code', recoveryCode).toString('hex')).toBe(
      tag('sallyport/v1/recovery-code-row', `${ids[0]}${ids[1]}000000012261${text('$argon2id$')}`),
    );
    expect(guard.mac('enrollment_code', enrollmentCode).toString('hex')).toBe(
      tag('sallyport/v1/enrollment-code-row', `${ids[1]}00000001${text('$argon2id$')}${u64(9)}`),
    );
    expect(guard.mac('webauthn_challenge', challenge).toString('hex')).toBe(
      tag(
        'sallyport/v1/webauthn-challenge-row',
        `${hex(challenge.challenge)}${ids[1]}${hex(challenge.session_hash)}0100${u64(5)}`,
      ),
    );
  });

  it('has what came later only where it is set', () => {
    const ids = [accountId, session.id_hash].map((each) => lp(each.toString('hex')));
    expect(guard.mac('account', { ...account, hold_until: 6 }).toString('hex')).toBe(
      tag('sallyport/v1/account-row', `${ids[0]}${text(account.address)}00${'01'}${u64(7)}${u64(6)}`),
    );
    expect(guard.mac('portal_session', { ...session, opened: 'recovery' }).toString('hex')).toBe(
      tag(
        'sallyport/v1/portal-session-row',
        `${ids[1]}${ids[0]}01${text(session.csrf)}${u64(7)}${u64(5)}0002`,
      ),
    );
  });

  it.each<[string, object]>([
    ['id', { id }],
    ['address', { address: 'alicf@example.com' }],
    ['address of another type', { address: Buffer.from('alice@example.com') }],
    ['state', { state: 'disabled' }],
    ['unknown state', { state: 'frozen' }],
    ['mfa', { mfa: 'off' }],
    ['mfa removed', { mfa: null }],
    ['enrolled_at', { enrolled_at: 8 }],
    ['enrolled_at removed', { enrolled_at: null }],
    ['enrolled_at out of range', { enrolled_at: -1 }],
    ['enrolled_at of another type', { enrolled_at: 'never' }],
    ['hold_until', { hold_until: 8 }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
    ['row_mac cut', { row_mac: Buffer.alloc(3) }],
    ['row_mac of another type', { row_mac: 'x'.repeat(36) }],
  ])('account: %s changed is not genuine', (_name, change) => {
    const row = { ...account, row_mac: guard.mac('account', account) };
    expect(guard.isGenuine('account', row)).toBe(true);
    expect(guard.isGenuine('account', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['id', { id: accountId }],
    ['account_id', { account_id: id }],
    ['kind', { kind: 'webauthn' }],
    ['sealed', { sealed: 'AQAAAAeh' }],
    ['confirmed_at', { confirmed_at: 8 }],
    ['confirmed_at removed', { confirmed_at: null }],
    ['disabled_at', { disabled_at: 9 }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
  ])('second factor: %s changed is not genuine', (_name, change) => {
    const row = { ...factor, row_mac: guard.mac('second_factor', factor) };
    expect(guard.isGenuine('second_factor', row)).toBe(true);
    expect(guard.isGenuine('second_factor', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['id_hash', { id_hash: countingBytes(0x61) }],
    ['account_id', { account_id: id }],
    ['level', { level: 'first-factor' }],
    ['csrf', { csrf: 'csrg' }],
    ['factor_at', { factor_at: 8 }],
    ['factor_at removed', { factor_at: null }],
    ['created_at', { created_at: 6 }],
    ['assurance', { assurance: 'idp-mfa' }],
    ['opened', { opened: 'recovery' }],
    ['role', { role: 'administrator' }],
    ['row_mac', { row_mac: Buffer.alloc(36) }],
  ])('portal session: %s changed is not genuine', (_name, change) => {
    const row = { ...session, row_mac: guard.mac('portal_session', session) };
    expect(guard.isGenuine('portal_session', row)).toBe(true);
    expect(guard.isGenuine('portal_session', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['kind', { kind: 'totp' }],
    ['credential_id', { credential_id: countingBytes(0x81, 20) }],
    ['credential_id removed', { credential_id: null }],
    ['public_key', { public_key: countingBytes(0xa1, 8) }],
    ['rp_id', { rp_id: 'mail.example.net' }],
    ['user_verified', { user_verified: 0 }],
    ['backup_eligible', { backup_eligible: 1 }],
    ['account_id', { account_id: id }],
  ])('passkey: %s changed is not genuine', (_name, change) => {
    const row = { ...passkey, row_mac: guard.mac('second_factor', passkey) };
    expect(guard.isGenuine('second_factor', row)).toBe(true);
    expect(guard.isGenuine('second_factor', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['id', { id: accountId }],
    ['token_hash', { token_hash: countingBytes(0x41) }],
    ['account_id', { account_id: id }],
    ['device', { device: 'iPad' }],
    ['created_at', { created_at: 6 }],
    ['not_after', { not_after: 10 }],
  ])('S-71: a profile link with another %s is not genuine', (_name, change) => {
    const row = { ...profileLink, row_mac: guard.mac('profile_link', profileLink) };
    expect(guard.isGenuine('profile_link', row)).toBe(true);
    expect(guard.isGenuine('profile_link', { ...row, ...change } as never)).toBe(false);
  });

  it('S-81: an alternate address changed is not genuine', () => {
    const row = { ...email, row_mac: guard.mac('second_factor', email) };
    expect(guard.isGenuine('second_factor', row)).toBe(true);
    expect(guard.isGenuine('second_factor', { ...row, address: 'mallory@example.net' })).toBe(false);
    expect(guard.isGenuine('second_factor', { ...row, kind: 'recovery' })).toBe(false);
  });

  it.each<[string, object]>([
    ['id', { id: accountId }],
    ['factor_id', { factor_id: id }],
    ['pepper_version', { pepper_version: 2 }],
    ['selector', { selector: 1 }],
    ['phc', { phc: '$argon2id$x' }],
  ])('S-80: a recovery code with another %s is not genuine', (_name, change) => {
    const row = { ...recoveryCode, row_mac: guard.mac('recovery_code', recoveryCode) };
    expect(guard.isGenuine('recovery_code', row)).toBe(true);
    expect(guard.isGenuine('recovery_code', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['account_id', { account_id: id }],
    ['phc', { phc: '$argon2id$x' }],
    ['not_after', { not_after: 10 }],
  ])('S-74: an enrollment code with another %s is not genuine', (_name, change) => {
    const row = { ...enrollmentCode, row_mac: guard.mac('enrollment_code', enrollmentCode) };
    expect(guard.isGenuine('enrollment_code', row)).toBe(true);
    expect(guard.isGenuine('enrollment_code', { ...row, ...change } as never)).toBe(false);
  });

  it.each<[string, object]>([
    ['account_id', { account_id: id }],
    ['session_hash', { session_hash: countingBytes(0x61) }],
    ['ceremony', { ceremony: 'create' }],
    ['user_verification', { user_verification: 'preferred' }],
    ['created_at', { created_at: 6 }],
  ])('S-78: a challenge with another %s is not genuine', (_name, change) => {
    const row = { ...challenge, row_mac: guard.mac('webauthn_challenge', challenge) };
    expect(guard.isGenuine('webauthn_challenge', row)).toBe(true);
    expect(guard.isGenuine('webauthn_challenge', { ...row, ...change } as never)).toBe(false);
  });

  it('is good for its own table and its own keys alone', () => {
    const row_mac = guard.mac('second_factor', factor);
    const foreign = rowGuard(keyRing({ mac: [{ id: 1, first: 0x21 }] }));
    expect(foreign.isGenuine('second_factor', { ...factor, row_mac })).toBe(false);
    expect(guard.isGenuine('account', { ...account, row_mac })).toBe(false);
  });

  it('is made under the active key; an old one verifies until it is gone', () => {
    const row = { ...account, row_mac: guard.mac('account', account) };
    const [active, old] = [
      { id: 2, first: 0x99 },
      { id: 1, first: 0x20 },
    ];
    const rotated = rowGuard(keyRing({ mac: [active, { ...old, state: 'accept' }] }));
    expect([rotated.isGenuine('account', row), rotated.isOutdated(row.row_mac)]).toEqual([true, true]);
    expect(rotated.mac('account', account).readUInt32BE(0)).toBe(2);
    const retired = rowGuard(keyRing({ mac: [active, { ...old, state: 'gone' }] }));
    expect(retired.isGenuine('account', row)).toBe(false);
  });

  it('refused raises the alarm with table and account, and never a field of the row', async () => {
    const metrics = createMetrics();
    const logged: unknown[] = [];
    const logger = { error: (...words: unknown[]) => logged.push(words) };
    const loud = new KeyedRowGuard({ keys, metrics, logger: logger as never });
    const row = { ...session, level: 'first-factor' as const, row_mac: guard.mac('portal_session', session) };
    expect(() => genuine(loud, 'portal_session', row, accountId)).toThrow(ForgedRowError);
    expect(await metrics.registry.getSingleMetricAsString('sallyport_integrity_alarms_total')).toContain(
      'sallyport_integrity_alarms_total{table="portal_session"} 1',
    );
    expect(logged).toEqual([
      [
        { event: 'integrity-alarm', table: 'portal_session', account: accountId.toString('hex') },
        'a row of portal_session is not as the gateway wrote it',
      ],
    ]);
  });
});
