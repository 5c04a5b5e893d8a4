import type { Target } from './targets/target.ts';

/** What one run found, by column; a column that a target does not have is left out. */
export type Figures = Readonly<Record<string, number>>;

export interface Column {
  readonly key: string;
  readonly title: string;
}

/** Runs are bounded by time or by count. */
export interface Extent {
  readonly seconds: number;
}

export interface Measurement {
  readonly name: string;
  /** One line: what one operation is. */
  readonly about: string;
  /** By name, in the order of the table; the first is the gateway. */
  readonly targets: readonly string[];
  /** The first is the one that ratios are of; less is better. */
  readonly columns: readonly Column[];
  /** At most so many, for what hardly varies and takes long. */
  readonly maxRounds?: number;
  run(target: Target, extent: Extent): Promise<Outcome>;
}

export interface Outcome {
  readonly figures: Figures;
  readonly errors: number;
  readonly firstError: string;
}
