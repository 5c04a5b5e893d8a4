import { expect, it } from '@jest/globals';
import { Closers } from '../../src/assembly/closers.ts';
import { createLogger } from '../../src/observability/logger.ts';

it('closes in the opposite order, whatever one of them throws', async () => {
  const lines: string[] = [];
  const closers = new Closers(createLogger('info', { write: (line: string) => void lines.push(line) }));
  const closed: string[] = [];
  closers.add(() => closed.push('first'));
  closers.add(() => {
    throw new Error('broken at once');
  });
  closers.add(async () => {
    throw new Error('broken later');
  });
  closers.add(() => closed.push('last'));
  await closers.closeAll();
  expect(closed).toEqual(['last', 'first']);
  expect(lines.map((line) => JSON.parse(line).err.message)).toEqual(['broken later', 'broken at once']);
});
