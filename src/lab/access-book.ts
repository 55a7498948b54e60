import { Footprint } from '../core/index.ts';
import type { Access, Answer } from '../guest/access.ts';
import { DecisionTrees } from './decision-trees.ts';
import type { NameBits } from './state-space.ts';
import type { WatchableWorld, World } from './world.ts';

/** What one access does, as far as it depends on what it reads. */
export interface AccessEffect {
  readonly id: number;
  readonly answer: Answer;
  /** Words that decide, all of which can change; and all words that were looked at. */
  readonly conditions: readonly number[];
  readonly reads: readonly number[];
  /** Words that are set, and to what. */
  readonly writes: readonly number[];
  readonly values: readonly number[];
  /** Invariants that the access itself breaks, as bits. */
  readonly broken: number;
}

/** An access, and what is known of it. */
export interface KnownAccess {
  readonly task: number;
  readonly request: Access;
  root: number;
}

/**
 * What every access does, learned once: an access is a function of the words of state that it reads, so in any other
 * state in which those are the same it gives the same answer and writes the same. They are noted by a second world whose
 * arena is watched. Words that no access ever changes are no conditions; should one change after all, what was learned
 * without it is forgotten.
 */
export class AccessBook {
  /** Counts how often something was forgotten. */
  epoch = 0;
  readonly #bits: NameBits;
  readonly #initial: Int32Array;
  readonly #onVariable: (word: number) => void;
  readonly #onRead: (words: readonly number[]) => void;
  readonly #twin: World & { takeBroken(): string[] };
  readonly #footprint: Footprint;
  readonly #isVariable: Uint8Array;
  readonly #trees = new DecisionTrees();
  readonly #effects: AccessEffect[] = [];
  readonly #known = new Map<string, KnownAccess>();
  /** Accesses that looked at, or wrote, a word that has never changed. */
  readonly #constantFor = new Map<number, Set<KnownAccess>>();

  /**
   * @param onVariable called when a word is found to change for the first time
   * @param onRead called with words that an access reads
   */
  constructor(
    world: WatchableWorld,
    bits: NameBits,
    onVariable: (word: number) => void,
    onRead: (words: readonly number[]) => void,
  ) {
    this.#initial = world.arena.words.slice();
    this.#footprint = new Footprint(this.#initial.length);
    this.#twin = world.watched(this.#footprint) as WatchableWorld;
    this.#twin.takeBroken();
    this.#isVariable = new Uint8Array(this.#initial.length);
    this.#bits = bits;
    this.#onVariable = onVariable;
    this.#onRead = onRead;
  }

  find(task: number, request: Access): KnownAccess {
    const key = `${task} ${keyOf(request)}`;
    let known = this.#known.get(key);
    if (!known) this.#known.set(key, (known = { task, request, root: this.#trees.plant() }));
    return known;
  }

  /** The effect in the state `words`, which is that of the whole arena. */
  effect(access: KnownAccess, words: Int32Array): AccessEffect {
    const found = this.#trees.findByWord(access.root, words);
    return found >= 0 ? this.#effects[found] : this.#learn(access, words);
  }

  /** Words that `look` reads of a world in the state `words`, and what it answers. */
  watch<R>(words: Int32Array, look: (world: WatchableWorld) => R): { answer: R; reads: readonly number[] } {
    this.#twin.arena.words.set(words);
    this.#footprint.begin();
    const answer = look(this.#twin as WatchableWorld);
    const { reads } = this.#footprint.end();
    this.#onRead(reads);
    return { answer, reads };
  }

  #learn(access: KnownAccess, before: Int32Array): AccessEffect {
    const after = this.#twin.arena.words;
    after.set(before);
    this.#footprint.begin();
    const answer = this.#twin.perform(access.task, access.request);
    const { reads, writes } = this.#footprint.end();
    const broken = this.#bits.of(this.#twin.takeBroken());
    this.#onRead(reads);
    for (const word of writes) if (after[word] !== before[word]) this.makeVariable(word);

    const looked = new Set(reads);
    const changes = writes.filter(
      (word) => this.#isVariable[word] && !(looked.has(word) && after[word] === before[word]),
    );
    const effect: AccessEffect = {
      id: this.#effects.length,
      answer,
      conditions: reads.filter((word) => this.#isVariable[word]),
      reads: [...reads],
      writes: changes,
      values: changes.map((word) => after[word]),
      broken,
    };
    // a write of what was there anyway is left out, until the word is known to change
    for (const word of [...reads, ...writes]) if (!this.#isVariable[word]) this.#dependOnConstant(access, word);
    this.#effects.push(effect);
    this.#trees.insert(access.root, effect.conditions, (word) => before[word], effect.id);
    return effect;
  }

  /** From now on a word counts as one that can change. */
  makeVariable(word: number): void {
    if (this.#isVariable[word]) return;
    this.#isVariable[word] = 1;
    this.#onVariable(word);
    const dependent = this.#constantFor.get(word);
    if (!dependent) return;
    for (const access of dependent) access.root = this.#trees.plant();
    this.#constantFor.delete(word);
    this.epoch++;
  }

  #dependOnConstant(access: KnownAccess, word: number): void {
    const known = this.#constantFor.get(word);
    if (known) known.add(access);
    else this.#constantFor.set(word, new Set([access]));
  }
}

function keyOf(request: Access): string {
  return Object.values(request).map(String).join(' ');
}
