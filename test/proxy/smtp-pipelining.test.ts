import { afterEach, describe, expect, it } from '@jest/globals';
import { type Client, openSmtpBed, type SmtpBed, type SmtpBedOptions, until } from './smtp-bed.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

function recipients(count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `r${index}@example.com`);
}

function envelope(to: readonly string[]): string {
  return ['MAIL FROM:<alice@example.com>', ...to.map((path) => `RCPT TO:<${path}>`), 'DATA', ''].join('\r\n');
}

async function sendMessage(client: Client): Promise<string> {
  client.send('x\r\n.\r\n');
  return await client.reply();
}

describe('wire 97: an envelope in one segment', () => {
  it.each([
    ['lists PIPELINING', ['PIPELINING', 'AUTH PLAIN']],
    ['does not', ['AUTH PLAIN']],
  ])('is answered in its order where the backend %s', async (_, extensions) => {
    const gateway = await bed({ extensions });
    gateway.sink.answer = (command) => {
      const [, number] = /<r(\d+)@/.exec(command) ?? [];
      return number === undefined
        ? null
        : `${Number(number) % 3 === 0 ? '550 5.1.1' : '250 2.1.5'} r${number}`;
    };
    const client = await gateway.logIn();
    client.send(envelope(recipients(150)));
    const replies = await client.replies(152);
    expect(replies[0]).toBe('250 2.1.0 Sender ok');
    expect(replies.slice(1, -1)).toEqual(
      recipients(150).map((_path, index) => `${index % 3 === 0 ? '550 5.1.1' : '250 2.1.5'} r${index}`),
    );
    expect(replies.at(-1)).toMatch(/^354 /);
    expect(await sendMessage(client)).toMatch(/^250 /);
    expect(gateway.sink.commands.filter((line) => line.startsWith('RCPT'))).toEqual(
      recipients(150).map((path) => `RCPT TO:<${path}>`),
    );
  });

  it('is with the backend before the backend has answered anything', async () => {
    const gateway = await bed({ extensions: ['PIPELINING', 'AUTH PLAIN'] });
    const client = await gateway.logIn();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    gateway.sink.answer = async (command) => {
      if (command.startsWith('MAIL')) await released;
      return null;
    };
    client.send(envelope(recipients(3)));
    const [session] = gateway.sink.sessions;
    await until(() => session?.waiting.split('\r\n').length === 4, 'all recipients at the backend');
    // DATA is not among it: with every recipient refused it would be a message to nobody.
    expect(session?.waiting).not.toContain('DATA');
    release();
    expect((await client.replies(5)).at(-1)).toMatch(/^354 /);
  });

  it('whose MAIL is refused has its recipients refused too', async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) => {
      if (command.startsWith('MAIL')) return '550 5.7.1 not you';
      return command.startsWith('RCPT') ? '503 5.5.1 need MAIL' : null;
    };
    const client = await gateway.logIn();
    client.send(envelope(recipients(2)));
    const replies = await client.replies(4);
    expect(replies[0]).toBe('550 5.7.1 not you');
    for (const reply of replies.slice(1, 3)) expect(reply).toMatch(/^503 5\.5\.1 /);
    expect(replies[3]).toBe('503 5.5.1 Need MAIL command');
    expect(gateway.sink.commands).not.toContain('DATA');
    gateway.sink.answer = () => null;
    client.send(envelope(recipients(1)));
    expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
  });

  it('that is refused here never reaches the backend without its MAIL', async () => {
    const gateway = await bed({ extensions: ['AUTH PLAIN'] });
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@example.com> SMTPUTF8\r\nRCPT TO:<a@x>\r\nNOOP\r\n');
    const replies = await client.replies(3);
    expect(replies[0]).toBe('555 5.5.4 Unsupported parameter');
    expect(replies[1]).toMatch(/^5\d\d /);
    expect(replies[2]).toBe('250 2.0.0 OK');
    expect(gateway.sink.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
  });

  it('waits with every other command for its replies', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@x>\r\nNOOP\r\nFOO\r\nRSET\r\nRCPT TO:<b@x>\r\n');
    client.send('MAIL FROM:<alice@example.com>\r\nMAIL FROM:<alice@example.com>\r\nQUIT\r\n');
    expect(await client.rest()).toBe(
      [
        '250 2.1.0 Sender ok',
        '250 2.1.5 Recipient ok',
        '250 2.0.0 OK',
        '500 5.5.2 Error: command not recognized',
        '250 2.0.0 Flushed',
        '503 5.5.1 Need MAIL command',
        '250 2.1.0 Sender ok',
        '503 5.5.1 Nested MAIL command',
        '221 2.0.0 Bye',
      ].join('\n'),
    );
  });

  it('keeps the limit of recipients, and counts no refused one', async () => {
    const gateway = await bed({ limits: { recipients: 3 } });
    gateway.sink.answer = (command) => (command.includes('<bad') ? '550 5.1.1 no' : null);
    const client = await gateway.logIn();
    client.send(envelope(['bad0@x', 'a@x', 'bad1@x', 'b@x', 'c@x', 'd@x', 'bad2@x']));
    expect((await client.replies(9)).map((reply) => reply.slice(0, 3))).toEqual([
      ...['250', '550', '250', '550', '250', '250', '452', '452'],
      '354',
    ]);
    await sendMessage(client);
    expect(gateway.sink.messages[0]?.to).toEqual(['<a@x>', '<b@x>', '<c@x>']);
  });

  it('goes again, whole, to another connection where the old one was closed for idling', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    client.send(envelope(['a@x']));
    await client.replies(3);
    await sendMessage(client);
    let isFirst = true;
    gateway.sink.answer = (command) => {
      if (!command.startsWith('MAIL') || !isFirst) return null;
      isFirst = false;
      return 'cut';
    };
    client.send(envelope(['b@x', 'c@x']));
    expect((await client.replies(4)).at(-1)).toMatch(/^354 /);
    expect(await sendMessage(client)).toBe('250 2.0.0 Ok: queued as Q2');
    expect(gateway.sink.messages.map(({ to }) => to)).toEqual([['<a@x>'], ['<b@x>', '<c@x>']]);
    expect(gateway.sink.sessions).toHaveLength(2);
    expect(await gateway.credentials.value('sallyport_upstream_errors_total')).toBe(0);
  });

  it('that loses its backend half way is 451 from there on, and counted once', async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) => (command.includes('r2@') ? 'cut' : null);
    const client = await gateway.logIn();
    client.send(envelope(recipients(5)));
    const replies = await client.replies(7);
    expect(replies.slice(0, 3).map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250']);
    for (const reply of replies.slice(3))
      expect(reply).toBe('451 4.4.2 Connection to the mail server was lost');
    expect(await gateway.credentials.value('sallyport_upstream_errors_total')).toBe(1);
    expect(gateway.sink.messages).toEqual([]);
  });

  it('of a client that leaves is left too', async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) => (command.startsWith('MAIL') ? 'nothing' : null);
    const client = await gateway.logIn();
    client.send(envelope(recipients(50)));
    await until(() => gateway.sink.commands.some((line) => line.startsWith('MAIL')), 'MAIL at the backend');
    client.reset();
    await until(() => gateway.sink.open === 0, 'backend connection over');
    await until(() => gateway.registry.size === 0, 'session removed');
    expect(gateway.log.filter((line) => /"level":[56]0/.test(line))).toEqual([]);
  });
});
