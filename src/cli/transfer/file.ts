import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { CsvError, parse } from 'csv-parse/sync';
import { stringify } from 'csv-stringify/sync';
import { errorCode, errorText } from '../../observability/error-text.ts';
import { CommandFailure, type CommandIo, exitCode } from '../io.ts';
import { guarded, unguarded } from './cell.ts';

export type Format = 'csv' | 'json';

/** One thing of a file. Cells by column; empty stands for nothing, a column that is absent is not mentioned. */
export interface Line {
  readonly number: number;
  readonly cells: ReadonlyMap<string, string>;
}

/** `problem` is a sentence for the operator. */
export interface LineProblem {
  readonly line: number;
  readonly problem: string;
}

export interface Reading {
  readonly lines: readonly Line[];
  readonly problems: readonly LineProblem[];
}

/** 100,000 app passwords with every column are half of it. */
const maxFileBytes = 64 << 20;
const maxRecordBytes = 65_536;

/** What `--format` says, or else the file's name. */
export function formatOf(typed: string | undefined, file: string | undefined): Format {
  if (typed === 'csv' || typed === 'json') return typed;
  if (typed !== undefined)
    throw new CommandFailure(exitCode.usage, `--format takes csv or json, not "${typed}".`);
  return file?.toLowerCase().endsWith('.json') === true ? 'json' : 'csv';
}

/** The text of a file, or a failure that says what is the matter with it. */
export async function readTextFile(file: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > maxFileBytes) {
        throw new CommandFailure(
          exitCode.failed,
          `${file} is larger than ${maxFileBytes >> 20} MiB: split it.`,
        );
      }
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    const problem = errorCode(error) === 'ENOENT' ? 'does not exist' : `cannot be read: ${errorText(error)}`;
    throw new CommandFailure(exitCode.failed, `${file} ${problem}.`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new CommandFailure(
      exitCode.failed,
      `${file} is not UTF-8. In a spreadsheet, save it as "CSV UTF-8".`,
    );
  }
}

/** The lines of a file, and what is wrong with its form. `columns` are all that there may be. */
export function readLines(text: string, format: Format, columns: readonly string[]): Reading {
  return format === 'csv' ? readCsv(text, columns) : readJson(text, columns);
}

function readCsv(text: string, columns: readonly string[]): Reading {
  let records: readonly { readonly info: { readonly lines: number }; readonly record: readonly string[] }[];
  try {
    records = parse(text, {
      delimiter: delimiterOf(text),
      info: true,
      bom: true,
      skip_empty_lines: true,
      relax_column_count: true,
      max_record_size: maxRecordBytes,
    }) as unknown as typeof records;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    // Its own text quotes the file.
    const line = typeof error.lines === 'number' ? error.lines : 1;
    return { lines: [], problems: [{ line, problem: `the quotes do not fit (${error.code})` }] };
  }
  const [header, ...rest] = records;
  if (header === undefined) return { lines: [], problems: [{ line: 1, problem: 'the file is empty' }] };
  const names = header.record.map((name) => name.trim());
  const problems: LineProblem[] = headerProblems(names, columns).map((problem) => ({
    line: header.info.lines,
    problem,
  }));
  const lines: Line[] = [];
  for (const { info, record } of rest) {
    const line = info.lines;
    if (record.length === names.length) {
      lines.push({
        number: line,
        cells: new Map(names.map((name, index) => [name, unguarded(record[index] ?? '')])),
      });
    } else {
      problems.push({
        line,
        problem: `it has ${record.length} cells, and the first line has ${names.length}`,
      });
    }
  }
  return { lines, problems };
}

/** Spreadsheets of half of Europe write semicolons. */
function delimiterOf(text: string): string {
  const [, found] = /^\ufeff?"?[a-z_]+"?([,;\t])/.exec(text) ?? [];
  return found ?? ',';
}

function headerProblems(names: readonly string[], columns: readonly string[]): readonly string[] {
  const unknown = names.filter((name) => !columns.includes(name));
  const twice = names.filter((name, index) => names.indexOf(name) !== index);
  return [
    ...unknown.map((name) => `there is no column "${name.slice(0, 64)}"; there are ${columns.join(', ')}`),
    ...twice.map((name) => `the column ${name} comes twice`),
  ];
}

function readJson(text: string, columns: readonly string[]): Reading {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text.
    return { lines: [], problems: [{ line: 1, problem: 'the file is not JSON' }] };
  }
  if (!Array.isArray(value))
    return { lines: [], problems: [{ line: 1, problem: 'the file is no JSON array' }] };
  const starts = elementLines(text);
  const lines: Line[] = [];
  const problems: LineProblem[] = [];
  for (const [index, element] of (value as readonly unknown[]).entries()) {
    const line = starts[index] ?? 1;
    if (element === null || typeof element !== 'object' || Array.isArray(element)) {
      problems.push({ line, problem: 'it is no object' });
      continue;
    }
    const entries = Object.entries(element);
    const found = entries.flatMap(([name, each]) => {
      if (!columns.includes(name)) return [`there is no field "${name.slice(0, 64)}"`];
      return cellOf(each) === null ? [`the field ${name} holds what it cannot hold`] : [];
    });
    problems.push(...found.map((problem) => ({ line, problem })));
    if (found.length === 0) {
      lines.push({ number: line, cells: new Map(entries.map(([name, each]) => [name, cellOf(each) ?? ''])) });
    }
  }
  return { lines, problems };
}

/** null for what no field is. */
function cellOf(value: unknown): string | null {
  if (value === null) return '';
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string')) return null;
  return value.join(' ');
}

/** On which line each element of the outermost array begins. */
function elementLines(text: string): readonly number[] {
  const lines: number[] = [];
  let line = 1;
  let depth = 0;
  let isDue = false;
  let isString = false;
  for (let index = 0; index < text.length; index += 1) {
    const character = text[index] ?? '';
    if (character === '\n') line += 1;
    if (isString) {
      if (character === '\\') index += 1;
      else if (character === '"') isString = false;
      continue;
    }
    if (isDue && !/[\s\]]/.test(character)) {
      lines.push(line);
      isDue = false;
    }
    if (character === '"') isString = true;
    else if (character === '[' || character === '{') depth += 1;
    else if (character === ']' || character === '}') depth -= 1;
    if (depth === 1 && (character === '[' || character === ',')) isDue = true;
  }
  return lines;
}

/** What a cell holds before it is written in one of the formats. */
export type Value = string | number | null | readonly string[];
export type Entry = Readonly<Record<string, Value>>;

/** Writes pages of entries to a new file of mode 0600, or to standard output. Answers how many there were. */
export async function writeEntries(
  pages: AsyncIterable<readonly Entry[]>,
  to: { readonly file: string | undefined; readonly format: Format; readonly columns: readonly string[] },
  io: CommandIo,
): Promise<number> {
  const sink = await sinkOf(to.file, io);
  let count = 0;
  try {
    if (to.format === 'csv') await sink.write(csv([to.columns]));
    for await (const page of pages) {
      if (page.length === 0) continue;
      if (to.format === 'csv') {
        await sink.write(csv(page.map((entry) => to.columns.map((name) => textOf(entry[name] ?? null)))));
      } else {
        // An element a line, so that an error can name it.
        const elements = page.map((entry) => JSON.stringify(entry)).join(',\n');
        await sink.write(`${count === 0 ? '[\n' : ',\n'}${elements}`);
      }
      count += page.length;
    }
    if (to.format === 'json') await sink.write(count === 0 ? '[]\n' : '\n]\n');
  } finally {
    await sink.close();
  }
  return count;
}

function csv(records: readonly (readonly string[])[]): string {
  return stringify(records.map((record) => record.map(guarded)));
}

function textOf(value: Value): string {
  if (value === null) return '';
  return typeof value === 'object' ? value.join(' ') : String(value);
}

interface Sink {
  write(text: string): Promise<void>;
  close(): Promise<void>;
}

async function sinkOf(file: string | undefined, io: CommandIo): Promise<Sink> {
  if (file === undefined || file === '-') {
    // It puts the last line break itself.
    return { write: async (text) => io.out(text.replace(/\n$/, '')), close: async () => undefined };
  }
  try {
    // Addresses and habits of people: nobody else reads it, and nothing is overwritten.
    const handle = await open(file, 'wx', 0o600);
    return {
      write: async (text) => void (await handle.appendFile(text)),
      close: async () => await handle.close(),
    };
  } catch (error) {
    const problem =
      errorCode(error) === 'EEXIST' ? 'exists already' : `cannot be written: ${errorText(error)}`;
    throw new CommandFailure(exitCode.failed, `${file} ${problem}.`);
  }
}
