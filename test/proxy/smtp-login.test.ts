import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { storeSilent } from '../../src/credentials/stored-proof.ts';
import { tester } from '../support/journal.ts';
import { openSmtpBed, plain, type SmtpBed, type SmtpBedOptions, until } from './smtp-bed.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}

describe('before login', () => {
  it('announces what it relays and nothing else (wire 73)', async () => {
    const client = await (await bed()).connect();
    const [name, ...keywords] = (await client.ask('EHLO laptop')).split('\n');
    expect(name).toBe('250-mail.example.com');
    expect(keywords.map((line) => line.slice(4)).sort()).toEqual([
      '8BITMIME',
      'AUTH PLAIN LOGIN',
      'ENHANCEDSTATUSCODES',
      'PIPELINING',
      'SIZE 52428800',
    ]);
  });

  it.each([
    'EHLO',
    'EHLO my printer',
    'EHLO a_b',
    'EHLO [IPV6:::1]',
    'HELO',
    'ehlo caf\xe9',
    `EHLO ${'x'.repeat(400)}`,
  ])('wire 79, 80: takes %s for a greeting, and AUTH behind it', async (line) => {
    const client = await (await bed()).connect();
    expect(await client.ask(line)).toMatch(/^250[- ]mail\.example\.com/);
    expect(await client.ask('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
  });

  it.each([
    ['MAIL FROM:<a@b>', '530 5.7.0 Authentication required'],
    ['RCPT TO:<a@b>', '530 5.7.0 Authentication required'],
    ['DATA', '530 5.7.0 Authentication required'],
    ['VRFY root', '252 2.0.0 Cannot verify'],
    ['HELP', '500 5.5.2 Error: command not recognized'],
    ['WIZ', '500 5.5.2 Error: command not recognized'],
    ['BDAT 3 LAST', '502 5.5.1 CHUNKING is not offered'],
    // Wire 131.
    ['XCLIENT ADDR=127.0.0.1', '500 5.5.2 Error: command not recognized'],
    ['XFORWARD ADDR=127.0.0.1', '500 5.5.2 Error: command not recognized'],
    // Wire 115.
    ['STARTTLS', '503 5.5.1 Error: TLS already active'],
    // Words of the client's are no codes.
    ['4.1.1', '500 5.5.2 Error: command not recognized'],
    ['given:4.1.1', '500 5.5.2 Error: command not recognized'],
    ['MAIL_FROM_OK', '500 5.5.2 Error: command not recognized'],
    ['NOOP', '250 2.0.0 OK'],
    ['RSET', '250 2.0.0 Flushed'],
    ['QUIT', '221 2.0.0 Bye'],
  ])('%s: %s', async (line, reply) => {
    const client = await (await bed()).connect();
    await client.ask('EHLO laptop');
    expect(await client.ask(line)).toBe(reply);
  });

  it('shows a web page the door (wire 91)', async () => {
    const client = await (await bed()).connect();
    client.send('GET / HTTP/1.1\r\nHost: mail.example.com\r\n\r\n');
    expect(await client.rest()).toBe('421 4.7.0 HTTP requests not allowed');
  });

  it('outlives whatever is sent (S-03)', async () => {
    const gateway = await bed();
    const word = fc.constantFrom(
      'AUTH ',
      'PLAIN ',
      'LOGIN ',
      'EHLO ',
      'MAIL FROM:',
      '<',
      '>',
      '=',
      '*',
      '\r\n',
      '\n',
      '\0',
      '\xff',
      'AGE=',
      '.',
    );
    const inputs = fc.sample(fc.array(word, { minLength: 5, maxLength: 60 }), { numRuns: 100, seed: 7 });
    for (const input of inputs) {
      const client = await gateway.connect();
      client.send(input.join(''));
      client.socket.end();
      expect(await client.rest()).toMatch(/^(?:[2345]\d\d[ -][\x20-\x7e]*\n?)*$/);
    }
    await gateway.logIn();
    expect(gateway.log.filter((line) => line.includes('"level":50'))).toEqual([]);
  });

  it('closes on a line without end (S-03)', async () => {
    const client = await (await bed()).connect();
    client.send('A'.repeat(40_000));
    expect(await client.rest()).toBe('421 4.7.0 Command line too long');
  });

  it('shows out who does not log in (wire 151)', async () => {
    const client = await (await bed({ limits: { loginTimeMs: 300 } })).connect();
    expect(await client.rest()).toBe('421 4.4.2 Timeout');
  });

  it('answers a connection over the limit inside TLS (wire 152)', async () => {
    const gateway = await bed({ limits: { connectionsPerNetwork: 1 } });
    await gateway.connect();
    await expect(gateway.connect()).rejects.toThrow('421 4.7.0 Too many connections');
  });
});

describe('AUTH', () => {
  it('logs in by every way of old clients (wire 75, 76, 77)', async () => {
    const gateway = await bed();
    const name = base64('Alice@Example.com');
    const password = base64(gateway.password);
    const ways = [
      ['AUTH LOGIN', name, password],
      [`auth login ${name}`, password],
      ['AUTH PLAIN', base64(`\0alice\0${gateway.password}`)],
      [plain('alice', gateway.password, 'alice@example.com')],
    ];
    for (const way of ways) {
      const client = await gateway.connect();
      await client.ask('EHLO laptop');
      const replies: string[] = [];
      for (const line of way) replies.push(await client.ask(line));
      expect(replies.at(-1)).toBe('235 2.7.0 Authentication successful');
      expect(await client.ask('EHLO laptop')).not.toContain('AUTH');
      expect(await client.ask('AUTH PLAIN')).toBe('503 5.5.1 Already authenticated');
      expect(await client.ask('QUIT')).toBe('221 2.0.0 Bye');
    }
    // Wire 133: the person as authzid, by the row's name.
    expect(gateway.sink.authzids).toEqual(ways.map(() => 'alice@example.com'));
    await until(() => gateway.registry.size === 0, 'all sessions over');
    expect(await gateway.credentials.value('sallyport_sessions', { protocol: 'smtp' })).toBe(0);
    expect(await gateway.credentials.value('sallyport_logins_total', { outcome: 'verified' })).toBe(4);
    await until(() => gateway.sink.open === 0, 'all backend connections over');
    expect(gateway.sink.commands.filter((line) => line === 'QUIT')).toHaveLength(4);
  });

  it('is listed in one line, in the form of RFC 4954 (wire 74)', async () => {
    const client = await (await bed()).connect();
    const list = await client.ask('EHLO laptop');
    expect(list.match(/AUTH/g)).toHaveLength(1);
    // As Thunderbird reads it.
    expect(list).toMatch(/AUTH(?:\s+[^\n]*\s+|\s+)PLAIN/);
  });

  it.each([
    [
      'AUTH PLAIN =',
      '535 5.7.8 Authentication credentials invalid|501 5.5.2 Malformed authentication response',
    ],
    ['AUTH PLAIN !!!!', '501 5.5.2 Cannot decode base64'],
    [`AUTH PLAIN ${'A'.repeat(12_300)}`, '500 5.5.6 Authentication exchange line is too long'],
    ['AUTH CRAM-MD5', '504 5.5.4 Unrecognized authentication type'],
    ['AUTH', '501 5.5.4 Syntax: AUTH mechanism'],
  ])('%s is refused, and the connection is as before (wire 78)', async (line, replies) => {
    const gateway = await bed();
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    expect(replies.split('|')).toContain(await client.ask(line));
    expect(await client.ask('AUTH LOGIN')).toBe('334 VXNlcm5hbWU6');
    expect(await client.ask('*')).toBe('501 5.7.0 Authentication aborted');
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^235 /);
    expect(await client.ask('AUTH PLAIN')).toBe('503 5.5.1 Already authenticated');
    await client.ask('MAIL FROM:<alice@example.com>');
    expect(await client.ask(plain('alice', gateway.password))).toBe('503 5.5.1 Already authenticated');
    expect(await client.ask('RCPT TO:<bob@example.com>')).toMatch(/^250 /);
  });

  it('takes a name in Latin-1 and in UTF-8 for the same (wire 85)', async () => {
    const gateway = await bed();
    const jose = await gateway.credentials.account('jos\u00e9@example.com');
    const { password } = await gateway.credentials.issue(jose);
    for (const name of ['jos\xe9@example.com', 'jos\xc3\xa9@example.com']) {
      const client = await gateway.connect();
      await client.ask('EHLO laptop');
      expect(await client.ask(plain(name, password))).toMatch(/^235 /);
    }
    expect(gateway.sink.authzids).toEqual(['jos\u00e9@example.com', 'jos\u00e9@example.com']);
  });

  it('lets no separator of a master user through to the backend (wire 133)', async () => {
    const gateway = await bed();
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    for (const name of ['alice@example.com*gateway', 'alice*gateway', 'gateway', 'alice\0']) {
      expect(await client.ask(plain(name, gateway.password))).toMatch(/^(?:535 5\.7\.8|501 5\.5\.2|421) /);
    }
    expect(gateway.sink.authzids).toEqual([]);
  });

  it('goes to the backend in two steps where it is long (wire 106)', async () => {
    const gateway = await bed({ masterPassword: 'm'.repeat(2_000) });
    let response = '';
    gateway.sink.answer = (command, session) => {
      if (command !== 'AUTH') return null;
      if (session.authArgument !== '') return '501 5.5.2 too long';
      session.expect((line) => {
        response = Buffer.from(line, 'base64').toString();
        return '235 2.7.0 ok';
      });
      return '334 ';
    };
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^235 /);
    expect(response).toBe(`alice@example.com\0gateway\0${'m'.repeat(2_000)}`);
  });

  it('takes the exchange byte by byte (wire 154)', async () => {
    const gateway = await bed();
    const client = await gateway.connect();
    for (const character of `EHLO x\r\nAUTH LOGIN\r\n${base64('alice')}\r\n${base64(gateway.password)}\r\n`) {
      client.send(character);
    }
    expect((await client.replies(4)).slice(1)).toEqual([
      '334 VXNlcm5hbWU6',
      '334 UGFzc3dvcmQ6',
      '235 2.7.0 Authentication successful',
    ]);
  });

  it('refuses with the texts of the one table (wire 82)', async () => {
    const gateway = await bed();
    const { credentials, alice } = gateway;
    const imapOnly = await credentials.issue(alice, { scopes: ['imap'] });
    const elsewhere = await credentials.issue(alice, { networks: ['192.0.2.0/24'] });
    const expired = await credentials.issue(alice, { expiresInMs: 60_000 });
    const other = await credentials.account('bob@example.com');
    const foreign = await credentials.issue(other);
    credentials.clock.advance(120_000);
    await credentials.revocations.poll();
    const cases: readonly (readonly [string, string])[] = [
      [plain('alice', foreign.password), '535 5.7.8 Authentication credentials invalid'],
      [plain('nobody', gateway.password), '535 5.7.8 Authentication credentials invalid'],
      [
        plain('alice', 'main password'),
        '535 5.7.8 Application-specific password required. Create one at https://mail.example.com',
      ],
      [plain('alice', imapOnly.password), '535 5.7.8 Not allowed'],
      [plain('alice', elsewhere.password), '535 5.7.8 Not allowed'],
      // Wire 38, 86; S-05.
      [plain('alice', gateway.password, 'bob@example.com'), '535 5.7.8 Not allowed'],
      [plain('', gateway.password, 'alice@example.com'), '535 5.7.8 Authentication credentials invalid'],
      [
        plain('alice', expired.password),
        '535 5.7.8 App password expired. Create a new one at https://mail.example.com',
      ],
    ];
    for (const [line, reply] of cases) {
      const client = await gateway.connect();
      await client.ask('EHLO laptop');
      expect(await client.ask(line)).toBe(reply);
      expect(await client.ask('NOOP')).toBe('250 2.0.0 OK');
    }
    expect(gateway.sink.sessions).toHaveLength(0);
    expect(gateway.registry.size).toBe(0);
  });

  it('closes after failed logins, and at malformed ones without end (wire 87)', async () => {
    const gateway = await bed();
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    const wrong = plain('alice', 'aaaa aaaa aaaa aaaa');
    for (let failure = 1; failure < 4; failure++) expect(await client.ask(wrong)).toMatch(/^535 5\.7\.8 /);
    expect(await client.ask(wrong)).toBe('421 4.7.0 Too many failed logins, try later');
    expect(await client.reply()).toBe('closed');

    const other = await gateway.connect();
    await other.ask('EHLO laptop');
    for (let failure = 1; failure < 10; failure++) {
      expect(await other.ask('AUTH PLAIN !!!')).toBe('501 5.5.2 Cannot decode base64');
    }
    expect(await other.ask('AUTH PLAIN !!!')).toBe('421 4.7.0 Too many errors');
  });

  it('tells an outage as one (wire 81, S-14)', async () => {
    const down = await bed({ backendDown: true });
    const client = await down.connect();
    await client.ask('EHLO laptop');
    const right = plain('alice', down.password);
    for (let attempt = 0; attempt < 6; attempt++) {
      expect(await client.ask(right)).toBe('454 4.7.0 Temporary authentication failure');
    }
    expect(down.registry.size).toBe(0);
    expect(await down.credentials.value('sallyport_upstream_errors_total', { kind: 'connect' })).toBe(6);

    const unusable = await bed({ masterPassword: 'two\nlines' });
    const third = await unusable.connect();
    await third.ask('EHLO laptop');
    // A fault of ours, told as one and not blamed on the backend.
    expect(await third.ask(plain('alice', unusable.password))).toBe('421 4.3.0 Internal error');
    expect(await unusable.credentials.value('sallyport_logins_total', { outcome: 'bug' })).toBe(1);
    expect(await unusable.credentials.value('sallyport_upstream_errors_total')).toBe(0);
    expect(unusable.registry.size).toBe(0);
    await until(() => unusable.sink.open === 0, 'backend connection over');

    const misled = await bed({ masterPassword: 'not-it' });
    const other = await misled.connect();
    await other.ask('EHLO laptop');
    expect(await other.ask(plain('alice', misled.password))).toBe(
      '454 4.7.0 Temporary authentication failure',
    );
    expect(await misled.credentials.value('sallyport_upstream_errors_total', { kind: 'refused-us' })).toBe(1);
  });

  it('says in the log who was refused, and why', async () => {
    const gateway = await bed();
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    await client.ask(plain('', 'nobody'));
    await gateway.credentials.database.destroy();
    expect(await client.ask(plain('alice@example.com', gateway.password))).toMatch(/^454 /);
    const lines = gateway.log.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'login refused');
    const from = { protocol: 'smtp', peer: '127.0.0.1', mechanism: 'PLAIN', client: 'laptop' };
    expect(lines).toMatchObject([
      { ...from, account: null, outcome: 'rejected', reason: 'malformed-name' },
      {
        ...from,
        account: 'alice@example.com',
        outcome: 'unavailable',
        reason: 'unavailable',
        cause: storeSilent,
      },
    ]);
  });

  it.each([
    ['the news come at once', false],
    ['only the second look finds it', true],
  ])('lets nobody in who was revoked while the backend was opened: %s (S-54)', async (_, isDeaf) => {
    const gateway = await bed({ isDeaf });
    const { credentials, sink, alice, credentialId } = gateway;
    sink.answer = async (command) => {
      if (command === 'AUTH') await credentials.appPasswords.revoke(alice.id, credentialId, 'test', tester);
      return null;
    };
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    expect(await client.ask(plain('alice', gateway.password))).toBe(
      '535 5.7.8 Authentication credentials invalid',
    );
    await until(() => sink.open === 0, 'backend connection over');
    expect(gateway.registry.size).toBe(0);
    expect(await credentials.value('sallyport_upstream_errors_total')).toBe(0);
  });

  it('limits sessions', async () => {
    const gateway = await bed({ limits: { sessionsPerCredential: 1 } });
    await gateway.logIn();
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    expect(await client.ask(plain('alice', gateway.password))).toBe('421 4.7.0 Too many connections');
  });

  it('gives up the backend when the client leaves while it waits', async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) => (command === 'AUTH' ? 'nothing' : null);
    const client = await gateway.connect();
    await client.ask('EHLO laptop');
    client.send(`${plain('alice', gateway.password)}\r\n`);
    await until(() => gateway.sink.authzids.length === 1, 'AUTH at the backend');
    client.reset();
    await until(() => gateway.sink.open === 0, 'backend connection over');
    await until(() => gateway.registry.size === 0, 'session removed');
  });

  it('tells the backend who calls (wire 129)', async () => {
    const gateway = await bed({ xclient: true });
    gateway.sink.extensions = [...gateway.sink.extensions, 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN'];
    const client = await gateway.connect();
    await client.ask('EHLO my +laptop=');
    await client.ask(plain('alice', gateway.password));
    expect(gateway.sink.commands).toEqual([
      'EHLO mail.example.com',
      `XCLIENT NAME=[UNAVAILABLE] ADDR=127.0.0.1 PORT=${client.socket.localPort} PROTO=ESMTP HELO=my+20+2Blaptop+3D`,
      'EHLO mail.example.com',
      'AUTH',
    ]);
  });

  it('logs no secret in any form (S-91, wire 153)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    const other = await gateway.connect();
    await other.ask('EHLO laptop');
    await other.ask(plain('alice', 'my main password'));
    await client.ask('QUIT');
    await until(() => gateway.log.some((line) => line.includes('session ends')), 'log of the end');
    const log = [...gateway.log, ...gateway.credentials.log].join('');
    const secrets = [
      gateway.password,
      gateway.password.replaceAll(' ', ''),
      'my main password',
      'master-password',
    ];
    for (const secret of secrets) {
      expect(log).not.toContain(secret);
      for (const shift of [0, 1, 2]) {
        // Whatever stood before it, base64 of its middle is one of three.
        expect(log).not.toContain(base64(`${'x'.repeat(shift)}${secret}`).slice(4, -4));
      }
    }
  });
});
