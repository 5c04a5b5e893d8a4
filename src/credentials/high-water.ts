import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errorCode, errorText } from '../observability/error-text.ts';
import { u64 } from './derive.ts';
import type { KeyRing } from './key-file.ts';
import type { Redis } from './redis.ts';
import { replaceFile } from './replace-file.ts';
import { isMacOutdated, isVersionedMac, versionedMac } from './versioned-mac.ts';

const label = 'sallyport/v1/high-water';
const fileName = 'high-water';
const redisKey = 'sp:v1:high-water';
/** Revocations often come in bursts; a process that revokes does not wait for this. */
const debounceMs = 500;
/** A Redis that is down must not hold up a start. */
const redisMs = 1_000;

/** What is remembered of the revocation feed outside the database. */
export type HighWaterReading =
  | { readonly kind: 'none' }
  | { readonly kind: 'mark'; readonly seq: number }
  /** The file is there and says nothing that can be relied on. */
  | { readonly kind: 'unusable'; readonly problem: string };

/**
 * The highest number of the revocation feed, kept outside SQL: in a file of the state directory and, where there is one, in
 * Redis. A database behind it was restored from a backup (S-35). Its MAC keeps others from moving it.
 */
export class HighWater {
  readonly file: string;
  readonly #folder: string;
  readonly #keys: KeyRing;
  readonly #redis: Redis | null;
  readonly #onFault: (problem: string) => void;
  #saving: Promise<void> = Promise.resolve();
  #noted = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: {
    readonly folder: string;
    readonly keys: KeyRing;
    readonly redis: Redis | null;
    /** Told when the file could not be written: a restore may go unnoticed. */
    readonly onFault: (problem: string) => void;
  }) {
    this.#folder = parts.folder;
    this.file = highWaterFile(parts.folder);
    this.#keys = parts.keys;
    this.#redis = parts.redis;
    this.#onFault = parts.onFault;
  }

  /** The higher of the two marks. What Redis holds counts only where it is ours: others may write there. */
  async read(): Promise<HighWaterReading> {
    const held = await this.#readFile();
    if (held.kind === 'unusable') return held;
    const seq = Math.max(held.kind === 'mark' ? held.seq : -1, await this.#readRedis());
    return seq < 0 ? { kind: 'none' } : { kind: 'mark', seq };
  }

  /** Soon, together with what follows at once. */
  note(seq: number): void {
    this.#noted = Math.max(this.#noted, seq);
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.save(this.#noted);
    }, debounceMs).unref();
  }

  /** When it settles the mark stands there or higher, or the fault was told. Never rejects; the mark never sinks. */
  save(seq: number): Promise<void> {
    this.#saving = this.#saving.then(async () => {
      await this.#saveFile(seq);
      await this.#saveRedis(seq);
    });
    return this.#saving;
  }

  /** Writes what was put off. */
  async stop(): Promise<void> {
    if (this.#timer !== null) {
      clearTimeout(this.#timer);
      this.#timer = null;
      void this.save(this.#noted);
    }
    await this.#saving;
  }

  async #readFile(): Promise<HighWaterReading & { readonly isOutdated?: boolean }> {
    let text: string;
    try {
      text = await readFile(this.file, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return { kind: 'none' };
      return { kind: 'unusable', problem: `${this.file} cannot be read (${errorText(error)})` };
    }
    const mark = decodeMark(this.#keys, text.trim());
    if (mark === null) return { kind: 'unusable', problem: `${this.file} is not as the gateway wrote it` };
    return { kind: 'mark', ...mark };
  }

  async #saveFile(seq: number): Promise<void> {
    try {
      // Read again each time: another process of this machine may have moved it on.
      const held = await this.#readFile();
      if (held.kind === 'mark' && held.seq >= seq && held.isOutdated !== true) return;
      const highest = held.kind === 'mark' ? Math.max(held.seq, seq) : seq;
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await replaceFile(this.file, `${encodeMark(this.#keys, highest)}\n`);
    } catch (error) {
      this.#onFault(`${this.file} cannot be written (${errorText(error)})`);
    }
  }

  /** -1 for none. */
  async #readRedis(): Promise<number> {
    if (this.#redis === null) return -1;
    try {
      if (this.#redis.status !== 'ready') {
        await once(this.#redis, 'ready', { signal: AbortSignal.timeout(redisMs) });
      }
      const text = await this.#redis.get(redisKey);
      return (text === null ? null : decodeMark(this.#keys, text))?.seq ?? -1;
    } catch {
      return -1;
    }
  }

  async #saveRedis(seq: number): Promise<void> {
    if (this.#redis === null || this.#redis.status !== 'ready') return;
    try {
      if ((await this.#readRedis()) < seq) await this.#redis.set(redisKey, encodeMark(this.#keys, seq));
    } catch {
      // Away: the file stands.
    }
  }
}

/** Where the mark of a state directory is. */
export function highWaterFile(folder: string): string {
  return join(folder, fileName);
}

/** `8.` and the MAC of 8 in base64url. */
export function encodeMark(keys: KeyRing, seq: number): string {
  return `${seq}.${versionedMac(keys, label, [u64(BigInt(seq))]).toString('base64url')}`;
}

/** null for anything that is not ours. */
export function decodeMark(
  keys: KeyRing,
  text: string,
): { readonly seq: number; readonly isOutdated: boolean } | null {
  const match = /^(0|[1-9]\d{0,14})\.([A-Za-z0-9_-]{48})$/.exec(text);
  if (match === null) return null;
  const seq = Number(match[1]);
  const mac = Buffer.from(match[2] ?? '', 'base64url');
  if (!isVersionedMac(keys, label, [u64(BigInt(seq))], mac)) return null;
  return { seq, isOutdated: isMacOutdated(keys, mac) };
}
