import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const listener = `
const server = require('node:net').createServer();
server.listen({ host: process.argv[1], port: Number(process.argv[2]), backlog: 1 }, () => {
  process.stdout.write('listening');
});
`;

/** A port that answers no SYN: a stopped process whose queue of connections is full. */
export class BlackHole {
  readonly #child: ChildProcess;
  readonly #fillers: readonly Socket[];

  private constructor(child: ChildProcess, fillers: readonly Socket[]) {
    this.#child = child;
    this.#fillers = fillers;
  }

  static async open(host: string, port: number): Promise<BlackHole> {
    const child = spawn(process.execPath, ['-e', listener, host, String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (child.stdout === null) throw new Error('no output');
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    // Those the kernel answers for the process; with a backlog of 1 it takes two.
    const fillers = [connect({ host, port }), connect({ host, port })];
    for (const filler of fillers) {
      filler.on('error', () => {});
      await once(filler, 'connect');
    }
    return new BlackHole(child, fillers);
  }

  async close(): Promise<void> {
    for (const filler of this.#fillers) filler.destroy();
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
  }
}
