import { describe, expect, it } from '@jest/globals';
import { WriteBehind } from '../../src/credentials/write-behind.ts';
import { Clock } from './bed.ts';
import { until } from './until.ts';

function open(maxKeys = 1_000, options: { readonly gate?: Promise<void> } = {}) {
  const clock = new Clock();
  const written: string[][] = [];
  const faults: number[] = [];
  const lost: number[] = [];
  const begun: number[] = [];
  let isDown = false;
  const behind = new WriteBehind<{ key: string; times: number }>({
    now: clock.now,
    write: async (facts) => {
      begun.push(facts.length);
      await options.gate;
      if (isDown) throw new Error('the database is away');
      written.push(facts.map(({ key, times }) => `${key} ${times}`));
    },
    merge: (earlier, later) => ({ ...later, times: earlier.times + later.times }),
    onFault: (_error, facts) => faults.push(facts),
    onLost: (facts) => lost.push(facts),
    maxKeys,
  });
  const note = (key: string) => behind.note(key, { key, times: 1 });
  const down = (is: boolean) => {
    isDown = is;
  };
  return { clock, behind, note, written, begun, faults, lost, down };
}

describe('what is written behind', () => {
  it('is written within a second, then once a minute, and all of it at the end', async () => {
    const { clock, behind, note, written } = open();
    note('a');
    note('a');
    note('b');
    await until(() => written.length === 1);
    for (let again = 0; again < 5; again += 1) note('a');
    note('c');
    await until(() => written.length === 2);
    expect(written).toEqual([['a 2', 'b 1'], ['c 1']]);
    clock.advance(60_000);
    await until(() => written.length === 3);
    note('a');
    await behind.stop();
    expect(written.slice(2)).toEqual([['a 5'], ['a 1']]);
  });

  it('is bounded, and says what it does not take', () => {
    const { note } = open(3);
    expect(['a', 'b', 'c', 'd', 'a'].map(note)).toEqual([true, true, true, false, true]);
  });

  it('waits for a database that is away, and is counted once', async () => {
    const { clock, behind, note, written, faults, down } = open();
    down(true);
    note('a');
    await until(() => faults.length === 1);
    note('a');
    note('b');
    await until(() => faults.length === 2);
    down(false);
    clock.advance(60_000);
    await until(() => written.length === 1);
    await behind.stop();
    expect(written).toEqual([['a 2', 'b 1']]);
    expect(faults).toEqual([1, 1]);
  });

  it('does not hold up the end where the database stays away', async () => {
    const { behind, note, faults, down } = open();
    down(true);
    for (let index = 0; index < 900; index += 1) note(`key ${index}`);
    await behind.stop();
    expect(faults).toEqual([200]);
  });

  it('after a failure keeps what there is room for, and counts the rest as lost', async () => {
    const { promise: gate, resolve: fail } = Promise.withResolvers<void>();
    const { behind, note, written, begun, faults, lost, down } = open(3, { gate });
    down(true);
    for (const key of ['a', 'b', 'c']) note(key);
    // While they are written, others take two of the three places, and c comes again.
    const stopping = behind.stop();
    await until(() => begun.length === 1);
    expect(['d', 'c', 'e'].map(note)).toEqual([true, true, true]);
    fail();
    await stopping;
    expect([faults, lost]).toEqual([[3], [2]]);
    down(false);
    await behind.stop();
    expect(written).toEqual([['d 1', 'c 2', 'e 1']]);
  });

  it('leaves no timer behind where it was stopped while it wrote', async () => {
    const { promise: gate, resolve: goOn } = Promise.withResolvers<void>();
    const { behind, note, begun, faults, down } = open(10, { gate });
    down(true);
    note('a');
    await until(() => begun.length === 1);
    const stopping = behind.stop();
    goOn();
    await stopping;
    expect(faults).toEqual([1, 1]);
    // Another one's first and second writing are further off than its timer would be.
    const other = open();
    other.note('a');
    await until(() => other.written.length === 1);
    other.note('b');
    await until(() => other.written.length === 2);
    expect(faults).toEqual([1, 1]);
  });

  it('comes in statements of bounded length', async () => {
    const { behind, note, written } = open();
    for (let index = 0; index < 450; index += 1) note(`key ${index}`);
    await behind.stop();
    expect(written.map((facts) => facts.length)).toEqual([200, 200, 50]);
  });
});
