import { fingerprintWords } from '../core/index.ts';
import { type Columns, Projection } from './columns.ts';
import { Tuples } from './int-tables.ts';
import { Permutations } from './permutations.ts';
import { PinSets } from './pin-sets.ts';
import { PRINT, RowSet } from './row-set.ts';
import { markerOf, type TrieNode } from './task-trie.ts';
import type { AlikeTasks, World, WorldNames } from './world.ts';

/** Most tasks of which every order is tried. */
const MAX_ALIKE = 4;

/**
 * Numbers for what states are without names: equal for two exactly if the world tells them alike. Names that a task may
 * have in hand, as it has learned them since its last marker, are told as they are, and so are those whose records the
 * tail of its last transition has touched (see Locality): states in which a task stands at one place agree on them.
 *
 * Where tasks are alike, which of them is where is told without their names as well: in the order of where they stand, and
 * of tasks that stand at one place in that which gives the least fingerprint.
 */
export class NamelessStates {
  readonly pins = new PinSets();
  /** The order in which the last state asked for tells its tasks. */
  order = 0;
  readonly orders: Permutations;
  readonly #names: WorldNames;
  readonly #known: Projection;
  readonly #tasks: number;
  /** The world's state as it is, and as it was at first. */
  readonly #words: Int32Array;
  readonly #initial: Int32Array;
  readonly #alike: AlikeTasks | undefined;
  /** What each task has for itself, and the numbers for it in the last state asked for. */
  readonly #own: Projection[] = [];
  readonly #ownNumbers: number[] = [];
  /** By the places of all tasks: orders in which they can be told. */
  readonly #ordersAt: (readonly number[] | undefined)[] = [];
  readonly #tuples = new Tuples();
  /** Fingerprints of what was told. */
  readonly #told = new RowSet(4);
  readonly #print = new Int32Array(4);
  readonly #least = new Int32Array(4);
  /** What is told, and what every task has and where it stands, in numbers. */
  readonly #state: Int32Array;

  /** True if tasks of a world can be told without their names, where nothing else tells them apart. */
  static canBeAlike(world: World): boolean {
    return (world.names?.alike?.words.length ?? Infinity) <= MAX_ALIKE;
  }

  /**
   * @param isName words that the world tells
   * @param words the world's state, which is now that from which others differ
   */
  constructor(
    names: WorldNames,
    columns: Columns,
    isName: (word: number) => boolean,
    words: Int32Array,
    tasks: number,
    isAlike: boolean,
  ) {
    this.#names = names;
    this.#tasks = tasks;
    this.#words = words;
    this.#initial = words.slice();
    this.#state = new Int32Array(1 + 2 * tasks);
    this.#alike = isAlike ? names.alike : undefined;
    this.orders = new Permutations(isAlike ? tasks : 1);
    this.#known = new Projection(columns, isName);
    for (const words of this.#alike?.words ?? []) {
      const own = new Set(words);
      this.#own.push(new Projection(columns, (word) => own.has(word)));
    }
  }

  dependsOn(column: number): boolean {
    return this.#known.dependsOn(column);
  }

  /** The names that the world tells have become others. */
  forget(): void {
    this.#known.forget();
  }

  /** The set of names to be told as they are because a task stands at a node, behind a tail of these words. */
  pinsOf(node: TrieNode, tail: Iterable<number> = []): number {
    const names = this.#names.ownersOf(tail);
    const marker = node.request ? markerOf(node) : node;
    for (let at = node; at !== marker && at.parent; at = at.parent)
      names.push(...this.#names.namesInAnswer(at.parent.request!, at.answer!));
    return this.pins.add(names);
  }

  /** The number of a row's state; `load` puts it into the world. */
  value(rows: Int32Array, at: number, settled: number, pins: number, load: () => void): number {
    return this.#known.value(rows, at, (pins << this.#tasks) | settled, () => {
      load();
      fingerprintWords(this.#print, this.#names.tell(settled, this.pins.sets[pins]));
      return this.#numberOf(this.#print);
    });
  }

  /**
   * The same where tasks are alike, at the places `stands` (numbers that are the same for all tasks). The order in which
   * they are told is left in `order`.
   */
  valueAlike(rows: Int32Array, at: number, stands: readonly number[], settled: number, load: () => void): number {
    let places = 0;
    for (const stand of stands) places = this.#tuples.after(places, stand);
    for (let task = 0; task < this.#tasks; task++)
      this.#ownNumbers[task] = this.#own[task].value(rows, at, 0, () => {
        load();
        return this.#ownNumber(task);
      });
    const orders = this.#ordersOf(places, stands);
    for (const number of orders) {
      const order = this.orders.all[number];
      const state = this.#state;
      let count = 0;
      state[count++] = this.#known.value(rows, at, settled * this.orders.all.length + number, () => {
        load();
        fingerprintWords(this.#print, this.#names.tell(settled, [], order));
        return this.#numberOf(this.#print);
      });
      for (const task of order) {
        state[count++] = this.#ownNumbers[task];
        state[count++] = stands[task];
      }
      fingerprintWords(this.#print, state, count);
      if (number !== orders[0] && comparePrints(this.#print, this.#least) >= 0) continue;
      this.order = number;
      this.#least.set(this.#print);
    }
    return this.#numberOf(this.#least);
  }

  /** The orders in which tasks can be told: those in which their places ascend. */
  #ordersOf(places: number, stands: readonly number[]): readonly number[] {
    return (this.#ordersAt[places] ??= [...this.orders.all.keys()].filter((number) =>
      this.orders.all[number].every((task, k, order) => k === 0 || stands[order[k - 1]] <= stands[task]),
    ));
  }

  /** A number for what a task has for itself, the same for tasks that have the same. */
  #ownNumber(task: number): number {
    const words = this.#words;
    const { words: wordsOf, asFirst } = this.#alike!;
    const own = wordsOf[task];
    const told: number[] = [];
    for (const [k, word] of own.entries())
      if (words[word] !== this.#initial[word]) told.push(k, asFirst.call(this.#alike, task, k, words[word]));
    fingerprintWords(this.#print, Int32Array.from(told));
    return this.#numberOf(this.#print);
  }

  #numberOf(print: Int32Array): number {
    const at = this.#told.open();
    this.#told.rows.set(print, at);
    return this.#told.close(PRINT);
  }
}

function comparePrints(a: Int32Array, b: Int32Array): number {
  for (let i = 0; i < 4; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return 0;
}
