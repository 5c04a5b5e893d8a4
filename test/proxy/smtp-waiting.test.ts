import { afterEach, describe, expect, it } from '@jest/globals';
import { ClientLegs } from '../../src/proxy/smtp/client-legs.ts';
import { defaultTimes } from '../../src/upstream/submission-times.ts';
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

async function openMessage(client: Client): Promise<void> {
  client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
  expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
}

describe('wire 90: who waits how long', () => {
  it('a client has 5 minutes, a backend 5 for a reply and 10 for the last one', () => {
    const legs = new ClientLegs({ hostname: 'gw', bareNewlines: 'normalize' });
    expect(legs.options.socketTimeout).toBe(300_000);
    expect(defaultTimes).toMatchObject({ commandMs: 300_000, finalMs: 600_000 });
  });

  it('a client that stays silent within its message is shown out, and nothing is delivered', async () => {
    const gateway = await bed({ idleMs: 300 });
    const client = await gateway.logIn();
    await openMessage(client);
    client.send('half a message\r\n');
    expect(await client.rest()).toBe('421 4.4.2 Timeout');
    await until(() => gateway.sink.open === 0, 'backend connection over');
    expect(gateway.sink.messages).toEqual([]);
  });

  it('a client between two commands too', async () => {
    const client = await (await bed({ idleMs: 300 })).logIn();
    expect(await client.rest()).toBe('421 4.4.2 Timeout');
  });

  it.each(['MAIL', 'DATA', 'MESSAGE'])(
    'a client that waits for %s is not the one that is slow',
    async (slow) => {
      const gateway = await bed({ idleMs: 100 });
      const client = await gateway.logIn();
      const { promise: released, resolve: release } = Promise.withResolvers<void>();
      let isAsked = false;
      gateway.sink.answer = async (command) => {
        if (!command.startsWith(slow)) return null;
        isAsked = true;
        await released;
        return null;
      };
      client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
      if (slow === 'DATA') await client.replies(2);
      if (slow === 'MESSAGE') {
        await client.replies(3);
        client.send('x\r\n.\r\n');
      }
      await until(() => isAsked, `${slow} at the backend`);
      // Three times its time.
      const timer = Date.now() + 300;
      await until(() => Date.now() > timer, 'time passed');
      expect(client.unread).toBe('');
      release();
      expect(await client.reply()).toMatch(/^(?:250|354) /);
    },
  );

  it('a client that a slow backend keeps from sending is not slow either (wire 104)', async () => {
    // Encrypting the message takes this process a while, in which nobody is heard.
    const gateway = await bed({ idleMs: 2_000 });
    const client = await gateway.logIn();
    await openMessage(client);
    const [session] = gateway.sink.sessions;
    session?.socket.pause();
    const body = 'a line of some seventy characters, as mail has them, time and again..\r\n'.repeat(250_000);
    client.send(`${body}.\r\n`);
    let [left, since] = [client.socket.writableLength, Date.now()];
    await until(
      () => {
        if (client.socket.writableLength !== left) since = Date.now();
        left = client.socket.writableLength;
        return Date.now() - since > 2_500;
      },
      'stall longer than the time',
      30_000,
    );
    expect(left).toBeGreaterThan(0);
    session?.socket.resume();
    expect(await client.reply()).toBe('250 2.0.0 Ok: queued as Q1');
  }, 60_000);
});
