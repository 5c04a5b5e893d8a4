import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, expect, it } from '@jest/globals';
import { type Client, openSmtpBed, type SmtpBed, until } from './smtp-bed.ts';

const clients = 100;
const messageBytes = 25_000_000;
/** Of the door, this test's own clients and what waits for the garbage collector: a tenth of what is sent. */
const bound = (clients * messageBytes) / 10;
const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A backend that takes a message in small sips, keeps nothing of it, and counts the ends of data. */
class SlowBackend {
  ends = 0;
  bytes = 0;
  isStalled = true;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ noDelay: true }, (socket) => this.#serve(socket));

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  go(): void {
    this.isStalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let tail = '';
    let isMessage = false;
    socket.on('error', () => {});
    socket.write('220 slow ESMTP\r\n');
    socket.on('data', (bytes) => {
      if (isMessage) {
        this.bytes += bytes.length;
        tail = `${tail}${bytes.subarray(-5).toString('latin1')}`.slice(-5);
        if (this.isStalled) socket.pause();
        if (tail !== '\r\n.\r\n') return;
        isMessage = false;
        this.ends++;
        socket.write('250 2.0.0 queued\r\n');
        return;
      }
      for (const line of bytes.toString('latin1').split('\r\n').slice(0, -1)) {
        isMessage = line === 'DATA';
        if (line.startsWith('EHLO')) socket.write('250-slow\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n');
        else socket.write(isMessage ? '354 go\r\n' : line.startsWith('AUTH') ? '235 ok\r\n' : '250 ok\r\n');
      }
      tail = '';
    });
  }
}

/** Writes as fast as it is read, and holds no more than one piece. */
async function pour({ socket }: Client, piece: Buffer): Promise<void> {
  let wake = () => {};
  socket.on('drain', () => wake()).on('close', () => wake());
  for (let sent = 0; sent < messageBytes && !socket.destroyed; sent += piece.length) {
    if (socket.write(piece)) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

async function logInAll(gateway: SmtpBed): Promise<readonly Client[]> {
  const all: Client[] = [];
  for (let index = 0; index < clients; index++) {
    const client = await gateway.logIn();
    client.send('MAIL FROM:<alice@example.com>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n');
    expect((await client.replies(3)).at(-1)).toMatch(/^354 /);
    all.push(client);
  }
  return all;
}

it('wire 104: 100 messages of 25 MB for a backend that does not read cost a bounded memory', async () => {
  const backend = new SlowBackend();
  const gateway = await openSmtpBed({
    backendPort: await backend.listen(),
    limits: { sessionsPerCredential: clients, sessionsPerAccount: clients, connectionsPerNetwork: clients },
  });
  closers.push(
    () => backend.close(),
    () => gateway.close(),
  );
  const all = await logInAll(gateway);
  const before = process.memoryUsage().rss;
  let highest = before;
  const watch = setInterval(() => {
    highest = Math.max(highest, process.memoryUsage().rss);
  }, 20);
  closers.push(() => clearInterval(watch));

  const piece = Buffer.from(
    'a line of a message that is long, as a picture in base64 is, and longer..\r\n'.repeat(200),
  );
  const pouring = all.map((client) => pour(client, piece));
  // Stalled: what kernels and streams take is taken, and for a while nothing has moved.
  let [moved, still] = [-1, 0];
  await until(
    () => {
      const now = all.reduce((sum, { socket }) => sum + socket.bytesWritten, 0);
      still = now === moved ? still + 1 : 0;
      moved = now;
      return still > 40;
    },
    'stall',
    60_000,
  );
  expect(highest - before).toBeLessThan(bound);
  expect(backend.ends).toBe(0);

  // And what was held up goes on: one of them to its end, byte for byte counted.
  for (const { socket } of all.slice(1)) socket.destroy();
  backend.go();
  await pouring[0];
  all[0]?.send('.\r\n');
  expect(await all[0]?.reply()).toBe('250 2.0.0 queued');
  await Promise.all(pouring);
  expect(backend.ends).toBe(1);
  expect(highest - before).toBeLessThan(bound);
}, 120_000);
