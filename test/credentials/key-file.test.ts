import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { activateNewKeys, addNewKeys, removeKey } from '../../src/credentials/key-changes.ts';
import {
  createKeyFile,
  type KeyFamily,
  KeyFileError,
  keyFingerprints,
  loadKeyFile,
  parseKeyFile,
} from '../../src/credentials/key-file.ts';
import { countingBytes } from './keys.ts';

const now = Date.UTC(2026, 10, 22);
let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sallyport-keys-'));
  path = join(folder, 'keys.json');
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const problem = (): Promise<string> =>
  loadKeyFile(path).then(
    () => 'loaded',
    (error: unknown) => (error instanceof KeyFileError ? error.message : `fault: ${error}`),
  );

describe('S-37: the key file', () => {
  it('is made with mode 0600 in a folder of mode 0700, and loads', async () => {
    path = join(folder, 'new', 'keys.json');
    await createKeyFile(path, now);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect((await stat(join(folder, 'new'))).mode & 0o777).toBe(0o700);
    const keys = await loadKeyFile(path);
    expect(keys.activeId('pepper')).toBe(1);
    expect(keys.ids('seal')).toEqual([1]);
    expect(keys.derive('mac', 1, 'sallyport/v1/pubsub')).toHaveLength(32);
    expect(await readdir(join(folder, 'new'))).toEqual(['keys.json']);
  });

  it('is never made over another', async () => {
    await createKeyFile(path, now);
    const before = await readFile(path, 'utf8');
    await expect(createKeyFile(path, now)).rejects.toThrow('exists already');
    expect(await readFile(path, 'utf8')).toBe(before);
    const racing = join(folder, 'racing.json');
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => createKeyFile(racing, now)));
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1);
    expect((await loadKeyFile(racing)).activeId('mac')).toBe(1);
  });

  it('is not made anew when it is missing', async () => {
    expect(await problem()).toContain('does not exist');
    expect(await readdir(folder)).toEqual([]);
  });

  it.each([0o644, 0o640, 0o660, 0o604, 0o700, 0o4600])('mode %i is refused', async (mode) => {
    await createKeyFile(path, now);
    await chmod(path, mode);
    expect(await problem()).toContain(`has mode ${mode.toString(8).padStart(4, '0')}`);
  });

  it('mode 0400 is accepted', async () => {
    await createKeyFile(path, now);
    await chmod(path, 0o400);
    expect(await problem()).toBe('loaded');
  });

  it('a symbolic link is refused', async () => {
    await createKeyFile(join(folder, 'real.json'), now);
    await symlink(join(folder, 'real.json'), path);
    expect(await problem()).toContain('is a symbolic link');
  });

  it('a folder is refused', async () => {
    await mkdir(path, { mode: 0o600 });
    expect(await problem()).toContain('is not a regular file');
  });

  it.each([0o770, 0o777, 0o702, 0o1777])('a folder of mode %i is refused', async (mode) => {
    await createKeyFile(path, now);
    await chmod(folder, mode);
    expect(await problem()).toContain('others can write the folder');
    await expect(createKeyFile(join(folder, 'second.json'), now)).rejects.toThrow('others can write');
  });

  // Only root can give a file away; elsewhere the owner is always oneself.
  if (process.getuid?.() === 0) {
    it('a file of another user is refused', async () => {
      await createKeyFile(path, now);
      await chown(path, 65_534, 65_534);
      expect(await problem()).toContain('belongs to another user');
    });
  }
});

describe('contents of the key file', () => {
  const entry = (id: number, state = 'active', first = 0) => ({
    id,
    ...(state === 'gone' ? {} : { key: countingBytes(first).toString('base64url') }),
    created: '2026-11-22T00:00:00.000Z',
    state,
  });
  const good = { format: 1, pepper: [entry(1)], mac: [entry(1)], seal: [entry(1)] };

  it.each([
    ['not JSON', '{'],
    ['not a key file', '[]'],
    ['not a key file', JSON.stringify({ ...good, format: 2 })],
    ['not a key file', JSON.stringify({ ...good, extra: [] })],
    ['not a key file', JSON.stringify({ ...good, mac: [{ ...entry(1), key: 'c2hvcnQ' }] })],
    ['not a key file', JSON.stringify({ ...good, mac: [entry(0)] })],
    ['not a key file', JSON.stringify({ ...good, mac: [entry(2 ** 32)] })],
    ['exactly one active', JSON.stringify({ ...good, mac: [] })],
    ['exactly one active', JSON.stringify({ ...good, mac: [entry(1), entry(2)] })],
    ['exactly one active', JSON.stringify({ ...good, mac: [entry(1, 'accept')] })],
    ['of one id', JSON.stringify({ ...good, mac: [entry(1), entry(1, 'accept')] })],
    ['missing', JSON.stringify({ ...good, mac: [entry(1), { ...entry(2, 'accept'), key: undefined }] })],
    ['although gone', JSON.stringify({ ...good, mac: [entry(1), { ...entry(2), state: 'gone' }] })],
  ])('%s: refused without quoting it', (words, text) => {
    let message = '';
    try {
      parseKeyFile(text);
    } catch (error) {
      message = error instanceof KeyFileError ? error.message : 'fault';
    }
    expect(message).toContain(words);
    expect(message).not.toContain(entry(1).key);
  });

  it('derives nothing from an id that is gone or unknown', () => {
    const text = JSON.stringify({ ...good, mac: [entry(3), entry(2, 'accept', 9), entry(1, 'gone')] });
    const keys = parseKeyFile(text);
    expect(keys.ids('mac')).toEqual([3, 2]);
    expect(keys.derive('mac', 1, 'x')).toBeNull();
    expect(keys.derive('mac', 9, 'x')).toBeNull();
    expect(keys.derive('mac', 2, 'x')).not.toEqual(keys.derive('mac', 3, 'x'));
  });

  it('is printed without its keys', () => {
    expect(JSON.stringify(parseKeyFile(JSON.stringify(good)))).toBe('{}');
  });
});

describe('S-40: rotation', () => {
  async function rotate(family: KeyFamily | 'all'): Promise<void> {
    await addNewKeys(path, family, now);
    await activateNewKeys(path, family);
  }
  const states = async () =>
    (await keyFingerprints(path)).map(({ family, id, state }) => `${family} ${id} ${state}`);

  it('a new key waits until it is put into use, and there is one at a time', async () => {
    await createKeyFile(path, now);
    expect(await addNewKeys(path, 'mac', now)).toEqual([{ family: 'mac', id: 2 }]);
    expect(await addNewKeys(path, 'all', now)).toEqual([
      { family: 'pepper', id: 2 },
      { family: 'mac', id: 2 },
      { family: 'seal', id: 2 },
    ]);
    expect(await states()).toEqual([
      ...['pepper 2 new', 'pepper 1 active', 'mac 2 new', 'mac 1 active', 'seal 2 new', 'seal 1 active'],
    ]);
    const waiting = await loadKeyFile(path);
    expect([waiting.activeId('mac'), waiting.ids('mac')]).toEqual([1, [1, 2]]);
    expect(await activateNewKeys(path, 'seal')).toEqual(['seal']);
    expect(await activateNewKeys(path, 'all')).toEqual(['pepper', 'mac']);
    await expect(activateNewKeys(path, 'all')).rejects.toThrow('no new key waits');
    expect((await states()).filter((each) => each.endsWith('active'))).toHaveLength(3);
  });

  it('a retired key is gone, and its number is not used again', async () => {
    await createKeyFile(path, now);
    await rotate('pepper');
    await expect(removeKey(path, 'pepper', 2)).rejects.toThrow('is in use');
    await expect(removeKey(path, 'pepper', 3)).rejects.toThrow('there is no pepper key 3');
    await removeKey(path, 'pepper', 1);
    await expect(removeKey(path, 'pepper', 1)).rejects.toThrow('retired already');
    expect(await keyFingerprints(path)).toContainEqual(
      expect.objectContaining({ family: 'pepper', id: 1, state: 'gone', fingerprint: null }),
    );
    expect((await loadKeyFile(path)).derive('pepper', 1, 'x')).toBeNull();
    // One that was never in use may go as well.
    await addNewKeys(path, 'pepper', now);
    await removeKey(path, 'pepper', 3);
    expect(await addNewKeys(path, 'pepper', now)).toEqual([{ family: 'pepper', id: 4 }]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('a running gateway takes the file again, and no other file', async () => {
    await createKeyFile(path, now);
    const keys = await loadKeyFile(path);
    const old = keys.derive('mac', 1, 'x');
    await rotate('mac');
    expect(keys.activeId('mac')).toBe(1);
    await keys.reload();
    expect([keys.activeId('mac'), keys.ids('mac')]).toEqual([2, [2, 1]]);
    expect(keys.derive('mac', 1, 'x')).toEqual(old);
    await removeKey(path, 'mac', 1);
    await keys.reload();
    expect(keys.derive('mac', 1, 'x')).toBeNull();

    const mine = await readFile(path, 'utf8');
    await rm(path);
    await createKeyFile(path, now);
    await expect(keys.reload()).rejects.toThrow('it is another one');
    await writeFile(path, '{}', { mode: 0o600 });
    await expect(keys.reload()).rejects.toThrow(KeyFileError);
    expect(keys.activeId('mac')).toBe(2);
    await writeFile(path, mine);
    await keys.reload();
  });

  it('makes a new active key and keeps the old one accepted', async () => {
    await createKeyFile(path, now);
    const before = await loadKeyFile(path);
    await rotate('pepper');
    await rotate('all');
    const after = await loadKeyFile(path);
    expect(after.ids('pepper')).toEqual([3, 2, 1]);
    expect(after.ids('mac')).toEqual([2, 1]);
    expect(after.activeId('seal')).toBe(2);
    expect(after.derive('pepper', 1, 'x')).toEqual(before.derive('pepper', 1, 'x'));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(['keys.json']);
  });

  it('shows fingerprints and no key', async () => {
    await createKeyFile(path, now);
    await rotate('mac');
    const status = await keyFingerprints(path);
    expect(status.map(({ family, id, state }) => `${family} ${id} ${state}`)).toEqual([
      'pepper 1 active',
      'mac 2 active',
      'mac 1 accept',
      'seal 1 active',
    ]);
    for (const { fingerprint } of status) expect(fingerprint).toMatch(/^[0-9a-f]{8}$/);
    const keys = (await readFile(path, 'utf8')).match(/[A-Za-z0-9_-]{43}/g) ?? [];
    expect(keys).toHaveLength(4);
    for (const key of keys) expect(JSON.stringify(status)).not.toContain(key);
  });

  it('a damaged file is not rotated', async () => {
    await writeFile(path, '{}', { mode: 0o600 });
    await expect(addNewKeys(path, 'all', now)).rejects.toThrow(KeyFileError);
    expect(await readFile(path, 'utf8')).toBe('{}');
  });
});
