import { setTimeout as delay } from 'node:timers/promises';
import { memoryKib, openFilesLimit } from './accounting.ts';
import type { Generator } from './generator.ts';
import type { Measurement, Outcome } from './measurement.ts';
import type { Target } from './targets/target.ts';

/** For what is put off, such as a collection of garbage. */
const settleMs = 3_000;

/** Memory of the target's processes per connection that is logged in and in IDLE. */
export function idle(generator: Generator, count: number): Measurement {
  return {
    name: `idle-${count}`,
    about: `${count} TLS connections, logged in, INBOX selected, in IDLE; memory (PSS) of the processes`,
    targets: ['sallyport', 'nginx', 'dovecot', 'haproxy'],
    columns: [
      { key: 'kibEach', title: 'KiB per connection' },
      { key: 'emptyMib', title: 'empty MiB' },
      { key: 'heldMib', title: 'held MiB' },
      { key: 'afterMib', title: 'after closing MiB' },
    ],
    maxRounds: 1,
    run: (target) => measureIdle(generator, target, count),
  };
}

/** Whether one process may have so many: each takes a socket to the client and one to the backend. */
export function canHold(count: number): boolean {
  return 2 * count + 500 <= openFilesLimit();
}

async function measureIdle(generator: Generator, target: Target, count: number): Promise<Outcome> {
  await target.restart();
  await delay(settleMs);
  const memory = () => memoryKib(target.servers.map(({ pid }) => pid));
  const empty = memory();
  const { imaps: port, credentials } = target;
  const connections = await generator.hold({ port, credentials: credentials.hot, total: count, atOnce: 64 });
  await delay(settleMs);
  const held = memory();
  const result = await connections.release();
  await delay(settleMs);
  return {
    figures: {
      kibEach: (held - empty) / connections.held,
      emptyMib: empty / 1_024,
      heldMib: held / 1_024,
      afterMib: memory() / 1_024,
    },
    errors: result.errors,
    firstError: result.firstError,
  };
}
