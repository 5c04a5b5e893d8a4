import { describe, expect, it } from '@jest/globals';
import { type SubmissionSlot, SubmissionSlots } from '../../src/proxy/smtp/submission-slots.ts';

function slotsOf(limit: number) {
  const timers = new Set<() => void>();
  const slots = new SubmissionSlots({
    limit,
    startTimer: (ms, fire) => {
      expect(ms).toBe(10_000);
      timers.add(fire);
      return () => timers.delete(fire);
    },
  });
  /** The time is up for everybody who waits. */
  const expire = () => {
    for (const fire of [...timers]) {
      timers.delete(fire);
      fire();
    }
  };
  return { slots, timers, expire };
}

async function taken(slots: SubmissionSlots, account: string): Promise<SubmissionSlot> {
  const slot = await slots.take(account);
  if (slot === null) throw new Error('no slot');
  return slot;
}

describe('wire 138: transactions of an account at a time', () => {
  it('wait for their turn, in order', async () => {
    const { slots, timers } = slotsOf(1);
    const first = await taken(slots, 'a');
    const served: number[] = [];
    const waiting = [2, 3].map(async (number) => {
      const slot = await taken(slots, 'a');
      served.push(number);
      return slot;
    });
    expect(timers.size).toBe(2);
    first.release();
    const second = await waiting[0];
    expect(served).toEqual([2]);
    second?.release();
    second?.release();
    (await waiting[1])?.release();
    expect(served).toEqual([2, 3]);
    expect([timers.size, slots.size]).toEqual([0, 0]);
  });

  it('are told that it did not come in time, and then take nothing', async () => {
    const { slots, expire } = slotsOf(1);
    const first = await taken(slots, 'a');
    const late = slots.take('a');
    expire();
    expect(await late).toBeNull();
    first.release();
    expect(slots.size).toBe(0);
    (await taken(slots, 'a')).release();
  });

  it('are no matter of other accounts', async () => {
    const { slots } = slotsOf(1);
    await taken(slots, 'a');
    (await taken(slots, 'b')).release();
    expect(slots.size).toBe(1);
  });

  it('a hundred wait, and no more', async () => {
    const { slots, expire, timers } = slotsOf(1);
    await taken(slots, 'a');
    const waiting = Array.from({ length: 100 }, () => slots.take('a'));
    expect(await slots.take('a')).toBeNull();
    expect(timers.size).toBe(100);
    expire();
    expect(await Promise.all(waiting)).toEqual(Array.from({ length: 100 }, () => null));
  });

  it('are never more than the limit, whatever is released', async () => {
    const { slots } = slotsOf(3);
    let open = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 60 }, async () => {
        const slot = await taken(slots, 'a');
        open += 1;
        most = Math.max(most, open);
        await Promise.resolve();
        open -= 1;
        slot.release();
        slot.release();
      }),
    );
    expect([most, open, slots.size]).toEqual([3, 0, 0]);
  });
});
