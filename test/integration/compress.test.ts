import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:tls';
import { constants, createDeflateRaw, createInflateRaw } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { alice, startTestGateway, type TestGateway } from '../support/gateway.ts';

let bed: TestGateway;

beforeAll(async () => {
  bed = await startTestGateway();
});
afterAll(() => bed.stop());

/** Reads until `pattern` has come; what comes behind it stays for the next reader. */
function reader(): { feed(bytes: Buffer): void; until(pattern: RegExp): Promise<string> } {
  let text = '';
  let wake = () => {};
  return {
    feed: (bytes) => {
      text += bytes.toString('latin1');
      wake();
    },
    until: async (pattern) => {
      for (;;) {
        const match = pattern.exec(text);
        if (match !== null) {
          const end = match.index + match[0].length;
          const seen = text.slice(0, end);
          text = text.slice(end);
          return seen;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

it('wire 61: COMPRESS=DEFLATE of client and backend goes through byte by byte', async () => {
  const { secret } = await bed.issue(alice);
  const socket = connect({ host: '127.0.0.1', port: bed.imapPort, servername: 'localhost', ca: bed.ca });
  await once(socket, 'secureConnect');
  const clear = reader();
  const feedClear = (bytes: Buffer) => clear.feed(bytes);
  socket.on('data', feedClear);
  await clear.until(/^\* OK .*\r\n/);
  socket.write(`a LOGIN ${alice} ${secret}\r\n`);
  expect(await clear.until(/^a .*\r\n/m)).toContain('COMPRESS=DEFLATE');
  socket.write('b COMPRESS DEFLATE\r\n');
  expect(await clear.until(/^b .*\r\n/m)).toMatch(/^b OK /m);

  const inflate = createInflateRaw();
  const deflate = createDeflateRaw({ flush: constants.Z_SYNC_FLUSH });
  const inflated = reader();
  socket.off('data', feedClear);
  socket.pipe(inflate).on('data', (bytes: Buffer) => inflated.feed(bytes));
  deflate.pipe(socket);

  // Random text, so that it is long on the wire too.
  const body = `Subject: deflated\r\n\r\n${randomBytes(1_500_000).toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`;
  deflate.write(`c APPEND INBOX {${body.length}+}\r\n${body}\r\n`);
  expect(await inflated.until(/^c .*\r\n/m)).toMatch(/^c OK /m);
  deflate.write('d SELECT INBOX\r\n');
  await inflated.until(/^d OK .*\r\n/m);
  deflate.write('e FETCH * BODY.PEEK[]\r\n');
  expect(await inflated.until(/^e OK .*\r\n/m)).toContain(body);
  deflate.write('f LOGOUT\r\n');
  await inflated.until(/^f OK .*\r\n/m);
  socket.destroy();
});
