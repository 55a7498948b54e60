import { UsageError } from '../core/index.ts';
import type { AccessBook, AccessEffect, KnownAccess } from './access-book.ts';
import type { Locality } from './locality.ts';
import { StepRun } from './step-run.ts';
import { MAX_ACCESSES_PER_STEP, type Stepper, type TaskPosition } from './stepper.ts';
import type { TrieNode } from './task-trie.ts';

/** An access that was no choice point. */
export interface TailAccess {
  site: number;
  effect: AccessEffect;
}

/** Makes steps out of accesses whose effects are known, or become so. */
export class StepRunner {
  readonly run: StepRun;
  /** While rehearsing every access is a choice point. */
  isRehearsing = true;
  readonly #stepper: Stepper;
  readonly #book: AccessBook;
  readonly #locality: Locality | undefined;
  /** By task and node: the access there, and its site. */
  readonly #known: Map<number, KnownAccess>[];
  readonly #sites: Map<number, number>[];

  /** @param words the state that steps begin from and change */
  constructor(stepper: Stepper, book: AccessBook, locality: Locality | undefined, words: Int32Array) {
    this.run = new StepRun(words);
    this.#stepper = stepper;
    this.#book = book;
    this.#locality = locality;
    this.#known = stepper.tries.map(() => new Map());
    this.#sites = stepper.tries.map(() => new Map());
  }

  /**
   * One step as the stepper takes it, with what follows of accesses that are no choice points: the node that it ends at,
   * those, and how many steps of the stepper all are. What it does to the words {@link run} tells, until
   * it is undone.
   */
  step(task: number, position: TaskPosition): { node: TrieNode; tail: TailAccess[]; steps: number } {
    this.run.begin();
    const tail: TailAccess[] = [];
    let { node } = position;
    for (let steps = 1; ; steps++) {
      node = this.#stepperStep(task, node, steps > 1 ? tail : undefined);
      const ahead = this.#ahead(task, node);
      const isLocal = !this.isRehearsing && ahead.request && this.#locality?.isLocal(this.#siteOf(task, ahead));
      if (!isLocal) return { node, tail, steps };
    }
  }

  /** Adds one step of the stepper to the run, and its accesses to the tail if it is in one. */
  #stepperStep(task: number, from: TrieNode, tail: TailAccess[] | undefined): TrieNode {
    const stepper = this.#stepper;
    const trie = stepper.tries[task];
    const locality = this.#locality;
    const isFine = stepper.grain === 'fine';
    let node = trie.representative(from);
    while (node.request?.op === 'step') node = trie.next(node, 0);
    const site = locality && node.request ? this.#siteOf(task, node) : 0;
    while (node.request && !stepper.isBoundary(node.request)) {
      if (node.request.op === 'step') {
        node = trie.next(node, 0);
        continue;
      }
      if (this.run.accesses === MAX_ACCESSES_PER_STEP)
        throw new UsageError(`a step of controller ${task} did not end after ${MAX_ACCESSES_PER_STEP} accesses`);
      const effect = this.run.add(this.#book, this.#knownAccess(task, node));
      if (locality && this.isRehearsing) locality.observe(task, site, effect);
      tail?.push({ site, effect });
      node = trie.next(node, effect.answer);
      if (isFine) break;
    }
    return node;
  }

  /** The next node with an access. */
  #ahead(task: number, node: TrieNode): TrieNode {
    const trie = this.#stepper.tries[task];
    let ahead = node;
    while (ahead.request?.op === 'step') ahead = trie.next(trie.representative(ahead), 0);
    return ahead;
  }

  #siteOf(task: number, node: TrieNode): number {
    const known = this.#sites[task].get(node.id);
    if (known !== undefined) return known;
    const locality = this.#locality!;
    const { parent } = node;
    const marker = !parent ? '' : parent.request?.op === 'step' ? parent.request.name : undefined;
    const site = marker === undefined ? locality.next(this.#siteOf(task, parent!)) : locality.first(marker);
    this.#sites[task].set(node.id, site);
    return site;
  }

  #knownAccess(task: number, node: TrieNode): KnownAccess {
    let known = this.#known[task].get(node.id);
    if (!known) this.#known[task].set(node.id, (known = this.#book.find(task, node.request!)));
    return known;
  }
}
