import { afterEach, describe, expect, it } from '@jest/globals';
import { type Fence, noFence } from '../../src/credentials/fence.ts';
import { SendCounters } from '../../src/credentials/send-counters.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createSubmissionPolicies } from '../../src/proxy/smtp/submission-policies.ts';
import { type StartTimer, SubmissionSlots } from '../../src/proxy/smtp/submission-slots.ts';
import { tester } from '../support/journal.ts';
import { openSmtpBed, plain, type SmtpBed, until } from './smtp-bed.ts';

const alice = 'alice@example.com';
const bob = 'bob@example.com';
const beds: SmtpBed[] = [];
afterEach(async () => {
  for (const bed of beds.splice(0)) await bed.close();
});

interface Setup {
  readonly policy?: 'off' | 'envelope' | 'both';
  readonly fence?: Partial<Fence>;
  readonly concurrent?: number;
}

async function open({ policy = 'envelope', fence = {}, concurrent = 10 }: Setup = {}) {
  const timers = new Set<() => void>();
  const startTimer: StartTimer = (_, fire) => {
    timers.add(fire);
    return () => timers.delete(fire);
  };
  const slots = new SubmissionSlots({ limit: concurrent, startTimer });
  const bed = await openSmtpBed({
    policies: ({ config, clock }) => {
      const domain = config.domains['example.com'];
      if (domain === undefined) throw new Error('no domain');
      return createSubmissionPolicies({
        domains: { ...config.domains, 'example.com': { ...domain, senderPolicy: policy } },
        aliases: () => new Map([[alice, new Set(['info@example.com'])]]),
        counters: new SendCounters({
          redis: null,
          now: clock.now,
          monotonic: clock.now,
          logger: createLogger('silent'),
        }),
        slots,
      });
    },
  });
  beds.push(bed);
  const { id, password } = await bed.credentials.issue(bed.alice, { fence: { ...noFence, ...fence } });
  const logIn = async () => {
    const client = await bed.connect();
    await client.ask('EHLO laptop');
    expect(await client.ask(plain(alice, password))).toMatch(/^235 /);
    return client;
  };
  /** The replies to MAIL, RCPT, DATA and the message, as far as it comes. */
  const send = async (
    message: string,
    { from = alice, to = [bob], size = '' }: { from?: string; to?: readonly string[]; size?: string } = {},
  ) => {
    const client = await logIn();
    const replies = [await client.ask(`MAIL FROM:<${from}>${size}`)];
    for (const recipient of to) replies.push(await client.ask(`RCPT TO:<${recipient}>`));
    replies.push(await client.ask('DATA'));
    if (replies.at(-1)?.startsWith('354') === true) replies.push(await client.ask(`${message}\r\n.`));
    client.socket.destroy();
    return replies;
  };
  return { bed, id, slots, timers, logIn, send };
}

const message = (from: string) => `From: ${from}\r\nTo: ${bob}\r\nSubject: x\r\n\r\ntext`;
const notYours = '553 5.7.1 Sender address not allowed for this user';

describe('S-53, wire 82: sender of the account, at the door', () => {
  it('what is not its own ends at MAIL, and the backend hears nothing of it', async () => {
    const { bed, send } = await open();
    expect((await send(message(alice), { from: 'boss@example.com' }))[0]).toBe(notYours);
    expect(bed.sink.commands.filter((line) => line.startsWith('MAIL'))).toEqual([]);
    expect(bed.sink.messages).toEqual([]);
    expect(bed.log.join('')).toContain('"sender":"boss@example.com"');
  });

  it.each([alice, 'ALICE+x@Example.com', 'info@example.com', ''])('%j passes', async (from) => {
    const { bed, send } = await open();
    expect((await send(message(alice), { from })).at(-1)).toMatch(/^250 /);
    expect(bed.sink.messages).toMatchObject([{ from: `<${from}> BODY=8BITMIME` }]);
  });

  it('mode envelope leaves the header alone, but with an empty MAIL FROM', async () => {
    const { bed, send } = await open();
    expect((await send(message('boss@example.com'))).at(-1)).toMatch(/^250 /);
    expect((await send(message('boss@example.com'), { from: '' })).at(-1)).toBe(notYours);
    expect(bed.sink.messages).toHaveLength(1);
  });

  it.each([
    [message('boss@example.com'), notYours],
    [`Subject: x\r\n${message('boss@example.com')}`, notYours],
    [message('Boss <boss@example.com>, alice@example.com'), notYours],
    [message('"boss@example.com" <alice@example.com>'), notYours],
    [`From: ${alice}\r\nFrom: boss@example.com\r\n\r\ntext`, /^550 5\.7\.1 .*several From fields$/],
    [`From: ${alice}\nFrom: boss@example.com\n\ntext`, /^550 5\.7\.1 .*several From fields$/],
    [`From: ${alice}\r\n..From: boss@example.com\r\n\r\ntext`, /^550 5\.7\.1 .*may be read as another$/],
    [`From: ${alice}\r\n.From: boss@example.com\r\n\r\ntext`, /^550 5\.7\.1 /],
    [`Subject: x\r\n\r\nFrom: ${alice}\r\n`, '550 5.7.1 Message has no From field'],
    [`Subject: x\n\nFrom: ${alice}\r\n\r\n`, '550 5.7.1 Message has no From field'],
    ['text', /^550 5\.7\.1 /],
    [`From: ${alice}\r\n${'X: y\r\n'.repeat(12_000)}From: boss@example.com\r\n\r\ntext`, /^552 5\.3\.4 /],
  ])('mode both: %# is refused behind the message, and no message is', async (text, reply) => {
    const { bed, send } = await open({ policy: 'both' });
    expect((await send(text)).at(-1)).toEqual(
      typeof reply === 'string' ? reply : expect.stringMatching(reply),
    );
    expect(bed.sink.messages).toEqual([]);
  });

  it('mode both: the next message of the same session is judged anew', async () => {
    const { bed, logIn } = await open({ policy: 'both' });
    const client = await logIn();
    for (const [from, code] of [
      ['boss@example.com', '553'],
      [alice, '250'],
      ['Alice <alice+x@example.com>', '250'],
    ]) {
      await client.ask(`MAIL FROM:<${alice}>`);
      await client.ask(`RCPT TO:<${bob}>`);
      await client.ask('DATA');
      expect((await client.ask(`${message(from ?? '')}\r\n.`)).slice(0, 3)).toBe(code);
    }
    expect(bed.sink.messages).toHaveLength(2);
  });

  it('mode off asks nothing', async () => {
    const { send } = await open({ policy: 'off' });
    expect((await send(message('boss@example.com'), { from: 'boss@example.com' })).at(-1)).toMatch(/^250 /);
  });
});

describe('S-58: the fence of an app password, at the door', () => {
  it('names itself: senders', async () => {
    const { bed, send } = await open({ policy: 'off', fence: { from: [alice] } });
    expect((await send(message(alice), { from: bob }))[0]).toBe(
      `550 5.7.1 This app password may not send as ${bob}`,
    );
    expect((await send(message(bob))).at(-1)).toBe(`550 5.7.1 This app password may not send as ${bob}`);
    expect(bed.sink.messages).toEqual([]);
  });

  it('names itself: recipient domains, one by one', async () => {
    const { bed, send } = await open({ fence: { recipientDomains: ['example.com'] } });
    const to = [
      bob,
      'x@example.net',
      'X@EXAMPLE.COM',
      'x%example.net@example.com',
      'example.net!x@example.com',
      '"x@example.net"@example.com',
      '@example.com:x@example.net',
      'x@example.com@example.net',
      'x@sub.example.com',
      'postmaster',
    ];
    const replies = await send(message(alice), { to });
    expect(replies.slice(1, 11).map((reply) => reply.slice(0, 3))).toEqual([
      ...['250', '550', '250', '550', '550', '550', '550', '550', '550', '550'],
    ]);
    expect(replies[2]).toBe('550 5.7.1 This app password may not send to example.net');
    expect(bed.sink.messages).toMatchObject([{ to: [`<${bob}>`, '<X@EXAMPLE.COM>'] }]);
  });

  it('names itself: size', async () => {
    const { send } = await open({ fence: { maxBytes: 1_000 } });
    expect((await send(message(alice), { size: ' SIZE=1001' }))[0]).toBe(
      '552 5.3.4 This app password may send at most 1000 bytes',
    );
    expect((await send(message(alice), { size: ' SIZE=1000' })).at(-1)).toMatch(/^250 /);
  });

  it('names itself: messages, and counts those the backend took', async () => {
    const { bed, send } = await open({ fence: { messagesPerHour: 2 } });
    bed.sink.answer = (command) => (command === 'MESSAGE' ? '550 5.7.1 no' : null);
    for (let index = 0; index < 3; index += 1) {
      expect((await send(message(alice))).at(-1)).toMatch(/^550 5\.7\.1 no/);
    }
    bed.sink.answer = () => null;
    expect((await send(message(alice))).at(-1)).toMatch(/^250 /);
    expect((await send(message(alice))).at(-1)).toMatch(/^250 /);
    expect((await send(message(alice)))[0]).toBe(
      '451 4.7.1 This app password may send 2 messages per hour, try again later',
    );
    bed.credentials.clock.advance(65 * 60_000);
    expect((await send(message(alice))).at(-1)).toMatch(/^250 /);
  });

  it('names itself: recipients, and counts those the backend took', async () => {
    const { bed, send } = await open({ fence: { recipientsPerDay: 3 } });
    bed.sink.answer = (command) => (command.startsWith('RCPT TO:<no') ? '550 5.1.1 no' : null);
    const to = ['no1@example.com', bob, 'no2@example.com', 'c@example.com'];
    expect((await send(message(alice), { to: to.slice(0, 3) })).at(-1)).toMatch(/^250 /);
    const replies = await send(message(alice), { to: ['a@example.com', 'b@example.com', 'c@example.com'] });
    expect(replies[3]).toBe('451 4.7.1 This app password may send to 3 recipients per day, try again later');
    expect(bed.sink.messages.map(({ to: all }) => all.length)).toEqual([1, 2]);
  });

  it('gives back what a client leaves behind, however it leaves', async () => {
    const { slots, logIn } = await open({ fence: { messagesPerHour: 1, recipientsPerHour: 1 } });
    for (const leave of ['RSET', 'EHLO again', 'QUIT', 'reset', 'DATA, reset']) {
      const client = await logIn();
      expect(await client.ask(`MAIL FROM:<${alice}>`)).toMatch(/^250 /);
      expect(await client.ask(`RCPT TO:<${bob}>`)).toMatch(/^250 /);
      if (leave === 'DATA, reset') await client.ask('DATA');
      if (leave.endsWith('reset')) client.reset();
      else await client.ask(leave);
      await until(() => slots.size === 0, `${leave} releases`);
    }
  });

  it('S-56: narrowed, it ends the session in the middle of a message, and nothing of it is delivered', async () => {
    const { bed, id, slots, logIn } = await open();
    const client = await logIn();
    await client.ask(`MAIL FROM:<${alice}>`);
    await client.ask(`RCPT TO:<${bob}>`);
    await client.ask('DATA');
    client.send(`${message(alice)}\r\n`);
    const change = { fence: { recipientDomains: ['example.net'] } };
    const { kind } = await bed.credentials.appPasswords.update(bed.alice.id, id, change, 'changed', tester);
    expect(kind).toBe('updated');
    expect(await client.reply()).toMatch(/^421 /);
    await until(() => slots.size === 0, 'released');
    expect(bed.sink.messages).toEqual([]);
  });
});

describe('wire 138: submissions of an account at a time, at the door', () => {
  it('one more waits for its turn and is sent', async () => {
    const { bed, timers, logIn } = await open({ concurrent: 2 });
    const clients = await Promise.all([logIn(), logIn(), logIn()]);
    const [first, second, third] = clients;
    if (first === undefined || second === undefined || third === undefined) throw new Error('no client');
    await first.ask(`MAIL FROM:<${alice}>`);
    await second.ask(`MAIL FROM:<${alice}>`);
    third.send(`MAIL FROM:<${alice}>\r\n`);
    await until(() => timers.size === 1, 'the third waits');
    await first.ask('RSET');
    expect(await third.reply()).toMatch(/^250 /);
    await third.ask(`RCPT TO:<${bob}>`);
    await third.ask('DATA');
    expect(await third.ask(`${message(alice)}\r\n.`)).toMatch(/^250 /);
    expect(bed.sink.messages).toHaveLength(1);
  });

  it('and hears 451 when it does not come', async () => {
    const { slots, timers, logIn } = await open({ concurrent: 1 });
    const [first, second] = [await logIn(), await logIn()];
    await first.ask(`MAIL FROM:<${alice}>`);
    second.send(`MAIL FROM:<${alice}>\r\nRCPT TO:<${bob}>\r\n`);
    await until(() => timers.size === 1, 'the second waits');
    for (const fire of timers) fire();
    expect(await second.replies(2)).toEqual([
      '451 4.3.2 Too many messages of this account at once, try again later',
      expect.stringMatching(/^503 /),
    ]);
    await first.ask('RSET');
    expect(slots.size).toBe(0);
    expect(await second.ask(`MAIL FROM:<${alice}>`)).toMatch(/^250 /);
  });

  it('whoever goes away while it waits takes nothing', async () => {
    const { slots, timers, logIn } = await open({ concurrent: 1 });
    const [first, second] = [await logIn(), await logIn()];
    await first.ask(`MAIL FROM:<${alice}>`);
    second.send(`MAIL FROM:<${alice}>\r\n`);
    await until(() => timers.size === 1, 'the second waits');
    second.reset();
    await first.ask('RSET');
    await until(() => slots.size === 0, 'all are released');
  });

  it('refused for another reason takes none', async () => {
    const { slots, send } = await open({ fence: { messagesPerHour: 1 } });
    await send(message(alice), { from: bob });
    await send(message(alice));
    expect((await send(message(alice)))[0]).toMatch(/^451 4\.7\.1 /);
    await until(() => slots.size === 0, 'none is taken');
  });
});
