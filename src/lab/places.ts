import { DecisionTrees } from './decision-trees.ts';
import type { Section, Sections } from './sections.ts';
import type { Stepper, TaskPosition } from './stepper.ts';
import type { TrieNode } from './task-trie.ts';

/** Where a task stands, and what can be done from there. */
export interface Stand {
  readonly task: number;
  readonly position: TaskPosition;
  /** Tree of the steps from here. */
  root: number;
  readonly isDone: boolean;
  readonly section: Section;
  /** The same number for all tasks that stand at markers of the same name. */
  readonly alike: number;
}

/** Where a task stands, and how it has come there as far as that matters. */
export interface Place {
  readonly stand: Stand;
  /** Accesses of the step that led here that were no choice points, see Locality. */
  readonly tail: number;
  /** Number of the set of names that the task may have in hand, or whose records the tail has touched. */
  readonly pins: number;
}

/** All places where tasks have been seen to stand. */
export class Places {
  readonly all: Place[] = [];
  readonly #stepper: Stepper;
  readonly #sections: Sections;
  readonly #pinsOf: (node: TrieNode, tail: number) => number;
  readonly #placeOf = new Map<string, number>();
  readonly #stands = new Map<string, Stand>();
  readonly #alikeOf = new Map<string, number>();
  #trees = new DecisionTrees();

  /** @param pinsOf the set of names to be told as they are of a task at a node, behind a tail */
  constructor(stepper: Stepper, sections: Sections, pinsOf: (node: TrieNode, tail: number) => number) {
    this.#stepper = stepper;
    this.#sections = sections;
    this.#pinsOf = pinsOf;
  }

  /** The number of a place. */
  of(task: number, position: TaskPosition, tail = 0): number {
    const stem = `${task} ${position.node.id} ${position.steps}`;
    const key = `${stem} ${tail}`;
    let place = this.#placeOf.get(key);
    if (place === undefined) {
      let stand = this.#stands.get(stem);
      if (!stand) this.#stands.set(stem, (stand = this.#stand(task, position)));
      place = this.all.push({ stand, tail, pins: this.#pinsOf(position.node, tail) }) - 1;
      this.#placeOf.set(key, place);
    }
    return place;
  }

  /** No steps are known any more: their trees grow in `trees` from now on. */
  replant(trees: DecisionTrees): void {
    this.#trees = trees;
    for (const stand of this.#stands.values()) stand.root = trees.plant();
  }

  #stand(task: number, position: TaskPosition): Stand {
    const { node, steps } = position;
    const name = `${node.request?.op === 'step' ? node.request.name : ''} ${steps}`;
    const alike = this.#alikeOf.get(name) ?? this.#alikeOf.size;
    this.#alikeOf.set(name, alike);
    const isDone = this.#stepper.isDone(task, position);
    return { task, position, root: this.#trees.plant(), isDone, section: this.#sections.of(node), alike };
  }
}
