import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { findProgram } from './program.ts';
import { ScratchError } from './scratch-error.ts';

/**
 * Runs the server as its child and ends it when its own standard input closes. The kernel closes that pipe however
 * the owner died, SIGKILL included, so no server outlives the program that started it.
 */
const keeper = `
exec 3<&0
"$@" 3<&- >&2 & server=$!
echo "$server"
exec >&-
{ read -r _ <&3; kill -TERM "$server"; } & reader=$!
exec 3<&-
wait "$server"; status=$?
kill "$reader" 2>/dev/null
exit "$status"
`;

const startDeadlineMs = 20_000;
/** Dovecot and Postfix take a second or more over their end, and scratch servers have nothing to put in order. */
const stopGraceMs = 250;
const stopDeadlineMs = 10_000;

/** A server program in the foreground. */
export interface ServerProcess {
  /** Ends the server and all its children, and answers when none is left. Idempotent. */
  stop(): Promise<void>;
  /** The same without a chance to say goodbye, as a crash would. */
  kill(): Promise<void>;
}

/**
 * Starts a server that stays in the foreground and waits until a connection to each port is greeted as told.
 * Throws, with the end of its log, when it ends before that.
 */
export async function startServerProcess(options: {
  readonly program: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly greetings: readonly { readonly port: number; readonly greeting: string }[];
}): Promise<ServerProcess> {
  const program = findProgram(options.program);
  const log = openSync(options.logFile, 'a', 0o600);
  // A group of its own: Ctrl-C reaches the owner alone, who then ends its servers in order.
  const child = spawn('/bin/sh', ['-c', keeper, 'keeper', program, ...options.args], {
    stdio: ['pipe', 'pipe', log],
    detached: true,
  });
  closeSync(log);
  const ended = once(child, 'exit');
  const server = new KeptProcess(child, ended, await firstLine(child));
  const aborted = new AbortController();
  try {
    await Promise.race([
      Promise.all(options.greetings.map((expected) => answers(expected, aborted.signal))),
      ended.then(() => {
        throw new ScratchError(`${options.program} did not start: ${logTail(options.logFile)}`);
      }),
    ]);
  } catch (error) {
    await server.kill();
    throw error;
  } finally {
    aborted.abort();
  }
  return server;
}

class KeptProcess implements ServerProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #groups: readonly number[];

  constructor(child: ChildProcess, ended: Promise<unknown>, serverPid: number) {
    this.#child = child;
    this.#ended = ended;
    // Postfix makes itself the leader of a group of its own, the others stay in the keeper's.
    this.#groups = child.pid === undefined ? [serverPid] : [serverPid, child.pid];
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    await this.#waitForGroups(stopGraceMs);
    await this.kill();
  }

  async kill(): Promise<void> {
    for (const group of this.#groups) killGroup(group);
    await this.#ended;
    await this.#waitForGroups(stopDeadlineMs);
  }

  async #waitForGroups(deadlineMs: number): Promise<void> {
    const deadline = Date.now() + deadlineMs;
    while (hasLiveProcess(this.#groups) && Date.now() < deadline) await delay(10);
  }
}

/** Looks into /proc, since a signal 0 also finds the dead that a container's first process has not yet collected. */
function hasLiveProcess(groups: readonly number[]): boolean {
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // The name in parentheses may hold anything; state, parent and group follow it (proc_pid_stat(5)).
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return state !== 'Z' && groups.includes(Number(group));
    } catch {
      return false;
    }
  });
}

function killGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody is left in it.
  }
}

async function firstLine(child: ChildProcess): Promise<number> {
  let text = '';
  for await (const chunk of child.stdout ?? []) {
    text += String(chunk);
    if (text.includes('\n')) break;
  }
  return Number.parseInt(text, 10);
}

async function answers(
  expected: { readonly port: number; readonly greeting: string },
  signal: AbortSignal,
): Promise<void> {
  const deadline = Date.now() + startDeadlineMs;
  while (!signal.aborted) {
    if (await isGreeted(expected)) return;
    if (Date.now() > deadline) throw new ScratchError(`no "${expected.greeting}" on port ${expected.port}`);
    await delay(20);
  }
}

async function isGreeted({
  port,
  greeting,
}: {
  readonly port: number;
  readonly greeting: string;
}): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.setTimeout(2_000, () => socket.destroy());
  try {
    await once(socket, 'connect');
    // An implicit TLS port says nothing first: that somebody listens has to do.
    if (greeting === '') return true;
    const [bytes] = await Promise.race([once(socket, 'data'), once(socket, 'close').then(() => [''])]);
    return String(bytes).startsWith(greeting);
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function logTail(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-5).join('\n');
}
