import { describe, expect, it } from '@jest/globals';
import { Addresses, lookupAll } from '../../src/upstream/addresses.ts';

const fixed = (...found: string[]) => new Addresses('mail.example', { lookup: async () => found });

describe('wire 157: the order in which addresses are tried', () => {
  it('alternates families, beginning with the one the resolver prefers', async () => {
    expect(await fixed('2001:db8::1', '2001:db8::2', '2001:db8::3', '192.0.2.1').inOrder()).toEqual([
      '2001:db8::1',
      '192.0.2.1',
      '2001:db8::2',
      '2001:db8::3',
    ]);
    expect(await fixed('192.0.2.1', '2001:db8::1', '2001:db8::2', '192.0.2.1').inOrder()).toEqual([
      '192.0.2.1',
      '2001:db8::1',
      '2001:db8::2',
    ]);
  });

  it('begins with the one that answered last, and ends with it once it was no good', async () => {
    const addresses = fixed('192.0.2.1', '192.0.2.2', '192.0.2.3');
    addresses.answered('192.0.2.3');
    expect(await addresses.inOrder()).toEqual(['192.0.2.3', '192.0.2.1', '192.0.2.2']);
    addresses.doubt();
    expect(await addresses.inOrder()).toEqual(['192.0.2.1', '192.0.2.2', '192.0.2.3']);
    addresses.answered('192.0.2.3');
    expect((await addresses.inOrder())[0]).toBe('192.0.2.3');
  });

  it('forgets one that the name no longer has', async () => {
    let found = ['192.0.2.1'];
    const addresses = new Addresses('mail.example', { lookup: async () => found });
    addresses.answered('192.0.2.1');
    found = ['192.0.2.9'];
    expect(await addresses.inOrder()).toEqual(['192.0.2.9']);
  });

  it('is bounded, whatever a resolver answers', async () => {
    const many = Array.from({ length: 500 }, (_, index) => `192.0.2.${index % 250}`);
    const addresses = fixed(...many);
    expect(await addresses.inOrder()).toHaveLength(10);
    addresses.answered('192.0.2.200');
    expect(await addresses.inOrder()).toHaveLength(10);
  });

  it('asks once for however many logins wait, and no longer than it may', async () => {
    let asked = 0;
    const addresses = new Addresses('mail.example', {
      lookup: () => {
        asked += 1;
        return new Promise(() => {});
      },
      lookupMs: 1,
    });
    const waiting = Array.from({ length: 50 }, () => addresses.inOrder());
    for (const outcome of await Promise.allSettled(waiting)) {
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { message: 'mail.example cannot be resolved: no answer in time' },
      });
    }
    expect(asked).toBe(1);
  });

  it('goes on with the last good address while the name cannot be resolved', async () => {
    let isUp = true;
    const addresses = new Addresses('mail.example', {
      lookup: async () => {
        if (!isUp) throw new Error('EAI_AGAIN');
        return ['192.0.2.1', '192.0.2.2'];
      },
    });
    await addresses.inOrder();
    isUp = false;
    await expect(addresses.inOrder()).rejects.toThrow('mail.example cannot be resolved: EAI_AGAIN');
    addresses.answered('192.0.2.2');
    expect(await addresses.inOrder()).toEqual(['192.0.2.2']);
  });

  it('asks the system, and nobody for an address', async () => {
    expect(await lookupAll('localhost')).toContain('127.0.0.1');
    const addresses = new Addresses('::1', { lookup: () => Promise.reject(new Error('asked')) });
    expect(await addresses.inOrder()).toEqual(['::1']);
  });
});
