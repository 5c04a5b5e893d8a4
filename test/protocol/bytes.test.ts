import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ByteQueue, hasControlByte } from '../../src/protocol/bytes.ts';

describe('the byte queue', () => {
  it('gives back in order what came in, whatever the pieces', () => {
    const piece = fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.array(fc.tuple(piece, fc.nat(900)), { maxLength: 40 }), (turns) => {
        const queue = new ByteQueue(100_000);
        let model = Buffer.alloc(0);
        for (const [bytes, consumed] of turns) {
          queue.append(bytes);
          model = Buffer.concat([model, bytes]);
          expect(queue.indexOf(0x0a, 3)).toBe(model.indexOf(0x0a, 3));
          queue.consume(consumed);
          model = model.subarray(consumed);
          expect(queue.length).toBe(model.length);
          expect(Buffer.from(queue.view(0, queue.length))).toEqual(Buffer.from(model));
        }
        expect(queue.takeAll()).toEqual(Buffer.from(model));
        expect(queue.length).toBe(0);
      }),
    );
  });

  it('zeroes what is consumed, and what it outgrows', () => {
    const queue = new ByteQueue(1_000);
    queue.append(Buffer.from('secret'));
    const small = queue.view(0, 6);
    queue.append(Buffer.alloc(300, 'x'));
    expect(small).toEqual(Buffer.alloc(6));
    const grown = queue.view(0, 6);
    expect(grown.toString()).toBe('secret');
    queue.consume(6);
    expect(grown).toEqual(Buffer.alloc(6));
  });

  it('zeroes what it leaves behind when it moves up', () => {
    const queue = new ByteQueue(256);
    queue.append(Buffer.alloc(250, 'x'));
    const tail = queue.view(240, 250);
    queue.consume(240);
    queue.append(Buffer.alloc(100, 'y'));
    expect(queue.length).toBe(110);
    expect(tail).toEqual(Buffer.alloc(10));
  });

  it('holds no more than it may', () => {
    const queue = new ByteQueue(10);
    queue.append(Buffer.alloc(8));
    expect(queue.room).toBe(2);
    expect(() => queue.append(Buffer.alloc(3))).toThrow(RangeError);
    expect(queue.length).toBe(8);
  });

  it('knows control bytes', () => {
    expect(['a\0', '\n', '\x1f', '\x7f'].map((text) => hasControlByte(Buffer.from(text)))).toEqual([
      true,
      true,
      true,
      true,
    ]);
    expect(hasControlByte(Buffer.from(' ~\x80\xff', 'latin1'))).toBe(false);
  });
});
