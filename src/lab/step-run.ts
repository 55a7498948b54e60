import type { AccessBook, AccessEffect, KnownAccess } from './access-book.ts';

/** A word before and after some accesses. */
export interface WordChange {
  word: number;
  before: number;
  value: number;
}

/** Several accesses one after another, as one: the words on which all together depend, and what they leave behind. */
export class StepRun {
  /** Words that decide, in the order in which they do. */
  readonly conditions: number[] = [];
  /** Words that have been set. */
  readonly changed: number[] = [];
  /** Invariants that the accesses have broken, as bits. */
  broken = 0;
  accesses = 0;
  readonly #words: Int32Array;
  readonly #before: Int32Array;
  /** By word: the run that has made it a condition, and the run that has set it. */
  readonly #conditionOf: Int32Array;
  readonly #changeOf: Int32Array;
  #number = 0;

  /** @param words the whole state; accesses change it until it is put back by {@link undo} */
  constructor(words: Int32Array) {
    this.#words = words;
    this.#before = new Int32Array(words.length);
    this.#conditionOf = new Int32Array(words.length);
    this.#changeOf = new Int32Array(words.length);
  }

  begin(): void {
    this.#number++;
    this.conditions.length = 0;
    this.changed.length = 0;
    this.broken = 0;
    this.accesses = 0;
  }

  add(book: AccessBook, access: KnownAccess): AccessEffect {
    const effect = book.effect(access, this.#words);
    const { conditions, writes, values } = effect;
    for (const word of conditions) {
      if (this.#conditionOf[word] === this.#number || this.#changeOf[word] === this.#number) continue;
      this.#conditionOf[word] = this.#number;
      this.conditions.push(word);
    }
    for (let i = 0; i < writes.length; i++) {
      const word = writes[i];
      if (this.#changeOf[word] !== this.#number) {
        this.#changeOf[word] = this.#number;
        this.#before[word] = this.#words[word];
        this.changed.push(word);
      }
      this.#words[word] = values[i];
    }
    this.broken |= effect.broken;
    this.accesses++;
    return effect;
  }

  /** Words whose value after all depends on this run: it differs, or might in another state. */
  outcome(): WordChange[] {
    const changes: WordChange[] = [];
    for (const word of this.changed) {
      const before = this.#before[word];
      const value = this.#words[word];
      if (value !== before || this.#conditionOf[word] !== this.#number) changes.push({ word, before, value });
    }
    return changes;
  }

  undo(): void {
    for (const word of this.changed) this.#words[word] = this.#before[word];
  }
}
