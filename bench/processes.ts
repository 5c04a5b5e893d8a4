import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from '../src/demo/program.ts';
import { processTree } from './accounting.ts';

/** The gateway or a peer has the first core; generator, backend, and what answers for a peer have the second. */
export type Core = 'target' | 'load';
const coreNumbers: Readonly<Record<Core, string>> = { target: '0', load: '1' };

/** `program` on one core, ended by the kernel should the bench itself be killed. */
export function pinned(core: Core, program: string, args: readonly string[]): [string, string[]] {
  const whole = ['--pdeathsig', 'TERM', findProgram('taskset'), '-c', coreNumbers[core]];
  return [findProgram('setpriv'), [...whole, findProgram(program), ...args]];
}

const graceMs = 10_000;

/** A server that stays in the foreground. */
export class Server {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #logFile: string;

  constructor(
    name: string,
    core: Core,
    command: readonly [string, ...string[]],
    options: { readonly logFile: string; readonly environment?: NodeJS.ProcessEnv },
  ) {
    this.name = name;
    this.#logFile = options.logFile;
    const [program, ...args] = command;
    const log = openSync(options.logFile, 'a', 0o600);
    this.#child = spawn(...pinned(core, program, args), {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...options.environment },
    });
    // A program that is not there: told by hasEnded.
    this.#child.on('error', () => undefined);
    closeSync(log);
    running.add(this);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** For an error message. */
  logTail(): string {
    return readFileSync(this.#logFile, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
  }

  /** Ends it and its children. Idempotent. */
  async stop(): Promise<void> {
    const tree = processTree(this.pid);
    if (!this.hasEnded) this.#child.kill('SIGTERM');
    const deadline = Date.now() + graceMs;
    while (!this.hasEnded && Date.now() < deadline) await delay(20);
    if (!this.hasEnded) this.#child.kill('SIGKILL');
    for (const pid of tree) {
      if (pid !== this.pid) kill(pid);
    }
    running.delete(this);
  }
}

const running = new Set<Server>();

/** Whatever ended the bench early, in the opposite order of starting. */
export async function stopServers(): Promise<void> {
  for (const server of [...running].reverse()) await server.stop();
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
