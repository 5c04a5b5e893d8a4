import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startRedis } from '../support/redis.ts';
import { makeSite } from './site.ts';

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** What `check --connect` says of a Redis with these settings. */
async function said(settings: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sallyport-check-'));
  closers.push(() => rm(folder, { recursive: true }));
  const redis = await startRedis({ folder, settings });
  closers.push(() => redis.stop());
  const site = await makeSite({ redis: { url: redis.url } });
  closers.push(site.remove);
  await site.command('keys', 'init');
  const { out } = await site.command('check', '--connect');
  return out
    .split('\n')
    .filter((line) => line.includes('redis: '))
    .join('\n');
}

describe('S-28: check --connect', () => {
  it.each([
    ['takes snapshots', { save: '3600 1' }],
    ['keeps a log', { appendonly: 'yes' }],
  ])('warns of a Redis that %s', async (_, settings) => {
    expect(await said(settings)).toMatch(/^warning +redis: writes its data to disk/m);
  });

  it('is content with one that writes nothing', async () => {
    const lines = await said({});
    expect(lines).toMatch(/^answer +redis: writes nothing to disk$/m);
    expect(lines).not.toContain('warning');
  });
});

describe('S-29: check', () => {
  it.each(['redis://10.0.0.1:6379', 'redis://:secret@10.0.0.1:6379', 'rediss://10.0.0.1:6379'])(
    'refuses %s, exit 78',
    async (url) => {
      const site = await makeSite({ redis: { url } });
      closers.push(site.remove);
      await site.command('keys', 'init');
      const { code, out, err } = await site.command('check');
      expect(code).toBe(78);
      expect(`${out}\n${err}`).toMatch(/redis\.url: /);
      expect(`${out}\n${err}`).not.toContain('secret@');
    },
  );
});
