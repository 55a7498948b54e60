import type { WordChange } from './step-run.ts';
import { markerOf, type TrieNode } from './task-trie.ts';
import type { WordRange } from './world.ts';

/** What a task does from a marker to the next, the same for all tasks. */
export interface Section {
  /** From here on a task may give up a name. */
  givesUp: boolean;
  /** Sections from which a step leads here. */
  readonly before: Set<Section>;
}

/**
 * From where tasks may still give up names, learned from the steps that are made. That they do not from elsewhere is a
 * supposition, which every exploration checks: the first step that gives up a name against it is met, as up to there what
 * was supposed has been true.
 */
export class Sections {
  readonly #byMarker = new Map<string, Section>();
  readonly #free: WordRange | undefined;
  readonly #isOpen: boolean;

  /**
   * @param free words with a bit for each free name
   * @param isOpen suppose of no section that it gives up nothing
   */
  constructor(free: WordRange | undefined, isOpen: boolean) {
    this.#free = free;
    this.#isOpen = isOpen;
  }

  /** The section that a task at a node is in, or about to begin. */
  of(node: TrieNode): Section {
    const request = node.request && markerOf(node)?.request;
    const marker = request?.op === 'step' ? request.name : '';
    let section = this.#byMarker.get(marker);
    if (!section) this.#byMarker.set(marker, (section = { givesUp: this.#isOpen, before: new Set() }));
    return section;
  }

  /** Takes note of a step from one section to another. True if names may be given up from where that was not known. */
  follow(from: Section, next: Section, changes: readonly WordChange[]): boolean {
    next.before.add(from);
    const free = this.#free;
    const isFree = (word: number) => free !== undefined && word >= free.from && word < free.to;
    const givesUp = changes.some(({ word, before, value }) => isFree(word) && (value & ~before) !== 0);
    return (givesUp || next.givesUp) && this.#giveUp(from);
  }

  #giveUp(section: Section): boolean {
    if (section.givesUp) return false;
    section.givesUp = true;
    for (const before of section.before) this.#giveUp(before);
    return true;
  }
}
