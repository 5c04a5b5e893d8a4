import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { bodies, shown, smuggled, smuggles } from '../protocol/smtp/smuggling.ts';
import { Client, plain } from '../proxy/smtp-bed.ts';
import {
  alice,
  bob,
  type IssuedAppPassword,
  startTestGateway,
  type TestGateway,
} from '../support/gateway.ts';
import { openBackendMailbox } from '../support/mailbox.ts';
import { until } from '../support/until.ts';

// A real Postfix, which takes what it gets for one message or two, and a real Dovecot, which shows what came of it.

let bed: TestGateway;
let appPassword: IssuedAppPassword;
let client: Client;
let sent = 0;

beforeAll(async () => {
  bed = await startTestGateway();
  appPassword = await bed.issue(alice);
  client = await Client.connect(bed.smtpPort, bed.ca);
  expect(await client.reply()).toMatch(/^220 /);
});
afterAll(async () => {
  client.socket.destroy();
  await bed.stop();
});

/** Sends what stands behind 354, in two segments, and gives the final reply. */
async function send(message: string, at = 0): Promise<string> {
  client.send(`MAIL FROM:<${alice}>\r\nRCPT TO:<${bob}>\r\nDATA\r\n`);
  expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
  client.send(message.slice(0, at));
  client.send(message.slice(at));
  return await client.reply();
}

/** Waits for as many messages as were sent, and gives the bodies of those with this subject. */
async function delivered(subject: string): Promise<readonly string[]> {
  const imap = await openBackendMailbox(bed, bob);
  try {
    await until(async () => {
      await imap.noop();
      return imap.mailbox !== false && imap.mailbox.exists >= sent;
    });
    expect(imap.mailbox !== false && imap.mailbox.exists).toBe(sent);
    const found: string[] = [];
    for await (const { source } of imap.fetch({ header: { subject } }, { source: true })) {
      const text = source?.toString('latin1') ?? '';
      found.push(text.slice(text.indexOf('\r\n\r\n') + 4));
    }
    return found;
  } finally {
    await imap.logout();
  }
}

it('a client logs in and hears what Postfix offers (wire 73)', async () => {
  const list = await client.ask('EHLO laptop');
  for (const keyword of ['8BITMIME', 'DSN', 'SMTPUTF8', 'SIZE', 'PIPELINING'])
    expect(list).toContain(keyword);
  expect(list).not.toMatch(/CHUNKING|ETRN|VRFY|XCLIENT/);
  expect(await client.ask(plain(alice, appPassword.secret))).toMatch(/^235 /);
});

describe('wire 102, 109: through Postfix every body', () => {
  // The first line of a message without a header would be taken for one.
  it.each(bodies.map((body, index) => [body, `body <${index}>`] as const))(
    '%j arrives byte for byte, however it is cut',
    async (body, subject) => {
      const head = `From: ${alice}\r\nSubject: ${subject}\r\n\r\n`;
      for (let at = 0; at <= body.length; at++) {
        expect(await send(head + body, head.length + at)).toMatch(/^250 2\.0\.0 .*queued as/);
        sent++;
      }
      const expected = body.slice(0, -3).replace(/(^|\r\n)\./g, '$1');
      const arrived = await delivered(subject);
      expect(arrived).toHaveLength(body.length + 1);
      expect([...new Set(arrived.map(shown))]).toEqual([shown(expected)]);
    },
    60_000,
  );
});

describe('wire 107: through Postfix a body with what some server takes for its end', () => {
  it.each(smuggles)('%s is one message', async (name, end) => {
    // In brackets, because a search finds parts.
    const subject = `smuggle <${name}>`;
    const reply = await send(`From: ${alice}\r\nSubject: ${subject}\r\n\r\nbefore${end}${smuggled}.\r\n`);
    if (end.includes('\0')) {
      expect(reply).toBe('550 5.6.11 Message contains a NUL character');
      return;
    }
    expect(reply).toMatch(/^250 2\.0\.0 .*queued as/);
    sent++;
    const arrived = await delivered(subject);
    expect(arrived.map(shown)).toHaveLength(1);
    expect(arrived[0]).toMatch(/^before/);
    expect(arrived[0]).toMatch(
      /MAIL FROM:<evil@example\.com>\r\nRCPT TO:<victim@example\.com>\r\nDATA\r\nforged\r\n$/,
    );
  });

  it('and every message that was sent is there, once', async () => {
    await delivered('none');
    // The connection that carried them all is the same as before.
    expect(await client.ask('QUIT')).toMatch(/^221 /);
  });
});
