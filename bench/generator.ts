import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { pinned } from './processes.ts';

/** What the load generator is to do; see `generator/load.h`. */
export interface Load {
  readonly kind: 'login' | 'fetch' | 'submit';
  readonly port: number;
  /** Lines of `user password`, taken in turn. */
  readonly credentials: string;
  readonly atOnce?: number;
  readonly total?: number;
  readonly seconds?: number;
  /** Connections begun per second, whether or not earlier ones are done. */
  readonly rate?: number;
  /** Messages per connection. */
  readonly per?: number;
  readonly bytes?: number;
  readonly mustRefuse?: boolean;
}

/** What it found; latencies in milliseconds. */
export interface LoadResult {
  readonly logins: number;
  readonly refusals: number;
  readonly messages: number;
  readonly bytes: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly tls: string;
  readonly firstError: string;
}

/** Connections logged in and in IDLE. */
export interface HeldConnections {
  readonly held: number;
  release(): Promise<LoadResult>;
}

export class Generator {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  async run(load: Load): Promise<LoadResult> {
    const child = this.#spawn(load.kind, load);
    child.stdin.end();
    return resultOf(await text(child.stdout));
  }

  /** Logs `total` connections in and keeps them; answers when all are idle. */
  async hold(load: {
    readonly port: number;
    readonly credentials: string;
    readonly total: number;
    readonly atOnce: number;
  }): Promise<HeldConnections> {
    const child = this.#spawn('idle', load);
    let output = '';
    const ready = Promise.withResolvers<void>();
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      output += piece;
      if (output.includes('\n')) ready.resolve();
    });
    const closed = once(child, 'close').then(() => ready.resolve());
    await ready.promise;
    return {
      held: Number(/^READY (\d+)/.exec(output)?.[1] ?? 0),
      release: async () => {
        child.stdin.end();
        await closed;
        return resultOf(output);
      },
    };
  }

  #spawn(kind: string, load: Omit<Load, 'kind'>): ChildProcessWithoutNullStreams {
    const args = [kind, '--port', String(load.port), '--credentials', load.credentials];
    const numbers = {
      '--at-once': load.atOnce,
      '--total': load.total,
      '--seconds': load.seconds,
      '--rate': load.rate,
      '--per': load.per,
      '--bytes': load.bytes,
    };
    for (const [name, value] of Object.entries(numbers)) {
      if (value !== undefined) args.push(name, String(value));
    }
    if (load.mustRefuse === true) args.push('--must-refuse');
    const child = spawn(...pinned('load', this.#program, args));
    child.stderr.pipe(process.stderr, { end: false });
    return child;
  }
}

function resultOf(output: string): LoadResult {
  const line = output.trimEnd().split('\n').at(-1) ?? '';
  if (!line.startsWith('{')) throw new Error('the load generator ended without a result');
  return JSON.parse(line) as LoadResult;
}
