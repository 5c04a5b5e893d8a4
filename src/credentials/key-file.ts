import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { deriveKey } from './derive.ts';
import { replaceFile } from './replace-file.ts';

/** Three independent roots, because they are rotated for different reasons (requirements 3.1). */
export type KeyFamily = 'pepper' | 'mac' | 'seal';

/** The roots as the program uses them: only derived keys leave it. */
export interface KeyRing {
  /** The id that new values are written under. */
  activeId(family: KeyFamily): number;
  /** Live ids, the active one first. */
  ids(family: KeyFamily): readonly number[];
  /** The 32-byte key of one purpose, shared: never written to. null: the id is unknown or gone. */
  derive(family: KeyFamily, id: number, label: string, salt?: Buffer): Buffer | null;
}

/** A ring that follows its file, because keys come and go while the gateway runs. */
export interface KeyRingFile extends KeyRing {
  /** Reads the file again. Throws {@link KeyFileError}, and stays as it is, for one that cannot take its place. */
  reload(): Promise<void>;
}

/** The key file cannot be used; `message` is one plain sentence for the operator and holds no key. */
export class KeyFileError extends Error {
  override readonly name = 'KeyFileError';
}

/** One key as `keys status` shows it: the fingerprint tells two files apart and reveals nothing. */
export interface KeyFingerprint {
  readonly family: KeyFamily;
  readonly id: number;
  /** `new` is not in use yet, and is accepted like an old one. */
  readonly state: 'active' | 'new' | 'accept' | 'gone';
  readonly created: string;
  /** First 8 hexadecimal digits of SHA-256; null once the key is gone. */
  readonly fingerprint: string | null;
}

export const families: readonly KeyFamily[] = ['pepper', 'mac', 'seal'];

const entry = z.strictObject({
  id: z.int().min(1).max(0xffff_ffff),
  key: z
    .string()
    .regex(/^[A-Za-z0-9_-]{43}$/)
    .optional(),
  created: z.iso.datetime(),
  state: z.enum(['active', 'accept', 'gone']),
});
const keyFile = z.strictObject({
  format: z.literal(1),
  pepper: z.array(entry),
  mac: z.array(entry),
  seal: z.array(entry),
});
export type KeyFile = z.output<typeof keyFile>;

/** Reads the key file. Throws {@link KeyFileError} for each fault of S-37, a missing file included. */
export async function loadKeyFile(path: string): Promise<KeyRingFile> {
  return new FileKeyRing(await readKeyFile(path), async () => await readKeyFile(path));
}

/** The roots in a key file's text; for tests of published vectors. Throws {@link KeyFileError}. */
export function parseKeyFile(text: string): KeyRing {
  return new FileKeyRing(parse(text), async () => parse(text));
}

/** Makes a key file with three new roots, and its folder. Refuses an existing file: a new one kills every app password. */
export async function createKeyFile(path: string, now: number): Promise<void> {
  await mkdir(dirname(resolve(path)), { recursive: true, mode: 0o700 });
  await checkParent(path);
  // Taken before it is written, so that two commands at once cannot both succeed.
  await (await openNew(path)).close();
  const first = [newEntry(1, now)];
  try {
    await replaceKeyFile(path, {
      format: 1,
      pepper: first,
      mac: [newEntry(1, now)],
      seal: [newEntry(1, now)],
    });
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** What `keys status` prints. Throws {@link KeyFileError}. */
export async function keyFingerprints(path: string): Promise<readonly KeyFingerprint[]> {
  const file = await readKeyFile(path);
  return families.flatMap((family) =>
    file[family].map(({ id, key, created, state }) => ({
      family,
      id,
      state: state === 'accept' && id > activeOf(file[family]).id ? 'new' : state,
      created,
      fingerprint: key === undefined ? null : fingerprint(key),
    })),
  );
}

/** The one that new values are written under. */
export function activeOf(entries: KeyFile['mac']): KeyFile['mac'][number] {
  const active = entries.find(({ state }) => state === 'active');
  if (active === undefined) throw new Error('a key family without an active key');
  return active;
}

export function newEntry(id: number, now: number): KeyFile['mac'][number] {
  const created = new Date(now).toISOString();
  return { id, key: randomBytes(32).toString('base64url'), created, state: 'active' };
}

function fingerprint(key: string): string {
  return createHash('sha256').update(Buffer.from(key, 'base64url')).digest('hex').slice(0, 8);
}

/** Throws {@link KeyFileError}. */
export async function readKeyFile(path: string): Promise<KeyFile> {
  await checkParent(path);
  let file: FileHandle;
  try {
    // A link could be swapped for one to another file between check and use (S-37); a FIFO would block the start.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    throw new KeyFileError(openProblem(path, error), { cause: error });
  }
  try {
    const { mode, uid, isFile } = await statOf(file);
    if (!isFile) throw new KeyFileError(`${path} is not a regular file`);
    if (uid !== process.getuid?.()) throw new KeyFileError(`${path} belongs to another user (uid ${uid})`);
    if (mode !== 0o600 && mode !== 0o400) {
      throw new KeyFileError(`${path} has mode ${mode.toString(8).padStart(4, '0')}: make it 0600 or 0400`);
    }
    return parse(await file.readFile('utf8'), path);
  } finally {
    await file.close();
  }
}

async function statOf(file: FileHandle): Promise<{ mode: number; uid: number; isFile: boolean }> {
  const status = await file.stat();
  return { mode: status.mode & 0o7777, uid: status.uid, isFile: status.isFile() };
}

/** Whoever can write the folder can swap the file. */
async function checkParent(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  let mode: number;
  try {
    mode = (await stat(folder)).mode;
  } catch (error) {
    throw new KeyFileError(openProblem(path, error), { cause: error });
  }
  if ((mode & 0o022) !== 0) {
    throw new KeyFileError(`others can write the folder ${folder} of the key file: make it 0700`);
  }
}

function openProblem(path: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
  if (code === 'ENOENT')
    return `${path} does not exist: restore it, or make a first one with "sallyport keys init"`;
  if (code === 'ELOOP') return `${path} is a symbolic link: name the file itself`;
  if (code === 'EACCES') return `${path} cannot be read by this user`;
  return `${path} cannot be opened (${code})`;
}

function parse(text: string, path = 'the key file'): KeyFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and with it keys.
    throw new KeyFileError(`${path} is not JSON`);
  }
  const { data, error } = keyFile.safeParse(json);
  if (data === undefined) {
    throw new KeyFileError(
      `${path} is not a key file of format 1 (at ${error.issues[0]?.path.join('.') || 'the top'})`,
    );
  }
  for (const family of families) {
    const entries = data[family];
    if (entries.filter((each) => each.state === 'active').length !== 1) {
      throw new KeyFileError(`${path} needs exactly one active ${family} key`);
    }
    if (new Set(entries.map((each) => each.id)).size !== entries.length) {
      throw new KeyFileError(`${path} has two ${family} keys of one id`);
    }
    if (entries.some((each) => (each.key === undefined) !== (each.state === 'gone'))) {
      throw new KeyFileError(`${path} has a ${family} key that is missing, or is there although gone`);
    }
  }
  return data;
}

/** Throws {@link KeyFileError}. */
export async function replaceKeyFile(path: string, content: KeyFile): Promise<void> {
  try {
    await replaceFile(path, `${JSON.stringify(content, null, 1)}\n`);
  } catch (error) {
    throw new KeyFileError(openProblem(path, error), { cause: error });
  }
}

async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o600);
  } catch (error) {
    const exists = await lstat(path).then(
      () => true,
      () => false,
    );
    throw new KeyFileError(exists ? `${path} exists already` : openProblem(path, error), { cause: error });
  }
}

type Roots = Readonly<Record<KeyFamily, ReadonlyMap<number, Buffer>>>;

class FileKeyRing implements KeyRingFile {
  readonly #read: () => Promise<KeyFile>;
  #roots: Roots;
  readonly #derived = new Map<string, Buffer>();

  constructor(file: KeyFile, read: () => Promise<KeyFile>) {
    this.#read = read;
    this.#roots = rootsOf(file);
  }

  async reload(): Promise<void> {
    const roots = rootsOf(await this.#read());
    for (const family of families) {
      const id = this.activeId(family);
      const [now, then] = [this.#roots[family].get(id), roots[family].get(id)];
      if (then === undefined || now?.equals(then) !== true) {
        throw new KeyFileError(
          `the key file lacks the ${family} key ${id} that is in use: it is another one`,
        );
      }
    }
    this.#roots = roots;
    this.#derived.clear();
  }

  activeId(family: KeyFamily): number {
    const [id] = this.#roots[family].keys();
    if (id === undefined) throw new Error(`no active ${family} key`);
    return id;
  }

  ids(family: KeyFamily): readonly number[] {
    return [...this.#roots[family].keys()];
  }

  derive(family: KeyFamily, id: number, label: string, salt?: Buffer): Buffer | null {
    const root = this.#roots[family].get(id);
    if (root === undefined) return null;
    const name = `${family} ${id} ${label} ${salt?.toString('base64url') ?? ''}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const key = deriveKey(root, label, salt);
    // Salts come and go daily; the rest are a few dozen.
    if (this.#derived.size >= 256) this.#derived.clear();
    this.#derived.set(name, key);
    return key;
  }
}

function rootsOf(file: KeyFile): Roots {
  return { pepper: liveRoots(file.pepper), mac: liveRoots(file.mac), seal: liveRoots(file.seal) };
}

/** The active one first. */
function liveRoots(entries: KeyFile['mac']): ReadonlyMap<number, Buffer> {
  const live = entries.toSorted(
    (left, right) => Number(right.state === 'active') - Number(left.state === 'active'),
  );
  return new Map(
    live.flatMap(({ id, key }) => (key === undefined ? [] : [[id, Buffer.from(key, 'base64url')] as const])),
  );
}
