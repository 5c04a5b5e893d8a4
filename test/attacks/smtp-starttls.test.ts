import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type Client,
  openSmtpBed,
  plain,
  type SmtpBed,
  type SmtpBedOptions,
  until,
} from '../proxy/smtp-bed.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed({ mode: 'starttls', ...options });
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

const go = '220 2.0.0 Ready to start TLS';

async function secured(gateway: SmtpBed): Promise<Client> {
  const client = await gateway.connectClear();
  expect(await client.ask('STARTTLS')).toBe(go);
  await client.startTls(gateway.ca);
  return client;
}

describe('submission with STARTTLS', () => {
  it('wire 110, 116: takes a login and a message, with another list than in clear', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    const clear = await client.ask('EHLO laptop');
    expect(clear).toContain('STARTTLS');
    expect(clear).not.toContain('AUTH');
    expect(await client.ask('STARTTLS')).toBe(go);
    await client.startTls(gateway.ca);
    const list = await client.ask('EHLO laptop');
    expect(list).toContain('AUTH PLAIN LOGIN');
    expect(list).not.toContain('STARTTLS');
    expect(await client.ask(plain('alice', gateway.password))).toBe('235 2.7.0 Authentication successful');
    client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
    expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
    client.send('hello\r\n.\r\n');
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    await client.ask('QUIT');
    await until(() => gateway.registry.size === 0, 'session removed');
  });

  it('wire 115: has it once, without argument, and not behind a login', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    expect(await client.ask('STARTTLS x')).toBe('501 5.5.4 Syntax: STARTTLS');
    expect(await client.ask('STARTTLS')).toBe(go);
    await client.startTls(gateway.ca);
    await client.ask('EHLO laptop');
    expect(await client.ask('STARTTLS')).toMatch(/^503 5\.5\.1 /);
    await client.ask(plain('alice', gateway.password));
    expect(await client.ask('STARTTLS')).toMatch(/^503 5\.5\.1 /);
  });

  it('S-01: takes no password in clear, neither in the command nor behind it', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    await client.ask('EHLO laptop');
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^538 5\.7\.11 /);
    expect(await client.ask('AUTH LOGIN')).toMatch(/^538 5\.7\.11 /);
    expect(await client.ask(Buffer.from('alice').toString('base64'))).toMatch(/^530 5\.7\.0 /);
    expect(await gateway.credentials.value('sallyport_logins_total')).toBe(0);
    expect(gateway.log.join('')).not.toContain(gateway.password.replaceAll(' ', ''));
  });
});

describe('bytes in clear that somebody else put in', () => {
  it.each([
    ['wire 111: a whole line', 'STARTTLS\r\nEHLO commandinjectiontester\r\n'],
    ['wire 111: many lines', `STARTTLS\r\n${'NOOP\r\n'.repeat(1_000)}`],
    ['wire 114: a login', 'STARTTLS\r\nEHLO evil\r\nAUTH PLAIN AGV2aWwAZXZpbA==\r\n'],
    ['wire 114: a sender', 'STARTTLS\r\nMAIL FROM:<evil@example.com>\r\n'],
    ['wire 112: half a line', 'STARTTLS\r\nNOOP '],
  ])('%s behind STARTTLS is dropped', async (_, sent) => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    client.send(sent);
    expect(await client.reply()).toBe(go);
    await client.startTls(gateway.ca);
    // The first reply in TLS is the one to the first command in TLS: nothing was waiting, nothing is joined to it.
    expect(await client.ask('FOO')).toBe('500 5.5.2 Error: command not recognized');
    expect(await client.ask('EHLO laptop')).toMatch(/^250-mail\.example\.com/);
    expect(await client.ask(plain('alice', gateway.password))).toBe('235 2.7.0 Authentication successful');
    expect(client.unread).toBe('');
  });

  it('wire 113: a segment of its own before the handshake ends the connection', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    expect(await client.ask('STARTTLS')).toBe(go);
    client.send('NOOP\r\n');
    expect(await client.reply()).toMatch(/^(?:closed|odd: .*)$/);
    expect(client.unread).not.toMatch(/[245]\d\d[ -]/);
  });

  it('wire 114: the name of EHLO is forgotten, and has to be said again', async () => {
    const gateway = await bed({ xclient: true });
    gateway.sink.extensions = [...gateway.sink.extensions, 'XCLIENT HELO'];
    const client = await gateway.connectClear();
    await client.ask('EHLO evil');
    await client.ask('STARTTLS');
    await client.startTls(gateway.ca);
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^503 /);
    await client.ask('EHLO honest');
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^235 /);
    expect(gateway.sink.commands.filter((line) => line.startsWith('XCLIENT'))).toEqual([
      'XCLIENT HELO=honest',
    ]);
  });
});

describe('wire 118: between the answer to STARTTLS and the handshake', () => {
  it('nothing is said, a shutdown neither', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    expect(await client.ask('STARTTLS')).toBe(go);
    gateway.door.drain();
    await client.startTls(gateway.ca);
    // Inside TLS it is.
    expect(await client.rest()).toBe('421 4.3.2 Server shutting down');
  });

  it('the end of the time to log in closes without a word', async () => {
    const gateway = await bed({ limits: { loginTimeMs: 300 } });
    const client = await gateway.connectClear();
    expect(await client.ask('STARTTLS')).toBe(go);
    expect(await client.reply()).toBe('closed');
  });

  it('the door closes without a word', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    expect(await client.ask('STARTTLS')).toBe(go);
    gateway.door.close();
    expect(await client.reply()).toBe('closed');
  });
});

describe('a clear connection', () => {
  it('wire 151: has a time', async () => {
    const gateway = await bed({ limits: { loginTimeMs: 300 } });
    expect(await (await gateway.connectClear()).rest()).toBe('421 4.4.2 Timeout');
    const client = await secured(gateway);
    expect(await client.rest()).toBe('421 4.4.2 Timeout');
  });

  it('wire 82: hears of a shutdown', async () => {
    const gateway = await bed();
    const client = await gateway.connectClear();
    gateway.door.drain();
    expect(await client.rest()).toBe('421 4.3.2 Server shutting down');
  });

  it.each([
    ['reset', (client: Client) => client.reset()],
    ['closed', (client: Client) => client.socket.destroy()],
    ['half closed', (client: Client) => client.socket.end()],
  ])('wire 155: may be %s at every step', async (_, leave) => {
    const gateway = await bed();
    for (const steps of [[], ['EHLO x'], ['EHLO x', 'STARTTLS']]) {
      const client = await gateway.connectClear();
      for (const step of steps) await client.ask(step);
      leave(client);
      expect(await client.rest()).toBe('');
    }
    const client = await secured(gateway);
    leave(client);
    expect(await client.rest()).toBe('');
    // Who comes next is served.
    const next = await secured(gateway);
    expect(await next.ask('EHLO x')).toMatch(/^250-/);
    expect(gateway.log.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  });
});
