import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalName } from '../../src/credentials/account-name.ts';
import {
  allowsRecipient,
  allowsSender,
  canonicalFence,
  decodeFence,
  encodeFence,
  type Fence,
  noFence,
} from '../../src/credentials/fence.ts';

function fenceOf(wanted: Partial<Fence>): Fence {
  const canonical = canonicalFence({ ...noFence, ...wanted });
  if (canonical.kind === 'invalid') throw new Error(canonical.problem);
  return canonical.fence;
}

describe('S-58: a fence', () => {
  it('has one form', () => {
    const wanted = { from: ['Scan@EXAMPLE.com', '@Bücher.example', 'scan@example.com'], maxBytes: 10 };
    const fence = fenceOf({ ...wanted, recipientDomains: ['Example.COM', 'b.example'] });
    expect(fence).toEqual({
      ...noFence,
      from: ['@xn--bcher-kva.example', 'scan@example.com'],
      recipientDomains: ['b.example', 'example.com'],
      maxBytes: 10,
    });
    expect(encodeFence(fence)).toBe(
      '{"from":["@xn--bcher-kva.example","scan@example.com"],"recipientDomains":["b.example","example.com"],"maxBytes":10}',
    );
    expect(decodeFence(encodeFence(fence))).toEqual(fence);
  });

  it('that fences nothing is empty', () => {
    expect(encodeFence(noFence)).toBe('');
    expect(decodeFence('')).toBe(noFence);
  });

  it.each<[string, object]>([
    ['nobody may be sender', { from: [] }],
    ['no address', { from: ['joe'] }],
    ['no domain', { from: ['@'] }],
    ['a list of a domain', { from: ['@a@b'] }],
    ['nowhere', { recipientDomains: [] }],
    ['an address for a domain', { recipientDomains: ['a@example.com'] }],
    ['a pattern', { recipientDomains: ['*.example.com'] }],
    ['too many', { recipientDomains: Array.from({ length: 33 }, (_, index) => `d${index}.example`) }],
    [
      'too long',
      { from: Array.from({ length: 32 }, (_, index) => `${'x'.repeat(200)}${index}@example.com`) },
    ],
    ['none at all', { messagesPerHour: 0 }],
    ['less than none', { messagesPerDay: -1 }],
    ['a part', { recipientsPerHour: 1.5 }],
    ['no number', { recipientsPerDay: Number.NaN }],
    ['a text', { maxBytes: '10' }],
  ])('is refused for %s', (_, wanted) => {
    expect(canonicalFence({ ...noFence, ...wanted })).toMatchObject({ kind: 'invalid' });
  });

  it('of another writer is not understood, and never none', () => {
    for (const text of [
      '{}',
      'null',
      '[]',
      '"x"',
      'x',
      '{"from":null}',
      '{"from":["SCAN@example.com"]}',
      '{"maxBytes":10,"from":["scan@example.com"]}',
      '{"from":["scan@example.com"],"weekends":false}',
      ' {"maxBytes":10}',
      '{"__proto__":{"maxBytes":10}}',
    ]) {
      expect(decodeFence(text)).toBeNull();
    }
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const fence = decodeFence(text);
        if (fence !== null) expect(encodeFence(fence)).toBe(text);
      }),
    );
  });

  it('names addresses exactly, and whole domains without those below them', () => {
    const fence = fenceOf({ from: ['scan@example.com', '@b.example'], recipientDomains: ['example.com'] });
    const may = (address: string) => {
      const name = canonicalName(address, null);
      return name !== null && allowsSender(fence, name);
    };
    expect(['SCAN@example.com', 'any@b.example'].map(may)).toEqual([true, true]);
    expect(['scan+x@example.com', 'a@sub.b.example', 'a@xb.example', 'b.example@x.org'].map(may)).toEqual(
      Array.from({ length: 4 }, () => false),
    );
    expect(allowsRecipient(fence, 'example.com')).toBe(true);
    expect(allowsRecipient(fence, 'sub.example.com')).toBe(false);
    expect(allowsRecipient(noFence, 'anywhere.example')).toBe(true);
  });
});
