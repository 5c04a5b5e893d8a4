import { createHmac, hkdfSync } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { NoticeMessage } from '../../src/credentials/notice-delivery.ts';
import { Secret } from '../../src/secret.ts';
import { NoticeWebhook } from '../../src/upstream/notice-webhook.ts';
import { type Certificates, makeCertificates } from './certificates.ts';

const secret = 'a secret of more than thirty-two bytes';
const message: NoticeMessage = {
  id: '00',
  kind: 'app-password-created',
  account: 'anna@example.com',
  at: '2026-11-22T12:00:00.000Z',
  facts: { label: 'Ķēķis' },
};

let certificates: Certificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
});

async function receiver(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
  certificate: keyof Omit<Certificates, 'ca'> = 'right',
) {
  const server = createServer(certificates[certificate], answer);
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return new NoticeWebhook({
    url: new URL(`https://127.0.0.1:${port}/hook?for=mail`),
    secret: Secret.fromText(secret),
    ca: certificates.ca,
    now: () => 1_795_305_600_999,
  });
}

const soon = () => AbortSignal.timeout(20_000);

describe('S-83: the webhook', () => {
  it('gets JSON that a receiver with the secret can prove', async () => {
    let proven = false;
    let body = '';
    const hook = await receiver((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        body = Buffer.concat(chunks).toString('utf8');
        const [, time, given] =
          /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers['sallyport-signature'])) ?? [];
        const key = hkdfSync('sha256', secret, '', 'sallyport/v1/notice-webhook', 32);
        const hmac = createHmac('sha256', Buffer.from(key)).update(`${time}.${body}`).digest('hex');
        proven = hmac === given && time === '1795305600' && request.url === '/hook?for=mail';
        response.writeHead(204).end();
      });
    });
    expect(await hook.post(message, soon())).toEqual({ kind: 'sent' });
    expect(proven).toBe(true);
    expect(JSON.parse(body)).toEqual({ version: 1, ...message });
  });

  it('S-51: follows no redirect', async () => {
    let asked = 0;
    const hook = await receiver((_, response) => {
      asked += 1;
      response.writeHead(307, { location: 'https://127.0.0.1:1/' }).end();
    });
    expect(await hook.post(message, soon())).toEqual({
      kind: 'failed',
      detail: 'the webhook answered 307, and redirects are not followed',
    });
    expect(asked).toBe(1);
  });

  it('S-51: reads nothing of an answer that never ends', async () => {
    let written = 0;
    const hook = await receiver((request, response) => {
      request.resume();
      response.writeHead(200);
      const more = () => {
        written += 65_536;
        if (!response.destroyed && response.write(Buffer.alloc(65_536))) setImmediate(more);
      };
      response.on('drain', more);
      more();
    });
    expect(await hook.post(message, soon())).toEqual({ kind: 'sent' });
    expect(written).toBeLessThan(20_000_000);
  });

  it.each(['expired', 'wrongName', 'selfSigned', 'withoutAddress'] as const)(
    'S-51: tells nothing to a server whose certificate is %s',
    async (kind) => {
      let asked = 0;
      const hook = await receiver((_, response) => {
        asked += 1;
        response.end();
      }, kind);
      expect(await hook.post(message, soon())).toMatchObject({ kind: 'failed' });
      expect(asked).toBe(0);
    },
  );

  it('is given up with the signal where nobody answers', async () => {
    const giveUp = new AbortController();
    const hook = await receiver(() => giveUp.abort());
    expect(await hook.post(message, giveUp.signal)).toMatchObject({ kind: 'failed' });
  });
});
