import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { giveOrder } from '../../src/control/client.ts';
import {
  type ControlCommand,
  type ControlServer,
  RefusedOrder,
  serveControl,
} from '../../src/control/server.ts';
import { sessionOrders } from '../../src/control/session-orders.ts';
import { controlSocketPath, problemOfControlSocket } from '../../src/control/socket-file.ts';
import type { SessionDirectory, SessionFilter } from '../../src/credentials/session-directory.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { until } from '../support/until.ts';

let stateDir: string;
let log: string[];
let running: ControlServer[];

beforeEach(async () => {
  stateDir = await mkdtemp(join(tmpdir(), 'sallyport-control-'));
  log = [];
  running = [];
});
afterEach(async () => {
  for (const server of running) await server.close();
  await rm(stateDir, { recursive: true });
});

const echo: ControlCommand = (details, { operator }) => ({ details, operator });

async function serve(commands: Readonly<Record<string, ControlCommand>> = { echo }): Promise<ControlServer> {
  const logger = createLogger('debug', { write: (line: string) => void log.push(line) });
  const server = await serveControl({ stateDir, commands, logger });
  running.push(server);
  return server;
}

const order = (name: string, details: unknown = null) =>
  giveOrder(stateDir, { name, operator: 'cli:anna', details });

async function raw(text: string | Buffer): Promise<string> {
  const socket = connect({ path: controlSocketPath(stateDir), allowHalfOpen: true });
  socket.on('error', () => {});
  socket.write(text);
  return await textUntilClosed(socket);
}

async function textUntilClosed(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.once('end', () => socket.end());
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

describe('the socket', () => {
  it('is for its own user alone from its first moment, and is gone with the gateway', async () => {
    const server = await serve();
    const { mode } = await stat(controlSocketPath(stateDir));
    expect((mode & 0o7777).toString(8)).toBe('600');
    expect(await readdir(stateDir)).toEqual(['control.sock']);
    await server.close();
    expect(await readdir(stateDir)).toEqual([]);
    expect(await order('echo')).toEqual({ kind: 'no-gateway' });
  });

  it('makes the state directory where there is none, closed to others', async () => {
    await rm(stateDir, { recursive: true });
    await serve();
    expect(((await stat(stateDir)).mode & 0o777).toString(8)).toBe('700');
  });

  it('of a process that was killed is replaced', async () => {
    const program = `require('net').createServer().listen(process.argv[1], () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', program, controlSocketPath(stateDir)]);
    await once(child.stdout, 'data');
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(await order('echo')).toEqual({ kind: 'no-gateway' });
    await serve();
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });

  it('of a gateway that runs is left alone, with a plain sentence', async () => {
    await serve();
    await expect(serve()).rejects.toThrow(/^another gateway runs with the state_dir /);
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });

  it('of a successor outlives the close of its predecessor', async () => {
    const first = await serve();
    await rm(controlSocketPath(stateDir));
    await serve();
    await first.close();
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });

  it('whose path is too long is a problem with the number of bytes', async () => {
    const long = join(stateDir, 'x'.repeat(80));
    expect(problemOfControlSocket(stateDir)).toBe(null);
    expect(problemOfControlSocket(long)).toMatch(/^state_dir is too long: .* at most 107 bytes/);
    await mkdir(long);
    stateDir = long;
    await expect(serve()).rejects.toThrow(/^state_dir is too long/);
    stateDir = join(long, '..');
    // The longest there can be, and the moment before the file has its name needs no more.
    const fitting = join(stateDir, 'x'.repeat(107 - Buffer.byteLength(controlSocketPath(stateDir)) - 1));
    expect(problemOfControlSocket(fitting)).toBe(null);
    const outer = stateDir;
    stateDir = fitting;
    await serve();
    expect(await order('echo')).toMatchObject({ kind: 'done' });
    stateDir = outer;
  });

  it('that somebody else owns is told as such', async () => {
    await serve();
    // Root may speak to every socket, and tests may run as root.
    if (process.getuid?.() === 0) {
      await chmod(stateDir, 0o755);
      const program = `require('net').connect(process.argv[1]).on('error', (e) => console.log(e.code))`;
      const child = spawn(process.execPath, ['-e', program, controlSocketPath(stateDir)], {
        uid: 65_534,
        gid: 65_534,
      });
      const [answer] = (await once(child.stdout, 'data')) as [Buffer];
      expect(answer.toString()).toBe('EACCES\n');
    } else {
      await chmod(controlSocketPath(stateDir), 0);
      expect(await order('echo')).toMatchObject({
        kind: 'refused',
        problem: expect.stringMatching(/not yours/),
      });
    }
  });
});

describe('orders', () => {
  it('are answered with their result, and each knows who gave it', async () => {
    await serve();
    expect(await order('echo', { a: ['ü', 1] })).toEqual({
      kind: 'done',
      result: { details: { a: ['ü', 1] }, operator: 'cli:anna' },
    });
  });

  it('may be answered at length and late', async () => {
    const lines = Array.from({ length: 100_000 }, (_, index) => `session ${index}`);
    await serve({
      long: async () => {
        await new Promise(setImmediate);
        return lines;
      },
    });
    expect(await order('long')).toEqual({ kind: 'done', result: lines });
  });

  it('that nobody knows, or that are refused, get a sentence', async () => {
    await serve({
      no: () => {
        throw new RefusedOrder('Not today.');
      },
    });
    expect(await order('no')).toEqual({ kind: 'refused', problem: 'Not today.' });
    expect(await order('throttle-show')).toMatchObject({
      problem: 'The gateway that runs does not know the order "throttle-show".',
    });
    expect(await order('toString')).toMatchObject({ kind: 'refused' });
  });

  it('that fail by a fault tell nothing of it but in the log, and the next is answered', async () => {
    await serve({
      echo,
      broken: () => {
        throw new Error('detail');
      },
      unwritable: () => 1n,
    });
    for (const name of ['broken', 'unwritable']) {
      expect(await order(name)).toEqual({
        kind: 'refused',
        problem: 'The gateway failed; its log says why.',
      });
    }
    expect(log.join('')).toContain('detail');
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });

  it('of another version are refused by both sides', async () => {
    await serve();
    const text = await raw(`${JSON.stringify({ version: 3, name: 'echo', operator: '', details: 1 })}\n`);
    expect(JSON.parse(text)).toMatchObject({
      kind: 'refused',
      problem: expect.stringMatching(/another version/),
    });
  });

  it.each([
    ['no JSON', 'GET / HTTP/1.1\n'],
    ['no order', '{"version":2}\n'],
    ['an order and more', '{"version":2,"name":"echo","operator":"","details":0,"more":1}\n'],
  ])('%s is refused', async (_, text) => {
    await serve();
    expect(JSON.parse(await raw(text))).toMatchObject({ kind: 'refused' });
  });

  it('arrive in pieces', async () => {
    await serve();
    const socket = connect({ path: controlSocketPath(stateDir), allowHalfOpen: true });
    const answer = textUntilClosed(socket);
    for (const byte of '{"version":2,"name":"echo","operator":"x","details":"ü"}\n') {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    expect(JSON.parse(await answer)).toMatchObject({ result: { details: 'ü' } });
  });

  it('without an end are not waited for', async () => {
    await serve();
    expect(await raw(Buffer.alloc(20_000, 'x'))).toBe('');
    const socket = connect({ path: controlSocketPath(stateDir) });
    const answer = textUntilClosed(socket);
    socket.end('{"version":2');
    expect(await answer).toBe('');
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });

  it('whose command was interrupted harm nobody', async () => {
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    const { promise: answer, resolve: letGo } = Promise.withResolvers<string>();
    await serve({
      echo,
      slow: async () => {
        onAsked();
        return await answer;
      },
    });
    const socket = connect({ path: controlSocketPath(stateDir) });
    socket.write('{"version":2,"name":"slow","operator":"","details":0}\n');
    await asked;
    socket.destroy();
    letGo('too late');
    expect(await order('echo')).toMatchObject({ kind: 'done' });
  });
});

describe('a gateway that does not answer', () => {
  async function listenAs(onConnection: (socket: Socket) => void): Promise<() => void> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}));
      onConnection(socket);
    });
    server.listen({ path: controlSocketPath(stateDir) });
    await once(server, 'listening');
    return () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    };
  }

  it.each([
    ['hangs up', (socket: Socket) => void socket.end()],
    ['breaks off', (socket: Socket) => void socket.end('{"version":2,"kind":"do')],
    ['talks of something else', (socket: Socket) => void socket.end('220 mail.example.com ESMTP\n')],
  ])('it %s', async (_, onConnection) => {
    const close = await listenAs((socket) => {
      socket.resume();
      onConnection(socket);
    });
    expect(await order('echo')).toEqual({ kind: 'refused', problem: 'The gateway broke off its answer.' });
    close();
  });

  it('it is silent', async () => {
    const close = await listenAs(() => {});
    const details = { name: 'echo', operator: '', details: null };
    expect(await giveOrder(stateDir, details, { timeMs: 50 })).toEqual({
      kind: 'refused',
      problem: 'The gateway does not answer.',
    });
    close();
  });

  it('it is stopped in the middle', async () => {
    const { promise: never } = Promise.withResolvers<void>();
    let asked = false;
    const server = await serve({
      slow: async () => {
        asked = true;
        await never;
      },
    });
    const outcome = order('slow');
    await until(() => asked);
    await server.close();
    expect(await outcome).toMatchObject({ kind: 'refused' });
  });
});

describe('session orders', () => {
  const filters: SessionFilter[] = [];
  const directory: SessionDirectory = {
    list: async (filter) => {
      filters.push(filter);
      return { sessions: [], omitted: 0, silent: [], isAlone: false };
    },
    end: async (filter, reason) => {
      filters.push(filter);
      expect(reason).toBe('ended by cli:anna');
      return { ended: 3, silent: [], isAlone: false };
    },
  };

  it('reach the directory, and an end is logged with who wanted it', async () => {
    await serve(sessionOrders(directory));
    const account = { by: 'account', account: 'joe@example.com' };
    expect(await order('session-list', { by: 'all' })).toEqual({
      kind: 'done',
      result: { sessions: [], omitted: 0, silent: [], isAlone: false },
    });
    expect(await order('session-end', account)).toMatchObject({ kind: 'done', result: { ended: 3 } });
    expect(filters).toEqual([{ by: 'all' }, account]);
    expect(JSON.parse(log.at(-1) ?? '')).toMatchObject({ operator: 'cli:anna', ...account, ended: 3 });
  });

  it.each([null, {}, { by: 'nobody' }, { by: 'credential', credential: 'x' }, { by: 'all', more: 1 }])(
    '%j names nobody and ends nothing',
    async (details) => {
      filters.length = 0;
      await serve(sessionOrders(directory));
      expect(await order('session-end', details)).toMatchObject({ kind: 'refused' });
      expect(filters).toEqual([]);
    },
  );
});
