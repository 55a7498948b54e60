import type { Arena } from './arena.ts';
import { UsageError } from './errors.ts';

/** log2 of the longest run that can be looked for: a run of 32 spans two words at most. */
const MAX_RUN_LOG2 = 5;

/**
 * Which of the numbers 0 … size − 1 are free, as bits under bits: a bit of a level says whether a word of the level
 * below has any, so a search reads one word a level (four for a million). For each run length 2^k there is such a tree
 * in which bit i says that i … i + 2^k − 1 are all free. What is found is what a linear scan finds; how counts are
 * rounded to powers of two is the caller's business.
 */
export class FreeBitmap {
  readonly size: number;
  readonly maxRunLog2: number;
  readonly #words: Int32Array;
  /** Where each level begins within a tree, the widest first. */
  readonly #levels: readonly number[];
  readonly #stride: number;

  /** Nothing is free at first. @param maxRunLog2 0 … 5: runs of up to 2^maxRunLog2 can be looked for */
  constructor(arena: Arena, size: number, label: string, maxRunLog2 = 0) {
    if (maxRunLog2 < 0 || maxRunLog2 > MAX_RUN_LOG2) throw new UsageError(`no index of runs of 2^${maxRunLog2}`);
    this.size = size;
    this.maxRunLog2 = maxRunLog2;
    const { levels, stride } = shapeOf(size);
    this.#levels = levels;
    this.#stride = stride;
    this.#words = arena.int32(stride * (maxRunLog2 + 1), label);
  }

  /** Bytes of an arena that one for single numbers takes. */
  static sizeBytes(size: number): number {
    return 4 * ((shapeOf(size).stride + 1) & ~1);
  }

  isFree(number: number): boolean {
    return number < this.size && ((this.#words[number >> 5] >>> (number & 31)) & 1) !== 0;
  }

  /** Marks a number free or taken; it may be so already. 0 ≤ number < size. */
  set(number: number, free: boolean): void {
    const words = this.#words;
    const word = number >> 5;
    const old = words[word];
    const bit = 1 << (number & 31);
    const now = free ? old | bit : old & ~bit;
    if (now === old) return;
    store(words, this.#levels, 0, word, now);
    if (this.maxRunLog2 === 0) return;
    this.#updateRuns(word);
    if (word > 0 && words[word - 1] !== 0) this.#updateRuns(word - 1); // no run begins in a word without a free one
  }

  /** All numbers become free. */
  fill(): void {
    for (let word = (this.size - 1) >> 5; word >= 0; word--) {
      const rest = this.size - 32 * word;
      store(this.#words, this.#levels, 0, word, rest >= 32 ? -1 : (1 << rest) - 1);
      this.#updateRuns(word);
    }
  }

  /** The highest i below `end` at which a run of 2^runLog2 begins, or −1. */
  highest(end = this.size, runLog2 = 0): number {
    const words = this.#words;
    const tree = this.#tree(runLog2);
    const levels = this.#levels;
    if (end >= this.size) return this.#highestOfAll(tree);
    let level = 0;
    let index = end; // of the first bit that is out of the question
    for (;;) {
      if (index <= 0) return -1;
      const word = (index - 1) >> 5;
      const bits = words[tree + levels[level] + word] & (-1 >>> (-index & 31));
      if (bits !== 0) {
        index = (word << 5) | (31 - Math.clz32(bits));
        break;
      }
      if (++level === levels.length) return -1;
      index = word;
    }
    for (; level > 0; level--) index = (index << 5) | (31 - Math.clz32(words[tree + levels[level - 1] + index]));
    return index;
  }

  /** The lowest i from `start` up at which a run of 2^runLog2 begins, or −1. */
  lowest(start = 0, runLog2 = 0): number {
    const words = this.#words;
    const tree = this.#tree(runLog2);
    const levels = this.#levels;
    if (start >= this.size) return -1;
    let level = 0;
    let index = start; // of the first bit that comes into question
    for (;;) {
      const word = index >> 5;
      const at = levels[level] + word;
      const end = level + 1 < levels.length ? levels[level + 1] : this.#stride;
      const bits = at < end ? words[tree + at] & (-1 << (index & 31)) : 0;
      if (bits !== 0) {
        index = (word << 5) | (31 - Math.clz32(bits & -bits));
        break;
      }
      if (++level === levels.length) return -1;
      index = word + 1;
    }
    for (; level > 0; level--) {
      const bits = words[tree + levels[level - 1] + index];
      index = (index << 5) | (31 - Math.clz32(bits & -bits));
    }
    return index;
  }

  /** From the top down: without a bound there is nothing to climb over. */
  #highestOfAll(tree: number): number {
    const words = this.#words;
    const levels = this.#levels;
    let index = 0;
    for (let level = levels.length - 1; level >= 0; level--) {
      const bits = words[tree + levels[level] + index];
      if (bits === 0) return -1; // of the top; below, a word that is pointed at has a bit
      index = (index << 5) | (31 - Math.clz32(bits));
    }
    return index;
  }

  /** Where the tree of a run length begins. */
  #tree(runLog2: number): number {
    if (runLog2 < 0 || runLog2 > this.maxRunLog2) throw new UsageError(`runs of 2^${runLog2} are not looked for here`);
    return runLog2 * this.#stride;
  }

  /** Computes the words of all run lengths anew: a run of 2^(k+1) is two of 2^k, which may lie in the next word. */
  #updateRuns(word: number): void {
    const words = this.#words;
    const levels = this.#levels;
    const stride = this.#stride;
    const { maxRunLog2 } = this;
    let low = words[word];
    let high = word + 1 < (this.size + 31) >> 5 ? words[word + 1] : 0;
    for (let k = 1, tree = stride; k <= maxRunLog2; k++, tree += stride) {
      const shift = 1 << (k - 1);
      low &= (low >>> shift) | (high << (32 - shift));
      high &= high >>> shift;
      if (words[tree + word] !== low) store(words, levels, tree, word, low);
      else if (low === 0) return; // nor are there longer ones, now as before
    }
  }
}

/** Stores a word of a tree's widest level; the levels above hear of it only if it becomes or ceases to be zero. */
function store(words: Int32Array, levels: readonly number[], tree: number, word: number, value: number): void {
  const old = words[tree + word];
  words[tree + word] = value;
  if ((old === 0) === (value === 0)) return;
  // up to the top, even where nothing changes any more: a branch that nobody can foretell costs more than a store
  let index = word;
  let any = value === 0 ? 0 : 1;
  for (let level = 1; level < levels.length; level++) {
    const at = tree + levels[level] + (index >> 5);
    const bits = (words[at] & ~(1 << (index & 31))) | (any << (index & 31));
    words[at] = bits;
    any = bits === 0 ? 0 : 1;
    index >>= 5;
  }
}

/** Where the levels of a tree begin, and its words. */
function shapeOf(size: number): { levels: number[]; stride: number } {
  const levels: number[] = [];
  let stride = 0;
  for (let words = Math.max(1, (size + 31) >> 5); ; words = (words + 31) >> 5) {
    levels.push(stride);
    stride += words;
    if (words === 1) return { levels, stride };
  }
}
