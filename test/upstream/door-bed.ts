import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createAuthReplies } from '../../src/proxy/auth-reply.ts';
import { createImapDoor } from '../../src/proxy/door/imap.ts';
import { SessionRegistry } from '../../src/proxy/session-registry.ts';
import type { RouteContext } from '../../src/upstream/route.ts';
import { openBed } from '../credentials/bed.ts';
import { routeContext, type UpstreamOptions, upstreamOf } from './bed.ts';

export type DoorBed = Awaited<ReturnType<typeof openDoorBed>>;

/** The IMAP door in front of a backend, without TLS toward the client: what a client hears is what counts here. */
export async function openDoorBed(backend: UpstreamOptions, overrides: Partial<RouteContext> = {}) {
  const bed = await openBed();
  const { password } = await bed.issue(await bed.account('alice@example.com'));
  const { context, log, clock } = routeContext({ metrics: bed.metrics, ...overrides });
  const door = createImapDoor({
    config: bed.config,
    verifier: bed.verifier,
    upstreams: new Map([['office', upstreamOf({ ...backend, context })]]),
    registry: new SessionRegistry(bed.config.limits),
    loginLog: null,
    replies: createAuthReplies({ portalUrl: 'https://mail.example.com', now: bed.clock.now }),
    metrics: bed.metrics,
    now: bed.clock.now,
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    door.accept({
      socket,
      security: 'tls',
      secure: async () => null,
      loggedIn: () => {},
      peer: {
        address: '127.0.0.1',
        port: socket.remotePort ?? 0,
        network: '127.0.0.1/32',
        localAddress: '127.0.0.1',
        localPort: 993,
      },
      sessionId: 'k3',
      logger: context.logger,
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const clients: Socket[] = [];
  return {
    bed,
    /** Lines of door and routes. */
    log,
    clock,
    port,
    /** Says these lines at once and answers all that comes until the last one's tagged response, or the end. */
    say: async (...lines: readonly string[]): Promise<string> =>
      await say(`\r\n${lines.at(-1)?.split(' ')[0]} `, lines),
    /** The same, up to a line with this. */
    sayUntil: async (text: string, ...lines: readonly string[]): Promise<string> => await say(text, lines),
    logIn: `a LOGIN alice@example.com ${password.replaceAll(' ', '')}`,
    close: async () => {
      for (const client of clients) client.destroy();
      door.close();
      server.close();
      await bed.close();
    },
  };

  async function say(text: string, lines: readonly string[]): Promise<string> {
    const client = connect({ port, host: '127.0.0.1' });
    clients.push(client);
    let heard = '';
    client.on('data', (bytes: Buffer) => {
      heard += bytes.toString('latin1');
    });
    client.on('error', () => {});
    client.write(lines.map((line) => `${line}\r\n`).join(''));
    const isDone = () => heard.includes(text) && heard.endsWith('\r\n');
    while (!isDone() && !client.readableEnded && !client.destroyed) {
      const waiting = new AbortController();
      await Promise.race(
        ['data', 'end', 'close'].map((event) => once(client, event, { signal: waiting.signal })),
      );
      waiting.abort();
    }
    return heard;
  }
}
