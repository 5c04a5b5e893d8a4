import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CertificateFiles } from '../../../src/config/certificate.ts';
import { makeScratchFolder, type ScratchFolder } from '../../../src/demo/scratch-folder.ts';
import {
  isProfilePossible,
  mobileconfig,
  type ProfileOrder,
} from '../../../src/portal/client-setup/mobileconfig.ts';
import { signProfile } from '../../../src/portal/client-setup/profile-signing.ts';
import { thunderbirdQr } from '../../../src/portal/client-setup/thunderbird-qr.ts';

const run = promisify(execFile);
const implicit = { port: 993, tls: 'implicit' } as const;
const settings = {
  host: 'mail.example.com',
  imap: [implicit],
  pop3: [],
  smtp: [
    { port: 465, tls: 'implicit' },
    { port: 587, tls: 'starttls' },
  ],
} as const;
const order: ProfileOrder = {
  address: 'anna@example.com',
  accountId: Buffer.alloc(16, 7),
  appPassword: 'abcdefghijklmnoq',
  removalAt: null,
  settings,
  texts: { displayName: 'Mail for anna@example.com', description: 'Sets <up> & "all"', mailAccount: 'Mail' },
  consent: { default: 'Yours only.', en: 'Yours only.', lv: 'Tikai jūsu.' },
};

let scratch: ScratchFolder;
beforeAll(async () => {
  scratch = await makeScratchFolder();
});
afterAll(async () => {
  await scratch.remove();
});

/** As Python's reader of property lists sees it; dates as ISO text. */
async function readPlist(text: string): Promise<Record<string, unknown>> {
  const file = join(scratch.path, `${randomUUID()}.plist`);
  await writeFile(file, text);
  const program =
    'import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], "rb")), default=lambda v: v.isoformat()))';
  const { stdout } = await run('python3', ['-c', program, file]);
  return JSON.parse(stdout) as Record<string, unknown>;
}

describe('a profile for Apple devices', () => {
  it('has exactly the keys that Mail wants', async () => {
    const { PayloadUUID, PayloadContent, ...outer } = await readPlist(mobileconfig(order));
    const uuid = /^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/;
    expect(PayloadUUID).toMatch(uuid);
    expect(outer).toEqual({
      PayloadType: 'Configuration',
      PayloadVersion: 1,
      PayloadIdentifier: `com.example.mail.sallyport.${'07'.repeat(16)}`,
      PayloadDisplayName: 'Mail for anna@example.com',
      PayloadDescription: 'Sets <up> & "all"',
      PayloadOrganization: 'example.com',
      PayloadRemovalDisallowed: false,
      ConsentText: { default: 'Yours only.', en: 'Yours only.', lv: 'Tikai jūsu.' },
    });
    const [{ PayloadUUID: innerUuid, ...inner }, ...others] = PayloadContent as [Record<string, unknown>];
    expect(others).toEqual([]);
    expect(innerUuid).toMatch(uuid);
    expect(inner).toEqual({
      PayloadType: 'com.apple.mail.managed',
      PayloadVersion: 1,
      PayloadIdentifier: `com.example.mail.sallyport.${'07'.repeat(16)}.email`,
      PayloadDisplayName: 'Mail',
      EmailAccountDescription: 'example.com',
      EmailAccountType: 'EmailTypeIMAP',
      EmailAddress: 'anna@example.com',
      IncomingMailServerAuthentication: 'EmailAuthPassword',
      IncomingMailServerHostName: 'mail.example.com',
      IncomingMailServerPortNumber: 993,
      IncomingMailServerUseSSL: true,
      IncomingMailServerUsername: 'anna@example.com',
      IncomingPassword: 'abcdefghijklmnoq',
      OutgoingMailServerAuthentication: 'EmailAuthPassword',
      OutgoingMailServerHostName: 'mail.example.com',
      OutgoingMailServerPortNumber: 465,
      OutgoingMailServerUseSSL: true,
      OutgoingMailServerUsername: 'anna@example.com',
      OutgoingPasswordSameAsIncomingPassword: true,
    });
  });

  it('updates the account of an earlier one: the inner UUID is the account’s, the outer one new', async () => {
    const uuidsOf = async (changes: Partial<ProfileOrder>) => {
      const plist = await readPlist(mobileconfig({ ...order, ...changes }));
      const [inner] = plist.PayloadContent as [{ PayloadUUID: string }];
      return { outer: plist.PayloadUUID, inner: inner.PayloadUUID };
    };
    const [first, second, another] = await Promise.all([
      uuidsOf({}),
      uuidsOf({ appPassword: 'bcdefghijklmnopa' }),
      uuidsOf({ accountId: Buffer.alloc(16, 8) }),
    ]);
    expect(second.inner).toBe(first.inner);
    expect(second.outer).not.toBe(first.outer);
    expect(another.inner).not.toBe(first.inner);
    // RFC 9562: version 8, variant 10.
    expect(first.inner).toMatch(/^.{14}8.{4}[89AB]/);
  });

  it('goes with its app password', async () => {
    const plist = await readPlist(mobileconfig({ ...order, removalAt: Date.UTC(2027, 0, 2, 3, 4, 5) }));
    expect(plist.RemovalDate).toBe('2027-01-02T03:04:05');
  });

  it('is possible with implicit TLS alone', () => {
    expect(isProfilePossible(settings)).toBe(true);
    expect(isProfilePossible({ ...settings, imap: [{ port: 143, tls: 'starttls' }] })).toBe(false);
    expect(isProfilePossible({ ...settings, smtp: [] })).toBe(false);
  });
});

describe('the signature', () => {
  let rootFile: string;
  const signers: Record<string, CertificateFiles> = {};

  beforeAll(async () => {
    const at = (name: string) => join(scratch.path, name);
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc'];
    const ec384 = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384', '-noenc'];
    const rsa = ['-newkey', 'rsa:2048', '-noenc'];
    const make = async (name: string, key: readonly string[], issuer: string | null, isCa: boolean) => {
      await run('openssl', [
        ...['req', '-x509', '-days', '2', '-subj', `/CN=${name}`, ...key],
        ...['-addext', `basicConstraints=critical,CA:${isCa ? 'TRUE' : 'FALSE'}`],
        // A certificate for TLS, as Let's Encrypt makes them.
        ...(isCa ? ['-addext', 'keyUsage=keyCertSign'] : ['-addext', 'extendedKeyUsage=serverAuth']),
        ...(issuer === null ? [] : ['-CA', at(`${issuer}.pem`), '-CAkey', at(`${issuer}.key`)]),
        ...['-keyout', at(`${name}.key`), '-out', at(`${name}.pem`)],
      ]);
    };
    await make('root', rsa, null, true);
    await make('intermediate', rsa, 'root', true);
    await make('rsa', rsa, 'intermediate', false);
    await make('ecdsa', ec, 'intermediate', false);
    await make('p384', ec384, 'intermediate', false);
    rootFile = at('root.pem');
    const intermediate = await readFile(at('intermediate.pem'));
    for (const name of ['rsa', 'ecdsa', 'p384']) {
      const cert = Buffer.concat([await readFile(at(`${name}.pem`)), intermediate]);
      signers[name] = { cert, key: await readFile(at(`${name}.key`)) };
    }
  });

  const openssl = async (message: Buffer, ...more: readonly string[]) => {
    const file = join(scratch.path, 'signed.mobileconfig');
    await writeFile(file, message);
    return await run('openssl', ['cms', '-inform', 'DER', '-in', file, ...more]);
  };

  it.each(['rsa', 'ecdsa', 'p384'])(
    'of a key of type %s holds, intermediate included, and changes no byte',
    async (name) => {
      const signer = signers[name];
      if (signer === undefined) throw new Error(name);
      const profile = mobileconfig(order);
      const signed = await signProfile(profile, signer, Date.now());
      const { stdout } = await openssl(signed, '-verify', '-purpose', 'any', '-CAfile', rootFile, '-binary');
      expect(stdout).toBe(profile);
      const { stdout: printed } = await openssl(signed, '-cmsout', '-print');
      expect(printed).toContain('subject: CN=intermediate');
      expect(printed).toContain('algorithm: sha256');
    },
  );

  it('is DER, with the content in one piece', async () => {
    const signer = signers.rsa;
    if (signer === undefined) throw new Error('no signer');
    const signed = await signProfile('x'.repeat(100_000), signer, Date.now());
    const file = join(scratch.path, 'der.mobileconfig');
    await writeFile(file, signed);
    const { stdout } = await run('openssl', ['asn1parse', '-inform', 'DER', '-in', file], {
      maxBuffer: 10_000_000,
    });
    expect(stdout).toMatch(/l=100000 prim: OCTET STRING/);
    expect(stdout).not.toMatch(/cons: OCTET STRING|l=inf/);
  });

  it('breaks when a byte of the profile changes', async () => {
    const signer = signers.ecdsa;
    if (signer === undefined) throw new Error('no signer');
    const signed = await signProfile(mobileconfig(order), signer, Date.now());
    signed[signed.indexOf('abcdefghijklmnoq')] = 'z'.charCodeAt(0);
    await expect(openssl(signed, '-verify', '-purpose', 'any', '-CAfile', rootFile)).rejects.toThrow();
  });
});

describe('the code for Thunderbird on Android', () => {
  it('has the account as Thunderbird exports it', () => {
    expect(thunderbirdQr('anna@example.com', 'abcdefghijklmnoq', settings)).toBe(
      '[1,[1,1],[0,"mail.example.com",993,3,1,"anna@example.com","","abcdefghijklmnoq"],[[[0,"mail.example.com",465,3,1,"anna@example.com","abcdefghijklmnoq"],["anna@example.com","anna@example.com"]]]]',
    );
  });

  it('says STARTTLS where there is nothing else, and nothing of what it cannot say', () => {
    const clear = { ...settings, imap: [{ port: 143, tls: 'starttls' } as const] };
    expect(thunderbirdQr('anna@example.com', 'abcdefghijklmnoq', clear)).toContain('143,2,1');
    expect(thunderbirdQr('ānna@example.com', 'abcdefghijklmnoq', settings)).toBeNull();
    expect(thunderbirdQr('anna@example.com', 'abcdefghijklmnoq', { ...settings, smtp: [] })).toBeNull();
  });
});
