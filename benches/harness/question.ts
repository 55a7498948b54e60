/** What one process measures: one way to do one case. */
export interface Work {
  /** Does `count` operations. The answer is a checksum: that of the other variants, where a case says that they agree. */
  run(count: number): number | Promise<number>;
  /** It waits for another process, so that what counts is time on the clock: a wait takes none of this one's CPU time. */
  wallClock?: boolean;
  /** After the last round. */
  close?(): Promise<void>;
  /** Figures besides the time, read after the rounds: bytes, milliseconds of a collection … */
  figures?(): Record<string, number>;
}

/** Work that cannot be repeated in one process, as it ends where there is no more room. */
export interface OnePass {
  /** Does all of it: nanoseconds an operation for each part, in order, and operations of a part. */
  pass(): { ns: number[]; operations: number };
  figures?(): Record<string, number>;
}

/** A measurable situation, done in several ways. */
export interface Case {
  id: string;
  /** Place on the x axis of the chart that all cases of a `chart` share; no chart if absent. */
  x?: number;
  chart?: string;
  /** All variants do the same and end with the same checksum. */
  agree?: boolean;
  /** Left out by `--quick`. */
  slow?: boolean;
  /** Sets a variant up, or says in a few words why that cannot be done here. */
  variants: Record<string, () => Work | OnePass | string | Promise<Work | OnePass | string>>;
  /** How long a variant may take; default 5. */
  minutes?: number;
}

/** Median nanoseconds of one operation, or a figure; NaN if not measured. */
export type Lookup = (caseId: string, variant: string, figure?: string) => number;

/** A ratio (or size) that the model is held to. */
export interface Target {
  what: string;
  limit: number;
  is: 'at most' | 'at least';
  /** NaN where something it needs was not measured. */
  value(get: Lookup): number;
}

/** One file of benches/: a question, the cases that answer it, the targets it decides. */
export interface Question {
  name: string;
  title: string;
  /** What one operation is. */
  operation: string;
  xLabel: string;
  cases: Case[];
  targets: Target[];
  /** What is not measured but found out. */
  tables?(quick: boolean): TextTable[];
}

export interface TextTable {
  title: string;
  head: string[];
  rows: string[][];
}

/** The largest of some numbers over the smallest: 1 is flat. */
export function flatness(values: number[]): number {
  return Math.max(...values) / Math.min(...values);
}
