import { doubled } from './int-tables.ts';

/** Larger than any step: nothing is broken on the way. */
export const NEVER = 0x7fffffff;

/** The end of a path: its last layer, the state there, and which task made the last step. */
export interface PathEnd {
  level: number;
  state: number;
  last: number;
  violatedAt: number;
  switches: number;
}

/**
 * For every state of a layer the best path to it, one for each task that may have made the last step: only that matters
 * for the switches still to come. Best is the earliest broken invariant, as the story is short then, and after that the
 * fewest switches, as it is simple. Of equals it is the first by name (AAB before ABA), so that which path is best does
 * not depend on the order in which states are found: the best of all paths is the best of what parts of them have.
 */
export class BestPaths {
  /** Entries of a state: one a task, and one for the start, where nobody has made a step. */
  readonly #width: number;
  /** Entries in the order of being found, and how many. */
  #order = new Uint8Array(64);
  #found = new Uint8Array(8);
  #violatedAt: Int32Array;
  #switches: Int32Array;
  /** Where a path comes from: state and last task in the layer before, as state × width + task. */
  #from: Int32Array;
  /** What the tasks of the state before are called in this one, for paths to states that are known by other names. */
  readonly #renamings = new Map<number, readonly number[]>();
  /** The place of each path among all of the layer by name, and how many there are; see {@link rank}. */
  #rank = new Int32Array(0);
  #paths = 0;

  constructor(tasks: number) {
    this.#width = tasks + 1;
    this.#violatedAt = new Int32Array(8 * this.#width);
    this.#switches = new Int32Array(8 * this.#width);
    this.#from = new Int32Array(8 * this.#width);
    this.#order = new Uint8Array(8 * this.#width);
  }

  /** The empty path to state 0. */
  begin(): void {
    const nobody = this.#width - 1;
    this.#order[0] = nobody;
    this.#found[0] = 1;
    this.#violatedAt[nobody] = NEVER;
    this.#switches[nobody] = -1;
    this.#rank = new Int32Array(this.#width);
    this.#paths = 1;
  }

  /**
   * `task` steps from a state of the layer before to state `to`, whose tasks are called as `renaming` says; at `brokenAt`
   * something is broken, if it is not 0.
   */
  extend(
    to: number,
    before: BestPaths,
    from: number,
    task: number,
    brokenAt: number,
    renaming?: readonly number[],
  ): void {
    const width = this.#width;
    if (to >= this.#found.length) this.#grow();
    const named = renaming ? renaming[task] : task;
    const at = to * width + named;
    for (let i = 0; i < before.#found[from]; i++) {
      const last = before.#order[from * width + i];
      const path = from * width + last;
      const violatedAt = Math.min(before.#violatedAt[path], brokenAt || NEVER);
      const switches = before.#switches[path] + (last === task ? 0 : 1);
      if (!this.#has(to, named)) this.#order[to * width + this.#found[to]++] = named;
      else {
        const order = compare(violatedAt, switches, this.#violatedAt[at], this.#switches[at]);
        if (order > 0 || (order === 0 && before.#rank[path] > before.#rank[this.#from[at]])) continue;
      }
      this.#violatedAt[at] = violatedAt;
      this.#switches[at] = switches;
      this.#from[at] = path;
      if (renaming) this.#renamings.set(at, renaming);
      else this.#renamings.delete(at);
    }
  }

  /** Called when the layer has all its states, before anything else is asked of it: puts its paths in order by name. */
  rank(states: number, before: BestPaths): void {
    const width = this.#width;
    // the name of a path is that of the path before it and one task more, and no two paths have the same
    const byName = new Int32Array(before.#paths * width);
    for (let state = 0; state < states; state++)
      for (let i = 0; i < this.#found[state]; i++) {
        const last = this.#order[state * width + i];
        const at = state * width + last;
        const renaming = this.#renamings.get(at);
        byName[before.#rank[this.#from[at]] * width + (renaming ? renaming.indexOf(last) : last)] = at + 1;
      }
    this.#rank = new Int32Array(states * width);
    this.#paths = 0;
    for (const entry of byName) if (entry > 0) this.#rank[entry - 1] = this.#paths++;
  }

  /** The better of `known`, of this layer or one before, and what leads to a state of this layer. */
  bestEnd(level: number, state: number, known: PathEnd | undefined): PathEnd | undefined {
    let best = known;
    for (let i = 0; i < this.#found[state]; i++) {
      const last = this.#order[state * this.#width + i];
      const at = state * this.#width + last;
      const violatedAt = this.#violatedAt[at];
      const switches = this.#switches[at];
      const order = best ? compare(violatedAt, switches, best.violatedAt, best.switches) : -1;
      const isFirst = best?.level === level && this.#rank[at] < this.#rank[best.state * this.#width + best.last];
      if (order < 0 || (order === 0 && isFirst)) best = { level, state, last, violatedAt, switches };
    }
    return best;
  }

  /** Keeps only what {@link choicesOf} needs. */
  seal(states: number): void {
    this.#from = this.#from.slice(0, states * this.#width);
    this.#order = this.#found = new Uint8Array(0);
    this.#violatedAt = this.#switches = this.#rank = new Int32Array(0);
  }

  /** Who makes each step of a path, given the layers from the first. */
  static choicesOf(layers: readonly BestPaths[], { level, state, last }: PathEnd): number[] {
    const choices: number[] = [];
    // what the tasks of layer l are called at the end
    let names: readonly number[] | undefined;
    for (let l = level, s = state, task = last; l > 0; l--) {
      choices.push(names ? names[task] : task);
      const width = layers[l].#width;
      const at = s * width + task;
      const from = layers[l].#from[at];
      const renaming = layers[l].#renamings.get(at);
      if (renaming) names = names ? renaming.map((name) => names![name]) : renaming;
      s = Math.floor(from / width);
      task = from % width;
    }
    return choices.reverse();
  }

  #has(state: number, task: number): boolean {
    for (let i = 0; i < this.#found[state]; i++) if (this.#order[state * this.#width + i] === task) return true;
    return false;
  }

  #grow(): void {
    const longer = (bytes: Uint8Array) => {
      const larger = new Uint8Array(2 * bytes.length);
      larger.set(bytes);
      return larger;
    };
    this.#found = longer(this.#found);
    this.#order = longer(this.#order);
    this.#violatedAt = doubled(this.#violatedAt);
    this.#switches = doubled(this.#switches);
    this.#from = doubled(this.#from);
  }
}

/** Negative if the first is better. */
function compare(violatedAt: number, switches: number, otherViolatedAt: number, otherSwitches: number): number {
  return violatedAt - otherViolatedAt || switches - otherSwitches;
}
