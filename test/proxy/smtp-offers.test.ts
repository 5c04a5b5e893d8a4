import { afterEach, describe, expect, it } from '@jest/globals';
import { type Client, openSmtpBed, plain, type SmtpBed, type SmtpBedOptions } from './smtp-bed.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

const ours = ['PIPELINING', 'ENHANCEDSTATUSCODES'];
const rich = ['PIPELINING', 'SIZE 1000000', '8BITMIME', 'DSN', 'SMTPUTF8', 'CHUNKING', 'VRFY', 'AUTH PLAIN'];

/** What EHLO lists besides AUTH. */
async function listed(client: Client): Promise<readonly string[]> {
  const lines = (await client.ask('EHLO laptop')).split('\n').slice(1);
  return lines.map((line) => line.slice(4)).filter((line) => !line.startsWith('AUTH'));
}

describe('wire 73, 88: EHLO', () => {
  it('lists what the backend lists and is relayed, never CHUNKING', async () => {
    const gateway = await bed({ extensions: rich });
    const client = await gateway.connect();
    expect(await listed(client)).toEqual([...ours, 'SIZE 1000000', '8BITMIME', 'DSN', 'SMTPUTF8']);
  });

  it('lists what all backends list, also those of others', async () => {
    const gateway = await bed({
      extensions: rich,
      otherExtensions: ['SIZE 500000', 'SMTPUTF8', 'AUTH PLAIN'],
    });
    expect(await listed(await gateway.connect())).toEqual([...ours, 'SIZE 500000', 'SMTPUTF8']);
  });

  it('keeps to our own limit of size', async () => {
    const gateway = await bed({ extensions: ['SIZE 0', 'AUTH PLAIN'], limits: { messageBytes: 2_000_000 } });
    expect(await listed(await gateway.connect())).toEqual([...ours, 'SIZE 2000000']);
  });

  it('drops what a login finds dropped, for good', async () => {
    const gateway = await bed({ extensions: rich });
    const client = await gateway.connect();
    expect(await listed(client)).toContain('DSN');
    gateway.sink.extensions = ['SIZE 1000000', '8BITMIME', 'AUTH PLAIN'];
    await client.ask(plain('alice', gateway.password));
    expect(await listed(client)).toEqual([...ours, 'SIZE 1000000', '8BITMIME']);
    gateway.sink.extensions = rich;
    expect(await listed(await gateway.logIn())).toEqual([...ours, 'SIZE 1000000', '8BITMIME']);
    // What was promised and is gone is refused, not dropped (wire 93).
    expect(await client.ask('MAIL FROM:<alice@example.com> RET=FULL')).toBe(
      '555 5.5.4 Unsupported parameter',
    );
    expect(await client.ask('MAIL FROM:<alice@example.com> SMTPUTF8')).toBe(
      '555 5.5.4 Unsupported parameter',
    );
  });

  it('promises nothing of a backend that is down, and asks it again', async () => {
    const gateway = await bed({ backendDown: true });
    const client = await gateway.connect();
    expect(await listed(client)).toEqual(ours);
    await gateway.sink.listen(gateway.backendPort);
    expect(await listed(client)).toEqual(ours);
    gateway.credentials.clock.advance(30_000);
    expect(await listed(client)).toEqual(ours);
    const lists = async () => (await listed(client)).length;
    while ((await lists()) === ours.length);
    expect(await listed(client)).toEqual([...ours, 'SIZE 52428800', '8BITMIME']);
  });
});

describe('wire 89: the greeting', () => {
  it('does not wait for a backend that says nothing', async () => {
    const gateway = await bed();
    gateway.sink.answer = () => 'nothing';
    const other = await bed({ backendPort: gateway.backendPort });
    // Greeted, or this would not resolve; its EHLO waits a second at most.
    const client = await other.connect();
    expect(await listed(client)).toEqual(ours);
  });
});

describe('wire 93, 94: what goes on', () => {
  it('SMTPUTF8 with its letters, as UTF-8', async () => {
    const gateway = await bed({ extensions: rich });
    const client = await gateway.logIn();
    expect(await client.ask('MAIL FROM:<jos\xc3\xa9@b\xc3\xbccher.example> SMTPUTF8')).toMatch(/^250 /);
    expect(await client.ask('RCPT TO:<jos\xc3\xa9@b\xc3\xbccher.example>')).toMatch(/^250 /);
    expect(gateway.sink.commands.slice(-2)).toEqual([
      'MAIL FROM:<jos\xc3\xa9@b\xc3\xbccher.example> BODY=8BITMIME SMTPUTF8',
      'RCPT TO:<jos\xc3\xa9@b\xc3\xbccher.example>',
    ]);
    await client.ask('RSET');
    await client.ask('MAIL FROM:<alice@example.com>');
    expect(await client.ask('RCPT TO:<jos\xc3\xa9@example.com>')).toBe('553 5.6.7 Address must be ASCII');
  });

  it('a domain in other letters in its ASCII form, and that form as it is', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com>');
    await client.ask('RCPT TO:<a@b\xc3\xbccher.example>');
    await client.ask('RCPT TO:<a@xn--bcher-kva.example>');
    expect(gateway.sink.commands.slice(-2)).toEqual([
      'RCPT TO:<a@xn--bcher-kva.example>',
      'RCPT TO:<a@xn--bcher-kva.example>',
    ]);
  });

  it('8-bit content that nobody declared, unchanged (wire 95)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
    await client.replies(3);
    client.send('Subject: caf\xc3\xa9\r\n\r\n\xe9\x80\xff\r\n.\r\n');
    expect(await client.reply()).toMatch(/^250 /);
    expect(gateway.sink.messages).toMatchObject([
      {
        from: '<alice@example.com> BODY=8BITMIME',
        raw: 'Subject: caf\xc3\xa9\r\n\r\n\xe9\x80\xff\r\n.\r\n',
      },
    ]);
  });
});
