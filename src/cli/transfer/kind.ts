import type { Workbench } from '../workbench.ts';
import type { Entry, Line, LineProblem } from './file.ts';

/** One change that a file asks for. */
export interface Step {
  readonly line: number;
  readonly isNew: boolean;
  /** Answers what kept it from being done, because the row has changed since it was looked at; null: done. */
  readonly run: () => Promise<string | null>;
}

/** What a file would change. Nothing is written while there is a problem. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly unchanged: number;
  readonly problems: readonly LineProblem[];
}

/** Something that can be written to a file and read from one. */
export interface Kind {
  /** What the audit trail calls an export. */
  readonly exported: 'accounts.exported' | 'app-passwords.exported';
  /** Every column there can be, in the order of an export. */
  readonly columns: readonly string[];
  /** Rows that were changed by hand are left out and counted: what they say must not come back as ours. */
  pages(bench: Workbench, onForged: () => void): AsyncIterable<readonly Entry[]>;
  plan(bench: Workbench, lines: readonly Line[], now: number): Promise<Plan>;
}

/** Rows asked for at once. */
export const pageRows = 500;

/** A cell that must not be empty. */
export function required(line: Line, column: string): string | { readonly problem: string } {
  const cell = line.cells.get(column)?.trim() ?? '';
  return cell === '' ? { problem: `${column} is missing` } : cell;
}

export function pagesOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(items.length / pageRows) }, (_, page) =>
    items.slice(page * pageRows, (page + 1) * pageRows),
  );
}
