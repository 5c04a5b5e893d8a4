import { afterEach, describe, expect, it } from '@jest/globals';
import { tester } from '../support/journal.ts';
import { type Client, openSmtpBed, type SmtpBed, type SmtpBedOptions, until } from './smtp-bed.ts';
import type { SinkAnswer } from './smtp-sink.ts';

const beds: SmtpBed[] = [];

async function bed(options: SmtpBedOptions = {}): Promise<SmtpBed> {
  const opened = await openSmtpBed(options);
  beds.push(opened);
  return opened;
}
afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

/** MAIL, RCPT and DATA in one segment, up to 354. */
async function openMessage(client: Client): Promise<void> {
  client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
  expect(await client.replies(3)).toEqual([
    '250 2.1.0 Sender ok',
    '250 2.1.5 Recipient ok',
    '354 End data with <CR><LF>.<CR><LF>',
  ]);
}

/** Answers by verb; `MESSAGE` is the end of data. */
function answering(answers: Readonly<Record<string, SinkAnswer>>): (command: string) => SinkAnswer {
  return (command) => answers[command.split(/[ :]/)[0] ?? ''] ?? null;
}

const lost = '451 4.4.2 Connection to the mail server was lost';

describe('a transaction', () => {
  it('is relayed one to one, and the queue id comes back', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('Subject: hello\r\n\r\n..one dot\r\n...two\r\n.\r\n');
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    await openMessage(client);
    client.send('second\r\n.\r\n');
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q2');
    expect(await client.ask('QUIT')).toBe('221 2.0.0 Bye');
    const envelope = { from: '<alice@example.com> BODY=8BITMIME', to: ['<bob@example.com>'] };
    expect(gateway.sink.messages).toEqual([
      { ...envelope, raw: 'Subject: hello\r\n\r\n..one dot\r\n...two\r\n.\r\n' },
      { ...envelope, raw: 'second\r\n.\r\n' },
    ]);
    expect(gateway.sink.sessions).toHaveLength(1);
  });

  it('is refused for a NUL, and nothing of it is delivered', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('before\r\n\0.\r\nMAIL FROM:<evil@example.com>\r\n.\r\n');
    expect(await client.reply()).toBe('550 5.6.11 Message contains a NUL character');
    await openMessage(client);
    client.send('after\r\n.\r\n');
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    expect(gateway.sink.messages.map(({ raw }) => raw)).toEqual(['after\r\n.\r\n']);
  });

  it("passes the backend's refusals on one by one (wire 96, 97)", async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) =>
      command.includes('nobody') ? '550-5.1.1 <nobody@example.com>: no such\r\n550 5.1.1 user' : null;
    const client = await gateway.logIn();
    client.send(
      'MAIL FROM:<alice@example.com>\r\nRCPT TO:<a@x>\r\nRCPT TO:<nobody@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n',
    );
    expect(await client.replies(5)).toEqual([
      '250 2.1.0 Sender ok',
      '250 2.1.5 Recipient ok',
      '550 5.1.1 <nobody@example.com>: no such user',
      '250 2.1.5 Recipient ok',
      '354 End data with <CR><LF>.<CR><LF>',
    ]);
    client.send('x\r\n.\r\n');
    await client.reply();
    expect(gateway.sink.messages[0]?.to).toEqual(['<a@x>', '<b@x>']);
  });

  it('ends with RSET and with EHLO on the backend too (wire 101)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    for (const end of ['RSET', 'EHLO laptop', 'HELO laptop']) {
      await client.ask('MAIL FROM:<alice@example.com>');
      await client.ask('RCPT TO:<a@x>');
      expect(await client.ask(end)).toMatch(/^250/);
    }
    await client.ask('MAIL FROM:<alice@example.com>');
    await client.ask('RCPT TO:<b@x>');
    await client.ask('DATA');
    client.send('x\r\n.\r\n');
    await client.reply();
    expect(gateway.sink.messages.map(({ to }) => to)).toEqual([['<b@x>']]);
  });

  it.each([
    [['RCPT TO:<a@x>'], '503 5.5.1 Need MAIL command'],
    [['DATA'], '503 5.5.1 Need MAIL command'],
    [['MAIL FROM:<a@x>', 'DATA'], '503 5.5.1 Need RCPT command'],
    [['MAIL FROM:<a@x>', 'MAIL FROM:<a@x>'], '503 5.5.1 Nested MAIL command'],
    [['MAIL FROM:<a@x>', 'RCPT TO:<no@x> FOO=1', 'DATA'], '503 5.5.1 Need RCPT command'],
    [['MAIL FROM:<a@x>', 'RCPT TO:<no@x> NOTIFY=NEVER'], '555 5.5.4 Unsupported parameter'],
    [['MAIL FROM:<a@x> SIZE=52428801'], '552 5.3.4 Message too big'],
    [['MAIL FROM:<a@x> FOO=1'], '555 5.5.4 Unsupported parameter'],
    [['MAIL FROM:<a@x\rRSET>'], '501 5.1.7 Bad address syntax'],
  ])('%j is refused here', async (lines, reply) => {
    const client = await (await bed()).logIn();
    let last = '';
    for (const line of lines) last = await client.ask(line);
    expect(last).toBe(reply);
  });

  it.each([
    'MAIL FROM:<alice@example.com>',
    'MAIL FROM: <alice@example.com>',
    'mail from:<alice@example.com>',
    'MAIL FROM:alice@example.com',
    'MAIL FROM:<alice@example.com> ',
  ])('begins with %j (wire 92)', async (line) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    expect(await client.ask(line)).toBe('250 2.1.0 Sender ok');
    expect(gateway.sink.commands.at(-1)).toBe('MAIL FROM:<alice@example.com> BODY=8BITMIME');
    await client.ask('RSET');
    expect(await client.ask('MAIL FROM:<>')).toBe('250 2.1.0 Sender ok');
  });

  it('has a limit of recipients', async () => {
    const gateway = await bed({ limits: { recipients: 2 } });
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com>');
    await client.ask('RCPT TO:<a@x>');
    await client.ask('RCPT TO:<b@x>');
    expect(await client.ask('RCPT TO:<c@x>')).toBe('452 4.5.3 Too many recipients');
  });

  it('has a limit of bytes while it streams (wire 103)', async () => {
    const gateway = await bed({ limits: { messageBytes: 1_000_000 } });
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('a line of a long message, which is never delivered\r\n'.repeat(25_000));
    client.send('.\r\n');
    expect(await client.reply()).toBe('552 5.3.4 Message too big');
    await openMessage(client);
    client.send('a line of a message without an end, which is not read for ever\r\n'.repeat(100_000));
    expect(await client.rest()).toBe('421 4.7.0 Message too big');
    expect(gateway.sink.messages).toEqual([]);
    await until(() => gateway.sink.open === 0, 'backend connection over');
  });

  it('says every enhanced code once, of the class of its reply (wire 83)', async () => {
    const gateway = await bed();
    gateway.sink.answer = (command) => {
      if (command.includes('odd')) return '550 4.7.1 class of another';
      if (command.includes('none')) return '550 no code';
      if (command.includes('hostile')) return '550 5.1.1 a\rb\0c\x1b[1m';
      return null;
    };
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@example.com>');
    const replies = [];
    for (const name of ['odd', 'none', 'hostile']) replies.push(await client.ask(`RCPT TO:<${name}@x>`));
    expect(replies).toEqual(['550 5.0.0 class of another', '550 5.0.0 no code', '550 5.1.1 a?b?c?[1m']);
    for (const line of ['DATA', 'FOO', 'NOOP', 'AUTH PLAIN', 'RSET', 'MAIL', 'QUIT']) {
      expect(await client.ask(line)).toMatch(/^([245])\d\d \1\.\d+\.\d+ (?!\d\.\d)/);
    }
  });
});

describe('a backend that fails', () => {
  it("is never 250, nor a doubt of the client's password (wire 81, 98, 99)", async () => {
    const cases: readonly (readonly [Readonly<Record<string, SinkAnswer>>, readonly string[]])[] = [
      [{ MAIL: '530 5.7.0 Authentication required' }, ['451 4.3.0 Temporary failure of the mail server']],
      [{ MAIL: 'cut' }, [lost]],
      [{ MAIL: '354 what' }, [lost]],
      [{ RCPT: 'cut' }, ['250 2.1.0 Sender ok', lost, lost]],
      [{ DATA: 'cut' }, ['250 2.1.0 Sender ok', '250 2.1.5 Recipient ok', lost]],
      [
        { DATA: '452 4.3.1 disk full' },
        ['250 2.1.0 Sender ok', '250 2.1.5 Recipient ok', '452 4.3.1 disk full'],
      ],
      [{ DATA: '250 2.0.0 Ok: queued' }, ['250 2.1.0 Sender ok', '250 2.1.5 Recipient ok', lost]],
      [
        { RCPT: '450 4.2.0 later' },
        ['250 2.1.0 Sender ok', '450 4.2.0 later', '554 5.5.1 No valid recipients'],
      ],
    ];
    for (const [answers, expected] of cases) {
      const gateway = await bed();
      const client = await gateway.logIn();
      gateway.sink.answer = answering(answers);
      const lines = ['MAIL FROM:<alice@example.com>', 'RCPT TO:<bob@example.com>', 'DATA'];
      const replies: string[] = [];
      for (const line of lines.slice(0, expected.length)) replies.push(await client.ask(line));
      expect(replies).toEqual(expected);
      expect(await gateway.credentials.value('sallyport_upstream_errors_total')).toBeLessThanOrEqual(1);
      // The session goes on when the backend does. What DATA ended needs no RSET.
      gateway.sink.answer = () => null;
      const isEnded = expected.length === 3 && !expected[2]?.startsWith('554');
      if (!isEnded) await client.ask('RSET');
      await openMessage(client);
      client.send('x\r\n.\r\n');
      expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    }
  });

  it('between end of data and reply leaves the message open, and it is logged (wire 99)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    gateway.sink.answer = answering({ MESSAGE: 'cut' });
    await openMessage(client);
    client.send('x\r\n.\r\n');
    expect(await client.reply()).toBe(lost);
    expect(gateway.log.filter((line) => line.includes('possibly delivered'))).toHaveLength(1);
    expect(await gateway.credentials.value('sallyport_upstream_errors_total', { kind: 'closed' })).toBe(1);
  });

  it.each(['', 'half a message\r\n'])('within the message %j has not taken it', async (text) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send(text);
    const [session] = gateway.sink.sessions;
    await until(() => text === '' || session?.unfinished !== '', 'half a message at the backend');
    session?.socket.destroy();
    await until(() => gateway.sink.open === 0, 'backend connection over');
    client.send('.\r\n');
    expect(await client.reply()).toBe(lost);
    expect(await gateway.credentials.value('sallyport_upstream_errors_total')).toBe(1);
    expect(gateway.log.join('')).not.toContain('possibly delivered');
  });

  it('and takes no 8-bit messages is not given one as such (RFC 6152 3)', async () => {
    const gateway = await bed();
    gateway.sink.extensions = ['AUTH PLAIN'];
    const client = await gateway.logIn();
    const eightBit = 'MAIL FROM:<alice@example.com> SIZE=10 BODY=8BITMIME';
    expect(await client.ask(eightBit)).toBe('554 5.6.3 The mail server takes no 8-bit messages');
    expect(await client.ask('MAIL FROM:<alice@example.com> SIZE=10')).toBe('250 2.1.0 Sender ok');
    expect(gateway.sink.commands.at(-1)).toBe('MAIL FROM:<alice@example.com>');
  });

  it.each([
    ['450 4.2.0 try later', '450 4.2.0 try later'],
    ['552 5.3.4 too big for us', '552 5.3.4 too big for us'],
    ['421 4.3.2 going down', '421 4.3.2 going down'],
    ['250 2.0.0 Ok', '250 2.0.0 Ok'],
    ['354 again', lost],
    ['nonsense', lost],
  ])('answers the message with %s', async (answer, reply) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    gateway.sink.answer = answering({ MESSAGE: answer });
    await openMessage(client);
    client.send('x\r\n.\r\n');
    expect(await client.reply()).toBe(reply);
  });

  it.each([
    ['552 5.3.4 enough', '552 5.3.4 enough'],
    ['250 2.0.0 Ok: queued', lost],
  ])('before the end of data says %s', async (early, reply) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('half a message\r\n');
    const [session] = gateway.sink.sessions;
    await until(() => session?.unfinished !== '', 'half a message at the backend');
    session?.socket.write(`${early}\r\n`);
    await until(() => session?.socket.closed === true, 'backend connection cut');
    client.send('the rest\r\n.\r\n');
    expect(await client.reply()).toBe(reply);
    expect(gateway.sink.messages).toEqual([]);
  });

  it('and closes for idling is opened again', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    for (const farewell of ['', '421 4.4.2 sink Error: timeout exceeded\r\n']) {
      gateway.sink.sessions.at(-1)?.socket.end(farewell);
      await until(() => gateway.sink.open === 0, 'backend connection over');
      await openMessage(client);
      client.send('x\r\n.\r\n');
      expect(await client.reply()).toMatch(/^250 2\.0\.0 Ok: queued/);
    }
    // And in the moment of MAIL.
    let isFirst = true;
    gateway.sink.answer = (command) => {
      if (!command.startsWith('MAIL') || !isFirst) return null;
      isFirst = false;
      return 'cut';
    };
    expect(await client.ask('MAIL FROM:<alice@example.com>')).toBe('250 2.1.0 Sender ok');
    expect(gateway.sink.sessions).toHaveLength(4);
  });

  it('and reads slowly slows the client, and nothing is piled up (wire 104)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    const [session] = gateway.sink.sessions;
    session?.socket.pause();
    const body = 'a line of some seventy characters, as mail has them, time and again..\r\n'.repeat(220_000);
    client.send(`${body}.\r\n`);
    let [left, seen] = [client.socket.writableLength, 0];
    // Stalled: what kernel buffers take is gone, and for a while nothing has moved.
    await until(() => {
      seen = client.socket.writableLength === left ? seen + 1 : 0;
      left = client.socket.writableLength;
      return seen > 40;
    }, 'stall');
    expect(left).toBeGreaterThan(body.length / 2);
    session?.socket.resume();
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
    expect(gateway.sink.messages[0]?.raw === `${body}.\r\n`).toBe(true);
    await client.ask('QUIT');
    await until(
      async () =>
        (await gateway.credentials.value('sallyport_bytes_total', { direction: 'up' })) > body.length,
      'count',
    );
  });
});

describe('a client that goes', () => {
  it.each([
    ['resets', (client: Client) => client.reset()],
    ['closes', (client: Client) => client.socket.destroy()],
    ['half-closes', (client: Client) => client.socket.end()],
  ])('within DATA and %s leaves nothing behind (wire 100)', async (_, leave) => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('half a message\r\n.');
    const [session] = gateway.sink.sessions;
    await until(() => session?.unfinished !== '', 'half a message at the backend');
    leave(client);
    await until(() => gateway.sink.open === 0, 'backend connection over');
    expect(session?.unfinished).not.toContain('\r\n.\r\n');
    expect(gateway.sink.messages).toEqual([]);
    await until(() => gateway.registry.size === 0, 'session removed');
  });

  it('after the end of data is still served', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.socket.end('all of it\r\n.\r\n');
    expect(await client.rest()).toBe('250 2.0.0 Ok: queued as Q1');
    await until(() => gateway.registry.size === 0, 'session removed');
  });

  it('while the backend thinks leaves it to think, and the session to be found (S-55)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    const { promise: accepted, resolve: accept } = Promise.withResolvers<void>();
    let isThinking = false;
    gateway.sink.answer = async (command) => {
      if (command !== 'MESSAGE') return null;
      isThinking = true;
      await accepted;
      return null;
    };
    await openMessage(client);
    client.send('all of it\r\n.\r\n');
    await until(() => isThinking, 'message at the backend');
    client.reset();
    await until(() => client.socket.closed, 'client gone');
    expect(gateway.registry.size).toBe(1);
    accept();
    await until(() => gateway.registry.size === 0, 'session removed');
    expect(gateway.sink.messages).toHaveLength(1);
    expect(gateway.log.at(-1)).toContain('"messages":1');
  });

  it('has its unfinished command forgotten', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    client.socket.end('MAIL FROM:<alice@example.com>');
    await until(() => gateway.registry.size === 0, 'session removed');
    expect(gateway.sink.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
  });
});

describe('a session that is ended', () => {
  it('within DATA delivers nothing, and the client hears it (S-57)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('half a message\r\n');
    const [session] = gateway.sink.sessions;
    await until(() => session?.unfinished !== '', 'half a message at the backend');
    await gateway.credentials.appPasswords.revoke(
      gateway.alice.id,
      gateway.credentialId,
      'lost phone',
      tester,
    );
    client.send('the rest\r\n.\r\n');
    expect(await client.rest()).toBe('421 4.7.0 Session ended');
    await until(() => gateway.sink.open === 0, 'backend connection over');
    expect(gateway.sink.messages).toEqual([]);
    await until(() => gateway.registry.size === 0, 'session removed');
    expect(await gateway.credentials.value('sallyport_sessions', { protocol: 'smtp' })).toBe(0);
  });

  it('within DATA does not wait for the client to leave (S-57)', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    client.socket.pause();
    const { appPasswords } = gateway.credentials;
    await appPasswords.revoke(gateway.alice.id, gateway.credentialId, 'lost phone', tester);
    await until(() => gateway.sink.open === 0, 'backend connection over', 1_000);
    client.socket.resume();
    expect(await client.rest()).toBe('421 4.7.0 Session ended');
  });

  it('between transactions closes at once', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await gateway.credentials.appPasswords.revoke(
      gateway.alice.id,
      gateway.credentialId,
      'lost phone',
      tester,
    );
    expect(await client.rest()).toBe('421 4.7.0 Session ended');
    await until(() => gateway.sink.open === 0, 'backend connection over');
  });
});

describe('a shutdown', () => {
  it('says goodbye to those without a message and lets the others finish (wire 82)', async () => {
    const gateway = await bed();
    const anonymous = await gateway.connect();
    const idle = await gateway.logIn();
    const busy = await gateway.logIn();
    await openMessage(busy);
    gateway.door.drain();
    const goodbye = '421 4.3.2 Server shutting down';
    expect(await anonymous.rest()).toBe(goodbye);
    expect(await idle.rest()).toBe(goodbye);
    busy.send('x\r\n.\r\n');
    expect(await busy.rest()).toBe(`250 2.0.0 Ok: queued as Q1\n${goodbye}`);
    await expect(gateway.connect()).rejects.toThrow(goodbye);
    await until(() => gateway.sink.open === 0, 'backend connections over');
  });

  it('ends what does not finish', async () => {
    const gateway = await bed();
    const client = await gateway.logIn();
    await openMessage(client);
    gateway.door.close();
    expect(await client.rest()).toBe('421 4.3.2 Server shutting down');
    expect(gateway.sink.messages).toEqual([]);
    await until(() => gateway.registry.size === 0, 'session removed');
  });
});
