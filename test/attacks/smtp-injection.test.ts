import { afterEach, describe, expect, it } from '@jest/globals';
import { openSmtpBed, plain, type SmtpBed, type SmtpBedOptions } from '../proxy/smtp-bed.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

const everything = ['PIPELINING', 'SIZE 100000000', '8BITMIME', 'DSN', 'SMTPUTF8', 'AUTH PLAIN LOGIN'];

describe('wire 105: no value becomes a line for the backend', () => {
  it.each([
    ['MAIL FROM:<a@x\rRCPT TO:<y@z>>', '501 5.1.7 Bad address syntax'],
    ['MAIL FROM:<a@x> ENVID=a\rRCPT', '501 5.1.7 Bad address syntax'],
    ['MAIL FROM:<a@x> SIZE=1\rRSET', '501 5.1.7 Bad address syntax'],
    ['MAIL FROM:<a\xc2\x85RCPT TO:<y@z>@x> SMTPUTF8', '501 5.1.7 Bad address syntax'],
    ['MAIL FROM:<a\xe2\x80\xa8b@x> SMTPUTF8', '501 5.1.7 Bad address syntax'],
  ])('%j', async (line, reply) => {
    const gateway = await bed({ extensions: everything });
    const client = await gateway.logIn();
    const before = gateway.sink.commands.length;
    expect(await client.ask(line)).toBe(reply);
    expect(gateway.sink.commands).toHaveLength(before);
  });

  it.each([
    ['RCPT TO:<a@x\r\0DATA>', '501 5.1.3 Bad address syntax'],
    ['RCPT TO:<a@x> ORCPT=rfc822;a\rb', '501 5.1.3 Bad address syntax'],
    ['RCPT TO:<"a\rb"@x>', '501 5.1.3 Bad address syntax'],
  ])('%j', async (line, reply) => {
    const gateway = await bed({ extensions: everything });
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com>');
    const before = gateway.sink.commands.length;
    expect(await client.ask(line)).toBe(reply);
    expect(gateway.sink.commands).toHaveLength(before);
  });

  it('wire 93: xtext goes on encoded, whatever it stands for', async () => {
    const gateway = await bed({ extensions: everything });
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com> RET=HDRS ENVID=QQ+0D+0ARSET');
    await client.ask(
      'RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2B+0D+0A@example.com',
    );
    expect(gateway.sink.commands.slice(-2)).toEqual([
      'MAIL FROM:<alice@example.com> BODY=8BITMIME RET=HDRS ENVID=QQ+0D+0ARSET',
      'RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2B+0D+0A@example.com',
    ]);
  });

  it('wire 132: nor does the name of EHLO', async () => {
    const gateway = await bed({
      xclient: true,
      extensions: [...everything, 'XCLIENT NAME ADDR PORT PROTO HELO LOGIN'],
    });
    const client = await gateway.connect();
    await client.ask('EHLO a b+c=\r\xe9\0');
    expect(await client.ask(plain('alice', gateway.password))).toMatch(/^235 /);
    expect(gateway.sink.commands.filter((line) => line.startsWith('XCLIENT'))).toEqual([
      expect.stringMatching(/ HELO=\[UNAVAILABLE\]$/),
    ]);
  });

  it('wire 131: a client has no XCLIENT and no XFORWARD, before login and after', async () => {
    const gateway = await bed({ extensions: [...everything, 'XCLIENT NAME ADDR'] });
    const client = await gateway.connect();
    expect(await client.ask('EHLO laptop')).not.toMatch(/XCLIENT|XFORWARD/);
    expect(await client.ask('XCLIENT ADDR=127.0.0.1')).toMatch(/^500 /);
    await client.ask(plain('alice', gateway.password));
    expect(await client.ask('XCLIENT ADDR=127.0.0.1 LOGIN=bob@example.com')).toMatch(/^500 /);
    expect(await client.ask('XFORWARD ADDR=127.0.0.1')).toMatch(/^500 /);
    expect(gateway.sink.commands.filter((line) => line.startsWith('X'))).toEqual([]);
  });
});

describe("wire 84: a backend's text is one line", () => {
  it('whatever it holds', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    gateway.sink.answer = (command) =>
      command.startsWith('MAIL') ? `550 5.1.1 a\r250 ok\0\x1b[31m\x85${'x'.repeat(2_000)}` : null;
    const reply = await client.ask('MAIL FROM:<alice@example.com>');
    expect(reply).toMatch(/^550 5\.1\.1 a\?250 ok\?\?\[31m\?\?x+$/);
    expect(reply.length).toBeLessThan(512);
    expect(await client.ask('NOOP')).toBe('250 2.0.0 OK');
  });
});

describe('wire 91: other protocols', () => {
  it.each([
    'GET / HTTP/1.1',
    'POST /x HTTP/1.0',
    'OPTIONS * HTTP/1.1',
    'Host: evil.example',
    'CONNECT a:25 HTTP/1.1',
  ])('%s ends the connection, and is not said back', async (line) => {
    for (const mode of ['implicit', 'starttls'] as const) {
      const gateway = await bed({ mode });
      const client = await (mode === 'implicit' ? gateway.connect() : gateway.connectClear());
      client.send(`${line}\r\nHELO x\r\nMAIL FROM:<a@b>\r\n`);
      expect(await client.rest()).toBe('421 4.7.0 HTTP requests not allowed');
    }
  });
});
