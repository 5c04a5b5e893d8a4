import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/*
 * Golden dialogues that read like the examples of an RFC:
 *
 *   == wire 34: a client cancels            a transcript begins; several may share a file
 *   # a remark
 *   C: a1 NOOP                              the peer sends a line, CRLF added; lines in a row are one segment
 *   C> a1 NOOP\n                            … exactly these bytes
 *   verdict: refused AUTHENTICATIONFAILED   an event of the surroundings, by the names the dialect lists
 *   S: a1 OK NOOP completed.                a line is expected, CRLF added; `S>` exactly these bytes
 *   close                                   any other line: an effect is expected
 *
 * On wire lines: \r \n \t \\ \0 \xNN, <SP> for a space at the end, <5000*a> for a run.
 */

/** What belongs to a transcript's letters and words. */
export interface Dialect {
  readonly input: string;
  readonly output: string;
  readonly events: readonly string[];
}

/** Sent bytes, or an effect in words. */
export type Observation = Buffer | string;

/** Something happens, then this is expected, bytes in a row taken together. */
export interface Turn {
  readonly input: Buffer | { readonly event: string; readonly detail: string } | null;
  readonly expected: readonly Observation[];
}

export interface Transcript {
  readonly title: string;
  readonly turns: readonly Turn[];
}

/** What a transcript is replayed on: a machine, or a socket with a server behind it. */
export interface Subject {
  receive(bytes: Buffer): void;
  happen(event: string, detail: string): void;
  /** What has been seen since it was last asked; a socket waits until it has as much as is expected. */
  observed(expected: readonly Observation[]): readonly Observation[] | Promise<readonly Observation[]>;
}

/** How the peer's bytes arrive; `offset` is where `bytes` begin in all it sends. */
export type Delivery = (bytes: Buffer, offset: number) => readonly Buffer[];

export const whole: Delivery = (bytes) => [bytes];
export const byteByByte: Delivery = (bytes) => Array.from(bytes, (byte) => Buffer.from([byte]));
export const cutAt =
  (place: number): Delivery =>
  (bytes, offset) =>
    place > offset && place < offset + bytes.length
      ? [bytes.subarray(0, place - offset), bytes.subarray(place - offset)]
      : [bytes];

/** All transcripts of the `.txt` files of a folder. */
export function loadTranscripts(folder: string, dialect: Dialect): Transcript[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return files.sort().flatMap((name) => parseTranscripts(readFileSync(join(folder, name), 'utf8'), dialect));
}

export function parseTranscripts(text: string, dialect: Dialect): Transcript[] {
  const parts = text.split(/^== /m).slice(1);
  return parts.map((part) => {
    const [title = '', ...lines] = part.split('\n');
    return { title: title.trim(), turns: parseTurns(lines, dialect) };
  });
}

function parseTurns(lines: readonly string[], dialect: Dialect): Turn[] {
  const turns: { input: Turn['input']; expected: Observation[] }[] = [];
  for (const line of lines.map((raw) => raw.trimEnd()).filter((raw) => raw !== '' && !raw.startsWith('#'))) {
    const [, letter, form, rest = ''] = /^([A-Z])(:|>)(?: (.*))?$/.exec(line) ?? [];
    const [, event, detail = ''] = /^([a-z-]+)(?:: (.*))?$/.exec(line) ?? [];
    const last = turns.at(-1);
    if (letter === dialect.input) {
      const bytes = unescaped(rest, form === ':');
      if (last !== undefined && Buffer.isBuffer(last.input) && last.expected.length === 0) {
        last.input = Buffer.concat([last.input, bytes]);
      } else {
        turns.push({ input: bytes, expected: [] });
      }
    } else if (event !== undefined && dialect.events.includes(event)) {
      turns.push({ input: { event, detail }, expected: [] });
    } else {
      const turn = last ?? { input: null, expected: [] };
      if (last === undefined) turns.push(turn);
      turn.expected.push(letter === dialect.output ? unescaped(rest, form === ':') : line);
    }
  }
  return turns.map(({ input, expected }) => ({ input, expected: mergeBytes(expected) }));
}

/** How many bytes the peer sends in all: the places to cut at. */
export function inputLength(transcript: Transcript): number {
  return transcript.turns.reduce((sum, { input }) => sum + (Buffer.isBuffer(input) ? input.length : 0), 0);
}

/** Throws at the first turn whose outcome is not the expected one. Awaits only where the subject has to. */
export async function replay(transcript: Transcript, subject: Subject, delivery: Delivery): Promise<void> {
  let offset = 0;
  for (const [index, { input, expected }] of transcript.turns.entries()) {
    if (Buffer.isBuffer(input)) {
      for (const piece of delivery(input, offset)) subject.receive(piece);
      offset += input.length;
    } else if (input !== null) {
      subject.happen(input.event, input.detail);
    }
    const pending = subject.observed(expected);
    const seen = readable(mergeBytes(pending instanceof Promise ? await pending : pending));
    const wanted = readable(expected);
    if (seen !== wanted) {
      throw new Error(`${transcript.title}, turn ${index + 1}\nexpected:\n${wanted}\nbut saw:\n${seen}`);
    }
  }
}

/** Bytes as a transcript writes them, long runs shortened. */
export function show(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replace(/[^\x20-\x7e]|\\/g, (character) => escapes[character] ?? `\\x${hex(character)}`)
    .replace(/([a-z.])\1{29,}/gi, (run, character: string) => `<${run.length}*${character}>`);
}

const escapes: Readonly<Record<string, string>> = {
  '\r': '\\r',
  '\n': '\\n',
  '\t': '\\t',
  '\0': '\\0',
  '\\': '\\\\',
};
const unescapes: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '0': '\0', '\\': '\\' };

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(2, '0');
}

function unescaped(text: string, isLine: boolean): Buffer {
  const bytes = text
    .replace(/<SP>$/, ' ')
    .replace(/<(\d+)\*(.)>/g, (_, count: string, character: string) => character.repeat(Number(count)))
    .replace(/\\(?:x([0-9a-f]{2})|(.))/g, (match, code: string | undefined, letter: string | undefined) => {
      const plain =
        code === undefined ? unescapes[letter ?? ''] : String.fromCharCode(Number.parseInt(code, 16));
      if (plain === undefined) throw new Error(`unknown escape ${match} in a transcript`);
      return plain;
    });
  return Buffer.from(isLine ? `${bytes}\r\n` : bytes, 'latin1');
}

function mergeBytes(observations: readonly Observation[]): readonly Observation[] {
  const merged: Observation[] = [];
  for (const observation of observations) {
    const last = merged.at(-1);
    if (Buffer.isBuffer(observation) && Buffer.isBuffer(last))
      merged[merged.length - 1] = Buffer.concat([last, observation]);
    else merged.push(observation);
  }
  return merged;
}

function readable(observations: readonly Observation[]): string {
  return observations
    .map((one) => (typeof one === 'string' ? one : show(one).replaceAll('\\n', '\\n\n')))
    .join('\n');
}
