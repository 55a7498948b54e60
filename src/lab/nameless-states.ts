import { fingerprintWords } from '../core/index.ts';
import { type Columns, Projection } from './columns.ts';
import { PinSets } from './pin-sets.ts';
import { PRINT, RowSet } from './row-set.ts';
import type { TrieNode } from './task-trie.ts';
import type { WorldNames } from './world.ts';

/**
 * Numbers for what states are without names: equal for two exactly if the world tells them alike. Names that a task may
 * have in hand, as it has learned them since its last marker, are told as they are, and so are those whose records the
 * tail of its last transition has touched (see Locality): states in which a task stands at one place agree on them.
 */
export class NamelessStates {
  readonly pins = new PinSets();
  readonly #names: WorldNames;
  readonly #known: Projection;
  readonly #tasks: number;
  /** Fingerprints of what was told. */
  readonly #told = new RowSet(4);
  readonly #print = new Int32Array(4);

  /** @param isName words that the world tells */
  constructor(names: WorldNames, columns: Columns, isName: (word: number) => boolean, tasks: number) {
    this.#names = names;
    this.#tasks = tasks;
    this.#known = new Projection(columns, isName);
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
    for (let at = node; node.request && at.parent && at.request?.op !== 'step'; at = at.parent)
      names.push(...this.#names.namesInAnswer(at.parent.request!, at.answer!));
    return this.pins.add(names);
  }

  /** The number of a row's state; `load` puts it into the world. */
  value(rows: Int32Array, at: number, settled: number, pins: number, load: () => void): number {
    return this.#known.value(rows, at, (pins << this.#tasks) | settled, () => {
      load();
      fingerprintWords(this.#print, this.#names.tell(settled, this.pins.sets[pins]));
      const print = this.#told.open();
      this.#told.rows.set(this.#print, print);
      return this.#told.close(PRINT);
    });
  }
}
