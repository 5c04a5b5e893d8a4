import { describe, expect, it } from '@jest/globals';
import { HashQueue } from '../../src/credentials/hash-queue.ts';

/** Work that ends when it is told to. */
function work() {
  const { promise, resolve } = Promise.withResolvers<string>();
  let starts = 0;
  const run = () => {
    starts += 1;
    return promise;
  };
  return { run, end: () => resolve('done'), started: () => starts > 0 };
}

const place = (account: string, network = 'n') => ({ account, network });
const limits = { threads: 1, waitMs: 60_000 };

describe('S-21: the argon2 queue', () => {
  it('runs as many as there are threads, and the rest in order', async () => {
    const queue = new HashQueue(Date.now, { ...limits, threads: 2 });
    const works = Array.from({ length: 4 }, work);
    const outcomes = works.map(({ run }, index) => queue.run(place(`a${index}`), run));
    expect(works.map(({ started }) => started())).toEqual([true, true, false, false]);
    works[1]?.end();
    await outcomes[1];
    expect(works.map(({ started }) => started())).toEqual([true, true, true, false]);
    for (const { end } of works) end();
    expect(await Promise.all(outcomes)).toEqual(['done', 'done', 'done', 'done']);
  });

  it('lets 4 of an account wait and takes others all the same', async () => {
    const queue = new HashQueue(Date.now, limits);
    const first = work();
    const running = queue.run(place('a'), first.run);
    const waiting = Array.from({ length: 4 }, (_, index) =>
      queue.run(place('a', `n${index}`), async () => 'done'),
    );
    expect(await queue.run(place('a', 'n9'), async () => 'done')).toBe('busy');
    const other = queue.run(place('b'), async () => 'done');
    first.end();
    expect(await Promise.all([running, other, ...waiting])).toEqual(new Array(6).fill('done'));
    expect(await queue.run(place('a'), async () => 'again')).toBe('again');
  });

  it('lets 32 of a network wait', async () => {
    const queue = new HashQueue(Date.now, limits);
    const first = work();
    const running = queue.run(place('x'), first.run);
    const waiting = Array.from({ length: 32 }, (_, index) =>
      queue.run(place(`a${index}`), async () => 'done'),
    );
    expect(await queue.run(place('a99'), async () => 'done')).toBe('busy');
    expect(await Promise.race([queue.run(place('a99', 'other'), async () => 'done'), 'waits'])).toBe('waits');
    first.end();
    expect(await Promise.all([running, ...waiting])).toEqual(new Array(33).fill('done'));
  });

  it('gives up after its time and frees the place', async () => {
    const queue = new HashQueue(Date.now, { ...limits, waitMs: 20 });
    const first = work();
    const running = queue.run(place('a'), first.run);
    const late = work();
    expect(await queue.run(place('b'), late.run)).toBe('busy');
    expect(late.started()).toBe(false);
    first.end();
    await running;
    expect(await queue.run(place('b'), async () => 'done')).toBe('done');
  });

  it('does not start one whose time passed while the process stood still', async () => {
    let now = 0;
    const queue = new HashQueue(() => now, limits);
    const first = work();
    const running = queue.run(place('a'), first.run);
    const late = queue.run(place('b'), async () => 'done');
    now = 60_001;
    first.end();
    await running;
    expect(await late).toBe('busy');
  });

  it('goes on after work that failed', async () => {
    const queue = new HashQueue(Date.now, limits);
    const failing = queue.run(place('a'), () => Promise.reject(new Error('no memory')));
    const next = queue.run(place('b'), async () => 'done');
    await expect(failing).rejects.toThrow('no memory');
    expect(await next).toBe('done');
  });
});
