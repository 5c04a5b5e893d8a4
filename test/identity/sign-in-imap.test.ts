import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { createSecureContext } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { sql } from 'kysely';
import { formatAppPassword, generateAppPassword } from '../../src/credentials/app-password.ts';
import { makeThrowAwayCertificates, type ThrowAwayCertificates } from '../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../src/demo/dovecot.ts';
import { freePort } from '../../src/demo/free-port.ts';
import { makeScratchFolder, type ScratchFolder } from '../../src/demo/scratch-folder.ts';
import type { SignInResult } from '../../src/identity/sign-in/imap.ts';
import { Secret } from '../../src/secret.ts';
import { disableAccount } from '../../src/store/accounts.ts';
import { Tap } from '../credentials/tap.ts';
import { type Bed, openBed, portalConfig } from '../portal/bed.ts';
import { until } from '../support/until.ts';
import { hours } from './clock.ts';

const mainPassword = 'correct horse 7';
const people = ['alice', 'bob', 'carol', 'dave', 'erin', 'fay', 'gateway'];
const peer = { address: '203.0.113.7', network: '203.0.113.7/32' };

describe('sign-in with the main password', () => {
  let scratch: ScratchFolder;
  let certificates: ThrowAwayCertificates;
  let dovecot: Dovecot;
  let bed: Bed;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    certificates = await makeThrowAwayCertificates(scratch.path);
    dovecot = await startDovecot({
      folder: scratch.path,
      users: Object.fromEntries(people.map((name) => [`${name}@example.com`, mainPassword])),
      master: { user: 'gateway', password: 'master password' },
      certificate: { cert: certificates.certFile, key: certificates.keyFile },
    });
  });
  afterAll(async () => {
    await dovecot.stop();
    await scratch.remove();
  });

  const open = async (imap: Readonly<Record<string, unknown>>, ca?: Buffer, tap?: Tap): Promise<Bed> => {
    const config = portalConfig({
      backends: {
        office: {
          imap,
          smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
          login: { method: 'master', user: 'gateway', password: 'unused' },
          forward: { imap_id: true },
        },
      },
    });
    const imapTls = imap.tls === 'none' ? null : createSecureContext(ca === undefined ? {} : { ca });
    const upstreams = new Map(
      Object.entries(config.backends).map(([name, backend]) => [name, { backend, imapTls }]),
    );
    return await openBed({ config, upstreams, ...(tap === undefined ? {} : { tap }) });
  };
  const reopen = async (imap: Readonly<Record<string, unknown>>, ca?: Buffer): Promise<void> => {
    await bed.close();
    bed = await open(imap, ca);
  };
  const signIn = async (address: string, password: string, from = peer): Promise<SignInResult> =>
    await bed.signIn.signIn(address, Secret.fromText(password), from);
  const accounts = async () => await bed.database.selectFrom('account').select('address').execute();
  /**
   * How often the backend was asked for somebody nobody else in these tests is. It logs when a connection has ended:
   * the line of a later login shows that those of earlier ones are there.
   */
  const askedFor = async (address: string): Promise<number> => {
    const last = `last-${address}`;
    await reopen({ host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' }, certificates.ca);
    expect(await signIn(last, 'wrong')).toEqual({ kind: 'wrong' });
    const lines = async (name: string) =>
      (await readFile(dovecot.logFile, 'utf8')).split('\n').filter((line) => line.includes(`user=<${name}>`));
    await until(async () => (await lines(last)).length > 0);
    return (await lines(address)).length;
  };

  beforeEach(async () => {
    bed = await open({ host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' }, certificates.ca);
  });

  afterEach(async () => {
    await bed.close();
  });

  it('makes the account at the first sign-in and finds it at the next, however the name is written', async () => {
    const first = await signIn('Alice@Example.COM', mainPassword);
    expect(first).toMatchObject({ kind: 'signed-in', account: { address: 'alice@example.com' } });
    expect(await signIn('alice', mainPassword)).toEqual(first);
    expect(await accounts()).toEqual([{ address: 'alice@example.com' }]);
  });

  it('wipes the password and logs nothing of it', async () => {
    const right = Secret.fromText(mainPassword);
    await bed.signIn.signIn('alice@example.com', right, peer);
    await signIn('alice@example.com', 'nobody knows 9');
    // In the wrong field.
    await signIn(mainPassword.replaceAll(' ', ''), 'alice@example.com');
    expect(right.bytes().every((byte) => byte === 0)).toBe(true);
    const log = bed.log.join('');
    for (const password of [mainPassword, mainPassword.replaceAll(' ', ''), 'nobody knows 9']) {
      expect(log).not.toContain(password);
      expect(log).not.toContain(Buffer.from(password).toString('base64'));
    }
  });

  it('answers the same to a wrong password, a wrong name, a strange domain and a disabled account', async () => {
    const signedIn = await signIn('bob@example.com', mainPassword);
    if (signedIn.kind !== 'signed-in') throw new Error('bob could not sign in');
    await disableAccount(bed.database, bed.guard, signedIn.account.id, bed.clock.now());
    expect(await signIn('alice@example.com', 'wrong')).toEqual({ kind: 'wrong' });
    expect(await signIn('nobody@example.com', mainPassword)).toEqual({ kind: 'wrong' });
    expect(await signIn('alice@elsewhere.example', mainPassword)).toEqual({ kind: 'wrong' });
    expect(await signIn('bob@example.com', mainPassword)).toEqual({ kind: 'wrong' });
    expect(await signIn('al*ice@example.com', mainPassword)).toEqual({ kind: 'wrong' });
    expect(await accounts()).toEqual([{ address: 'bob@example.com' }]);
  });

  it('S-73: does the same work for a wrong password of somebody known and for nobody', async () => {
    await bed.close();
    const tap = new Tap();
    bed = await open({ host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' }, certificates.ca, tap);
    expect(await signIn('fay@example.com', mainPassword)).toMatchObject({ kind: 'signed-in' });
    expect(tap.shapes).not.toEqual([]);
    const workOf = async (address: string) => {
      tap.statements.length = 0;
      expect(await signIn(address, 'wrong')).toEqual({ kind: 'wrong' });
      return tap.shapes;
    };
    expect(await workOf('fay@example.com')).toEqual(await workOf('nobody-at-all@example.com'));
    // The right one once, and each wrong one once.
    expect(await askedFor('fay@example.com')).toBe(2);
    expect(await askedFor('nobody-at-all@example.com')).toBe(1);
  });

  it('S-34: calls an account that SQL was made to hold unavailable, and makes none in its place', async () => {
    expect(await signIn('bob@example.com', mainPassword)).toMatchObject({ kind: 'signed-in' });
    await bed.database
      .updateTable('account')
      .set({ mfa: 'off' } as never)
      .execute();
    expect(await signIn('bob@example.com', mainPassword)).toEqual({ kind: 'unavailable' });
    expect(await signIn('bob@example.com', 'wrong')).toEqual({ kind: 'wrong' });
    expect(bed.log.join('')).toContain('"event":"integrity-alarm"');
  });

  it('never shows the backend an app password, nor the name of its own login', async () => {
    const appPassword = formatAppPassword(generateAppPassword());
    expect(await signIn('carol@example.com', appPassword)).toEqual({ kind: 'wrong' });
    expect(await signIn('carol@example.com', `${mainPassword}\0x`)).toEqual({ kind: 'wrong' });
    expect(await signIn('gateway@example.com', mainPassword)).toEqual({ kind: 'wrong' });
    expect(await askedFor('carol@example.com')).toBe(0);
    expect(await askedFor('gateway@example.com')).toBe(0);
  });

  it('lets at most ten of a hundred wrong passwords reach the backend', async () => {
    const results: SignInResult[] = [];
    for (let round = 0; round < 10; round += 1) {
      const from = { address: `198.51.${round}.7`, network: `198.51.${round}.7/32` };
      const attempts = Array.from({ length: 10 }, () => signIn('dave@example.com', `wrong ${round}`, from));
      results.push(...(await Promise.all(attempts)));
      bed.clock.advance(hours / 20);
    }
    const wrong = results.filter(({ kind }) => kind === 'wrong').length;
    expect(wrong).toBeGreaterThanOrEqual(5);
    expect(wrong).toBeLessThanOrEqual(10);
    expect(results.filter(({ kind }) => kind === 'throttled')).toHaveLength(100 - wrong);
    // Not even the right one, which a throttled attempt never learns.
    expect((await signIn('dave@example.com', mainPassword)).kind).toBe('throttled');
    expect(await askedFor('dave@example.com')).toBe(wrong);
  }, 120_000);

  it('speaks STARTTLS where the backend does', async () => {
    await reopen({ host: 'localhost', port: dovecot.imapPort, tls: 'starttls' }, certificates.ca);
    expect((await signIn('alice@example.com', mainPassword)).kind).toBe('signed-in');
  });

  it.each([
    ['an unknown authority', 'localhost', false],
    ['another name', 'mail.elsewhere.example', true],
  ])('sends nothing to a backend with a certificate of %s', async (_, serverName, isKnown) => {
    await reopen(
      { host: 'localhost', port: dovecot.imapsPort, tls: 'implicit', server_name: serverName },
      isKnown ? certificates.ca : undefined,
    );
    expect(await signIn('erin@example.com', mainPassword)).toEqual({ kind: 'unavailable' });
    expect(await askedFor('erin@example.com')).toBe(0);
  });

  it('says unavailable of a backend that is down, and counts nothing', async () => {
    await reopen({ host: 'localhost', port: await freePort(), tls: 'implicit' }, certificates.ca);
    for (let index = 0; index < 12; index += 1) {
      expect(await signIn('alice@example.com', mainPassword)).toEqual({ kind: 'unavailable' });
    }
  });

  it('S-73: an outage of our own store is no wrong password of theirs', async () => {
    await reopen({ host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' }, certificates.ca);
    await sql`alter table account rename to away`.execute(bed.database);
    for (let index = 0; index < 12; index += 1) {
      await expect(signIn('alice@example.com', mainPassword)).rejects.toThrow('no such table');
    }
    await sql`alter table away rename to account`.execute(bed.database);
    expect(await signIn('alice@example.com', mainPassword)).toMatchObject({ kind: 'signed-in' });
  });

  it.each([
    ['a PREAUTH greeting', '* PREAUTH welcome\r\n', 'OK'],
    ['NO [UNAVAILABLE]', '* OK ready\r\n', 'NO [UNAVAILABLE] later'],
    ['NO [LIMIT]', '* OK ready\r\n', 'NO [LIMIT] too many'],
    ['BAD', '* OK ready\r\n', 'BAD what'],
    ['BYE', '* BYE full\r\n', 'OK'],
  ])('takes %s for an outage, never for an answer about the password', async (_, greeting, answer) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(greeting);
      socket.on('data', (data) => {
        for (const line of data.toString().split('\r\n').filter(Boolean)) {
          const [tag = '', command = ''] = line.split(' ');
          if (command === 'CAPABILITY') socket.write('* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n');
          if (command === 'AUTHENTICATE') socket.write(`${tag} ${answer}\r\n`);
          else if (command === 'LOGOUT') socket.end(`* BYE\r\n${tag} OK\r\n`);
          else socket.write(`${tag} OK done\r\n`);
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await reopen({ host: '127.0.0.1', port, tls: 'none' });
    expect(await signIn('alice@example.com', mainPassword)).toEqual({ kind: 'unavailable' });
    expect(await accounts()).toEqual([]);
    await new Promise((resolve) => server.close(resolve));
  });
});
