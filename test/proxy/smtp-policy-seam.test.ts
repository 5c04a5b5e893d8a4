import { afterEach, describe, expect, it } from '@jest/globals';
import type { SubmissionPolicy } from '../../src/proxy/smtp/submission-policy.ts';
import { type Client, openSmtpBed, type SmtpBed, until } from './smtp-bed.ts';

const beds: SmtpBed[] = [];
const refusal = { code: 550, enhanced: '5.7.1', text: 'Not allowed' };

afterEach(async () => {
  for (const each of beds.splice(0)) await each.close();
});

/** A policy that writes down what it is asked, and answers as told. */
async function bedWith(
  policy: Partial<SubmissionPolicy> = {},
): Promise<{ gateway: SmtpBed; asked: string[] }> {
  const asked: string[] = [];
  const told: SubmissionPolicy = {
    wantsHeader: policy.wantsHeader ?? true,
    mail: async (order) => {
      asked.push(`mail ${order.path}`);
      return (await policy.mail?.(order)) ?? null;
    },
    rcpt: async (order) => {
      asked.push(`rcpt ${order.path}`);
      return (await policy.rcpt?.(order)) ?? null;
    },
    header: (section) => {
      asked.push(`header ${JSON.stringify(section.toString('latin1'))}`);
      return policy.header?.(section) ?? null;
    },
    accepted: (count) => {
      asked.push(`accepted ${count}`);
      policy.accepted?.(count);
    },
    closed: () => {
      asked.push('closed');
      policy.closed?.();
    },
  };
  const gateway = await openSmtpBed({ policies: () => () => told });
  beds.push(gateway);
  return { gateway, asked };
}

async function send(client: Client, message: string, to = ['bob@x', 'carol@x']): Promise<readonly string[]> {
  client.send(`MAIL FROM:<alice@x>\r\n${to.map((path) => `RCPT TO:<${path}>\r\n`).join('')}DATA\r\n`);
  const replies = [...(await client.replies(to.length + 2))];
  if (replies.at(-1)?.startsWith('354') !== true) return replies;
  client.send(message);
  return [...replies, await client.reply()];
}

describe('a submission policy', () => {
  it('is asked in the order of the commands, and told the end', async () => {
    const { gateway, asked } = await bedWith();
    const client = await gateway.logIn();
    expect((await send(client, 'From: a\r\nTo: b\r\n\r\nbody\r\n.\r\n')).at(-1)).toMatch(/^250 /);
    expect(asked).toEqual([
      'mail alice@x',
      'rcpt bob@x',
      'rcpt carol@x',
      'header "From: a\\r\\nTo: b\\r\\n\\r\\n"',
      'accepted 2',
      'closed',
    ]);
  });

  it('of MAIL keeps it from the backend, and its recipients', async () => {
    const { gateway, asked } = await bedWith({ mail: async () => refusal });
    const client = await gateway.logIn();
    expect(await send(client, '')).toEqual([
      '550 5.7.1 Not allowed',
      '503 5.5.1 Need MAIL command',
      '503 5.5.1 Need MAIL command',
      '503 5.5.1 Need MAIL command',
    ]);
    expect(asked).toEqual(['mail alice@x']);
    expect(gateway.sink.commands.filter((line) => /^(?:MAIL|RCPT)/.test(line))).toEqual([]);
  });

  it('of RCPT keeps that one from the backend', async () => {
    const { gateway } = await bedWith({ rcpt: async ({ path }) => (path === 'bob@x' ? refusal : null) });
    const client = await gateway.logIn();
    expect((await send(client, 'x\r\n.\r\n')).map((reply) => reply.slice(0, 3))).toEqual([
      ...['250', '550', '250', '354', '250'],
    ]);
    expect(gateway.sink.messages.map(({ to }) => to)).toEqual([['<carol@x>']]);
  });

  it('of the header cuts the backend before the end of data', async () => {
    const { gateway, asked } = await bedWith({ header: () => refusal });
    const client = await gateway.logIn();
    for (const message of ['From: evil\r\n\r\nbody\r\n.\r\n', 'From: evil\r\n.\r\n', '.\r\n']) {
      expect((await send(client, message)).at(-1)).toBe('550 5.7.1 Not allowed');
    }
    expect(gateway.sink.messages).toEqual([]);
    await until(() => gateway.sink.open === 0, 'backend connections over');
    expect(asked.filter((line) => line.startsWith('accepted'))).toEqual([]);
    expect(asked.filter((line) => line === 'closed')).toHaveLength(3);
  });

  it('sees the header as the backend does: bare line ends made whole', async () => {
    const { gateway, asked } = await bedWith();
    const client = await gateway.logIn();
    await send(client, 'From: a\nFrom: b\r\rbody\r\n.\r\n', ['bob@x']);
    expect(asked).toContain('header "From: a\\r\\nFrom: b\\r\\n\\r\\n"');
    expect(gateway.sink.messages.map(({ raw }) => raw)).toEqual(['From: a\r\nFrom: b\r\n\r\nbody\r\n.\r\n']);
  });

  it('is not shown a part of a header that is too long: it is refused', async () => {
    const { gateway, asked } = await bedWith();
    const client = await gateway.logIn();
    const message = `${'X-Long: x\r\n'.repeat(7_000)}From: late\r\n\r\nbody\r\n.\r\n`;
    expect((await send(client, message)).at(-1)).toBe('552 5.3.4 Message header is too long');
    expect(asked.filter((line) => line.startsWith('header'))).toEqual([]);
    expect(gateway.sink.messages).toEqual([]);
  });

  it.each([
    ['RSET', async (client: Client) => void (await client.ask('RSET'))],
    ['EHLO', async (client: Client) => void (await client.ask('EHLO x'))],
    ['a reset', async (client: Client) => client.reset()],
    ['QUIT', async (client: Client) => void (await client.ask('QUIT'))],
  ])('is told of the end once, by %s', async (_, end) => {
    const { gateway, asked } = await bedWith();
    const client = await gateway.logIn();
    await client.ask('MAIL FROM:<alice@x>');
    await end(client);
    await until(() => asked.includes('closed'), 'end told');
    client.reset();
    await until(() => gateway.registry.size === 0, 'session removed');
    expect(asked).toEqual(['mail alice@x', 'closed']);
  });

  it.each(['mail', 'rcpt', 'header'] as const)('with a fault in %s delivers nothing', async (name) => {
    const broken = () => {
      throw new Error('a fault');
    };
    const { gateway } = await bedWith({ [name]: broken });
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@x>\r\nRCPT TO:<bob@x>\r\nDATA\r\n');
    client.send('x\r\n.\r\n');
    expect(await client.rest()).toContain('421 4.3.0 Internal error');
    expect(gateway.sink.messages).toEqual([]);
    expect(gateway.log.join('')).toContain('SMTP relay failed by a fault');
  });

  it('with a fault after the delivery changes no answer', async () => {
    const { gateway } = await bedWith({
      accepted: () => {
        throw new Error('a fault');
      },
    });
    const client = await gateway.logIn();
    expect((await send(client, 'x\r\n.\r\n')).at(-1)).toBe('250 2.0.0 Ok: queued as Q1');
    expect((await send(client, 'x\r\n.\r\n')).at(-1)).toBe('250 2.0.0 Ok: queued as Q2');
  });
});
