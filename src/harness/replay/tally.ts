import type { ReplayResult } from './result.ts';

/** Counts what a replay of one file compares and keeps the first difference. */
export class Tally {
  operations = 0;
  comparisons = 0;
  differences = 0;
  /** Number of the line being replayed, 1 = the header. */
  line = 1;
  readonly #excluded: Record<string, number> = {};
  #first: string | undefined;

  /** One comparison; `explain` words a difference and is called for the first one only. */
  compare(equal: boolean, explain: () => string): void {
    this.comparisons++;
    if (equal) return;
    this.differences++;
    this.#first ??= `line ${this.line}: ${explain()}`;
  }

  exclude(reason: string): void {
    this.#excluded[reason] = (this.#excluded[reason] ?? 0) + 1;
  }

  result(file: string): ReplayResult {
    const { operations, comparisons, differences } = this;
    return {
      file,
      operations,
      comparisons,
      excluded: this.#excluded,
      differences,
      ...(this.#first === undefined ? {} : { first: this.#first }),
    };
  }
}
