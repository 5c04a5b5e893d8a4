import { createSecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeThrowAwayCertificates } from '../../../src/demo/certificates.ts';
import { type Dovecot, startDovecot } from '../../../src/demo/dovecot.ts';
import { makeScratchFolder, type ScratchFolder } from '../../../src/demo/scratch-folder.ts';
import { disableAccount } from '../../../src/store/accounts.ts';
import { minutes } from '../../identity/clock.ts';
import { ApiClient } from '../api-client.ts';
import { type Bed, openBed, portalConfig } from '../bed.ts';

const password = 'correct horse 7';
const people = ['alice', 'bob', 'carol'].map((name) => `${name}@example.com`);

describe('signing in by the API', () => {
  let scratch: ScratchFolder;
  let dovecot: Dovecot;
  let bed: Bed;

  beforeAll(async () => {
    scratch = await makeScratchFolder();
    const certificates = await makeThrowAwayCertificates(scratch.path);
    dovecot = await startDovecot({
      folder: scratch.path,
      users: Object.fromEntries(people.map((address) => [address, password])),
      master: { user: 'gateway', password: 'master password' },
      certificate: { cert: certificates.certFile, key: certificates.keyFile },
    });
    const config = portalConfig({
      backends: {
        office: {
          imap: { host: 'localhost', port: dovecot.imapsPort, tls: 'implicit' },
          smtp: { host: '127.0.0.1', port: 1, tls: 'none' },
          login: { method: 'master', user: 'gateway', password: 'unused' },
        },
      },
    });
    const imapTls = createSecureContext({ ca: certificates.ca });
    bed = await openBed({
      config,
      upstreams: new Map(
        Object.entries(config.backends).map(([name, backend]) => [name, { backend, imapTls }]),
      ),
    });
  });
  afterAll(async () => {
    await bed.close();
    await dovecot.stop();
    await scratch.remove();
  });

  it('goes from the main password to an app password, a new session at every level', async () => {
    const client = await ApiClient.open(bed);
    expect((await client.get('/session')).body).toMatchObject({
      level: 'anonymous',
      next: 'sign-in',
      csrf: null,
    });
    const typed = { address: ' Alice@Example.com ', password };
    const half = await client.post('/session', typed);
    expect(half.body).toMatchObject({
      ...{ level: 'first-factor', address: 'alice@example.com', next: 'enrollment', isAdministrator: false },
      freshUntil: null,
    });
    expect([...client.browser.cookies.keys()]).toEqual(['__Host-sp-pre']);
    expect(String(half.headers['set-cookie'])).toContain('SameSite=Strict');
    expect((await client.get('/enrollment')).body).toEqual({
      ...{ gate: 'open', because: null, methods: ['totp', 'passkey'] },
      ...{ isRequired: true, isReplacement: false, heldUntil: null },
    });

    const before = client.browser.csrf;
    const { code } = await client.enroll();
    expect([...client.browser.cookies.keys()]).toEqual(['__Host-sp']);
    expect(client.browser.csrf).not.toBe(before);
    expect((await client.get('/session')).body).toMatchObject({
      ...{ level: 'stepped-up', next: 'nothing' },
      freshUntil: new Date(bed.clock.now() + 5 * minutes).toISOString(),
      endsAt: new Date(bed.clock.now() + 15 * minutes).toISOString(),
    });
    const made = await client.do('/app-passwords', { label: 'Laptop', scopes: ['imap', 'smtp'] });
    expect(made.secret).toMatch(/^[a-z]{4}( [a-z]{4}){3}$/);

    const left = await client.post('/session/end');
    expect(left.body).toMatchObject({ level: 'anonymous', csrf: null });
    expect(left.headers['clear-site-data']).toBe('"cache", "storage"');
    expect(client.browser.cookies.size).toBe(0);

    // The second time with the factor.
    bed.clock.advance(minutes);
    expect((await client.do('/session', typed)).next).toBe('second-factor');
    expect((await client.get('/second-factor')).body).toEqual({
      ...{ methods: ['totp'], hasRecovery: false, hasTouchOnlyKey: false, provider: null },
    });
    expect((await client.do('/second-factor/totp', { code: await code() })).level).toBe('stepped-up');
    expect((await client.get('/app-passwords')).text).not.toContain(made.secret);
    expect(bed.log.join('')).not.toContain(made.secret);
    expect(bed.log.join('')).not.toContain(password);
  });

  it('S-73: answers a wrong password, an unknown name and a disabled account alike', async () => {
    const carol = await bed.account('carol@example.com');
    await disableAccount(bed.database, bed.guard, carol.id, bed.clock.now());
    const answers = [];
    for (const [address, tried] of [
      ['bob@example.com', 'wrong'],
      ['nobody@example.com', password],
      ['carol@example.com', password],
    ]) {
      const client = await ApiClient.open(bed);
      const response = await client.post('/session', { address, password: tried });
      answers.push([response.status, response.text, response.headers['set-cookie']]);
    }
    expect(new Set(answers.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(answers[0]?.[0]).toBe(401);
  });

  it('ends the session that the browser had', async () => {
    const client = await ApiClient.open(bed);
    await client.do('/session', { address: 'bob@example.com', password });
    const old = new Map(client.browser.cookies);
    await client.do('/session', { address: 'bob@example.com', password });
    const thief = await ApiClient.open(bed);
    for (const [name, value] of old) thief.browser.cookies.set(name, value);
    expect((await thief.get('/session')).body.level).toBe('anonymous');
  });
});
