import { appendFile, readFile } from 'node:fs/promises';
import type { Figures } from './measurement.ts';

/** One run of one target: a line of JSON in the results file. */
export interface Result {
  readonly measurement: string;
  readonly target: string;
  readonly round: number;
  /** ISO 8601 */
  readonly at: string;
  readonly figures: Figures;
  readonly errors: number;
  readonly firstError: string;
}

export async function appendResult(file: string, result: Result): Promise<void> {
  await appendFile(file, `${JSON.stringify(result)}\n`);
}

export async function readResults(file: string): Promise<readonly Result[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Result);
}
