import { type Arena, fingerprintWords } from '../core/index.ts';
import { BLOCK_WORDS } from './block-pool.ts';
import { PRINT, RowSet } from './row-set.ts';

/**
 * Where the words that ever change stand in a row of a state: in blocks of up to 16, one a column, each of one run of the
 * arena. Words get their places in the order in which they are found to change.
 */
export class Columns {
  /** Columns in use. */
  count: number;
  /** Words of each column, by place. */
  readonly words: number[][] = [];
  /** Columns that tell states apart. */
  key: Int32Array;
  readonly #first: number;
  readonly #place: Int32Array;
  readonly #runOf: Int32Array;
  readonly #runOfColumn: number[] = [];
  readonly #open = new Map<number, number>();
  readonly #isRead = new Set<number>();
  readonly #isKey: (word: number) => boolean;

  /**
   * @param first columns that are used otherwise
   * @param key those of them that tell states apart
   * @param isKey words that tell states apart by themselves, the same for all words of a run
   */
  constructor(arena: Arena, first: number, key: readonly number[], isKey: (word: number) => boolean) {
    this.#first = first;
    this.count = first;
    this.key = Int32Array.from(key);
    this.#place = new Int32Array(arena.words.length).fill(-1);
    this.#runOf = new Int32Array(arena.words.length);
    for (const [i, { from, to }] of arena.runs().entries()) this.#runOf.fill(i, from, to);
    this.#isKey = isKey;
  }

  /** Column and place of a word as `column << 4 | place`; −1 if it has never changed. */
  placeOf(word: number): number {
    return this.#place[word];
  }

  runOf(word: number): number {
    return this.#runOf[word];
  }

  /**
   * Words that something has read. A run of the arena that nothing ever reads tells no states apart. True if that was
   * thought of a run that has changed: states may have been taken for one that are not.
   */
  addRead(words: readonly number[]): boolean {
    let isNews = false;
    for (const word of words) {
      const run = this.#runOf[word];
      if (this.#isRead.has(run)) continue;
      this.#isRead.add(run);
      const columns = this.ofRuns((r) => r === run).filter((column) => this.#isKey(this.words[column][0]));
      this.key = Int32Array.from([...this.key, ...columns]);
      isNews ||= columns.length > 0;
    }
    return isNews;
  }

  /** Columns of the runs that `isChosen` says. */
  ofRuns(isChosen: (run: number) => boolean): Int32Array {
    return this.#pick((column) => isChosen(this.#runOfColumn[column]));
  }

  /** Columns of the words that `isChosen` says, which is the same for all words of a run. */
  where(isChosen: (word: number) => boolean): Int32Array {
    return this.#pick((column) => isChosen(this.words[column][0]));
  }

  #pick(isChosen: (column: number) => boolean): Int32Array {
    const chosen: number[] = [];
    for (let column = this.#first; column < this.count; column++) if (isChosen(column)) chosen.push(column);
    return Int32Array.from(chosen);
  }

  add(word: number): void {
    const run = this.#runOf[word];
    let column = this.#open.get(run);
    if (column === undefined || this.words[column].length === BLOCK_WORDS) {
      column = this.count++;
      this.words[column] = [];
      this.#runOfColumn[column] = run;
      this.#open.set(run, column);
      if (this.#isRead.has(run) && this.#isKey(word)) this.key = Int32Array.from([...this.key, column]);
    }
    this.#place[word] = (column << 4) | (this.words[column].push(word) - 1);
  }
}

/** No value: computing it was given up. */
const UNKNOWN = -1;

/**
 * A function of some columns and one number more, with values ≥ 0, known by example. It may look at some runs of the arena
 * only; which, it shows. What it was computed for is told apart by 128-bit fingerprints.
 */
export class Projection {
  readonly #columns: Columns;
  readonly #runs = new Set<number>();
  readonly #isGiven: ((word: number) => boolean) | undefined;
  readonly #nameless: { isName: (word: number) => boolean; column: number } | undefined;
  #chosen: Int32Array = new Int32Array(0);
  #isChosen = new Uint8Array(0);
  /** Columns by which it is known. */
  #asked: Int32Array = new Int32Array(0);
  #scratch = new Int32Array(1);
  readonly #known = new RowSet(4);
  readonly #print = new Int32Array(4);
  #values: number[] = [];
  #countAtChoice = 0;

  /**
   * @param isGiven the words on which it depends, if that is known
   * @param nameless a column that tells words without names: the function is the same if that is
   */
  constructor(
    columns: Columns,
    isGiven?: (word: number) => boolean,
    nameless?: { isName: (word: number) => boolean; column: number },
  ) {
    this.#columns = columns;
    this.#isGiven = isGiven;
    this.#nameless = nameless;
  }

  /** True if it may depend on this column. */
  dependsOn(column: number): boolean {
    this.#choose();
    return this.#isChosen[column] !== 0;
  }

  /** Takes note of words that it has looked at; true if they show that it depends on more than was known. */
  learn(reads: readonly number[]): boolean {
    const before = this.#runs.size;
    for (const word of reads) this.#runs.add(this.#columns.runOf(word));
    if (this.#runs.size === before) return false;
    this.#countAtChoice = 0;
    return true;
  }

  forget(): void {
    this.#countAtChoice = 0;
  }

  /** The value for a row and a number, from `compute` if it is not known. */
  value(rows: Int32Array, at: number, number: number, compute: () => number): number {
    this.#choose();
    const chosen = this.#asked;
    const scratch = this.#scratch;
    for (let i = 0; i < chosen.length; i++) scratch[i] = rows[at + chosen[i]];
    scratch[chosen.length] = number;
    fingerprintWords(this.#print, scratch);
    const start = this.#known.open();
    for (let i = 0; i < 4; i++) this.#known.rows[start + i] = this.#print[i];
    const before = this.#known.count;
    const index = this.#known.close(PRINT);
    if (index < before && this.#values[index] !== UNKNOWN) return this.#values[index];
    this.#values[index] = UNKNOWN;
    const value = compute();
    this.#values[index] = value;
    return value;
  }

  #choose(): void {
    if (this.#countAtChoice === this.#columns.count) return;
    this.#countAtChoice = this.#columns.count;
    const isGiven = this.#isGiven;
    this.#chosen = isGiven ? this.#columns.where(isGiven) : this.#columns.ofRuns((run) => this.#runs.has(run));
    this.#isChosen = new Uint8Array(this.#columns.count);
    for (const column of this.#chosen) this.#isChosen[column] = 1;
    this.#asked = this.#nameless ? this.#withoutNames(this.#nameless) : this.#chosen;
    this.#scratch = new Int32Array(this.#asked.length + 1);
    this.#known.clear();
    this.#values = [];
  }

  #withoutNames({ isName, column }: { isName: (word: number) => boolean; column: number }): Int32Array {
    const plain = this.#chosen.filter((chosen) => !isName(this.#columns.words[chosen][0]));
    return plain.length === this.#chosen.length ? plain : Int32Array.of(...plain, column);
  }
}
