import { afterEach, describe, expect, it } from '@jest/globals';
import { bodies, doubts, shown, smuggled, smuggles } from '../protocol/smtp/smuggling.ts';
import { type Client, openSmtpBed, type SmtpBed, type SmtpBedOptions, until } from '../proxy/smtp-bed.ts';

// A client that is logged in, or whose mail program sends what a stranger wrote, against a backend that keeps raw bytes.

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

async function openMessage(client: Client): Promise<void> {
  client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
  expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
}

/** TLS keeps what was written apart, and the reader on the other side gets it so. */
function sendCut(client: Client, text: string, at: number): void {
  client.send(text.slice(0, at));
  client.send(text.slice(at));
}

describe('wire 107, S-11: a body with what some server takes for its end', () => {
  it.each(smuggles)('%s is one message, and no command of it is heard', async (_, end) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    const text = `before${end}${smuggled}.\r\n`;
    const isRefused = end.includes('\0');
    // Every cut (wire 109).
    for (let at = 0; at <= text.length; at++) {
      await openMessage(client);
      sendCut(client, text, at);
      expect(await client.reply()).toBe(
        isRefused
          ? '550 5.6.11 Message contains a NUL character'
          : `250 2.0.0 Ok: queued as Q${gateway.sink.messages.length}`,
      );
    }
    expect(gateway.sink.commands.filter((line) => line.includes('evil'))).toEqual([]);
    const raws = [...new Set(gateway.sink.messages.map(({ raw }) => raw))];
    expect(raws.flatMap(doubts)).toEqual([]);
    expect(raws.map(shown)).toHaveLength(isRefused ? 0 : 1);
    if (!isRefused) expect(raws[0]).toContain('forged');
  });

  it.each(smuggles)('%s is refused where bare line ends are', async (name, end) => {
    const gateway = await bed({ bareNewlines: 'refuse' });
    const client = await gateway.logIn();
    await openMessage(client);
    client.send(`before${end}${smuggled}.\r\n`);
    const reply = await client.reply();
    if (['NEL', 'white space behind the dot'].includes(name)) {
      expect(reply).toMatch(/^250 /);
      expect(gateway.sink.messages.flatMap(({ raw }) => doubts(raw))).toEqual([]);
      return;
    }
    expect(reply).toMatch(/^550 5\.6\.11 (?:Bare <(?:CR|LF)> not allowed|Message contains a NUL character)$/);
    expect(gateway.sink.messages).toEqual([]);
    expect(gateway.sink.sessions.map(({ unfinished }) => unfinished).join('')).not.toMatch(/\n\.\r\n$/);
    // And the connection is as good as before.
    await openMessage(client);
    client.send('after\r\n.\r\n');
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
  });
});

describe('wire 102, 109: a body with dots', () => {
  it.each(bodies)('%j arrives as it was sent, however it is cut', async (body) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    for (let at = 0; at <= body.length; at++) {
      await openMessage(client);
      sendCut(client, body, at);
      expect(await client.reply()).toBe(`250 2.0.0 Ok: queued as Q${at + 1}`);
    }
    await openMessage(client);
    for (const byte of body) client.send(byte);
    expect(await client.reply()).toMatch(/^250 /);
    expect([...new Set(gateway.sink.messages.map(({ raw }) => shown(raw)))]).toEqual([shown(body)]);
  });

  it('wire 109: a first line of two dots, cut behind them, ends nothing', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    sendCut(client, '..\r\nMAIL FROM:<evil@example.com>\r\n.\r\n', 2);
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    expect(gateway.sink.messages.map(({ raw }) => shown(raw))).toEqual([
      shown('..\r\nMAIL FROM:<evil@example.com>\r\n.\r\n'),
    ]);
  });

  it('is not mixed up with the commands behind it', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('one\r\n.\r\nMAIL FROM:<alice@example.com>\r\nRCPT TO:<carol@example.com>\r\nDATA\r\n');
    expect((await client.replies(4)).map((reply) => reply.slice(0, 3))).toEqual(['250', '250', '250', '354']);
    client.send('two\r\n.\r\nQUIT\r\n');
    expect(await client.rest()).toBe('250 2.0.0 Ok: queued as Q2\n221 2.0.0 Bye');
    expect(gateway.sink.messages.map(({ to, raw }) => [to, raw])).toEqual([
      [['<bob@example.com>'], 'one\r\n.\r\n'],
      [['<carol@example.com>'], 'two\r\n.\r\n'],
    ]);
  });
});

describe('wire 108: commands', () => {
  it('end with LF too, and never with CR alone', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@example.com>\nRCPT TO:<bob@example.com>\nNOOP\rRSET\r\nNOOP\n');
    expect(await client.replies(4)).toEqual([
      '250 2.1.0 Sender ok',
      '250 2.1.5 Recipient ok',
      '500 5.5.2 Error: command not recognized',
      '250 2.0.0 OK',
    ]);
    expect(gateway.sink.commands.filter((line) => line === 'RSET')).toEqual([]);
  });
});

describe('wire 73: BDAT, which is not offered', () => {
  it('ends the connection, so that its content is not read as commands', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com>');
    await client.ask('RCPT TO:<bob@example.com>');
    client.send('BDAT 40 LAST\r\nRSET\r\nMAIL FROM:<evil@example.com>\r\n');
    expect(await client.rest()).toBe('502 5.5.1 CHUNKING is not offered');
    await until(() => gateway.sink.open === 0, 'backend connection over');
    expect(gateway.sink.commands.join()).not.toContain('evil');
  });
});
