/**
 * The states that a number of tasks can reach, as the explorer walks them: layer by layer, each state of a layer known by
 * its number there. A layer's states are numbered in the order in which they are found.
 */
export interface StateSpace<Layer> {
  readonly tasks: number;
  /** States that differ only in what tasks are called are one. */
  readonly isAlike: boolean;
  /** What the tasks of the state before are called in the one that the last step led to; undefined if nothing changes. */
  readonly renaming: readonly number[] | undefined;
  /** Names of invariants; what is broken is told as bits by this list, which may grow. */
  readonly invariants: readonly string[];
  /** The layer of the start: one state, number 0. */
  start(prefix: readonly number[]): Layer;
  /** A layer without states; `used` is one whose memory may be taken. */
  layer(used?: Layer): Layer;
  size(layer: Layer): number;
  isDone(layer: Layer, state: number, task: number): boolean;
  /** True until the task has taken its first step. */
  isIdle(layer: Layer, state: number, task: number): boolean;
  /** Steps a task; answers the number that the state reached has in `to`, and sets the fields below. */
  step(from: Layer, state: number, task: number, to: Layer): number;
  /** What the last step, or the state that it led to, breaks. */
  broken: number;
  /** Steps of the stepper that the last step was: more than one where some are no choice points. */
  stepsTaken: number;
  /** Accesses of the last step, and how many of them were no choice points although the grain is that fine. */
  accesses: number;
  merged: number;
  /** How the controllers stand in a state when nothing more runs, one letter each (g, d, f). */
  outcome(layer: Layer, state: number): string;
  /** Called when all is explored. @throws BeginAnew if it cannot stand as it is */
  settle(): void;
}

/** Thrown when an assumption was wrong; it has been corrected, and exploring begins anew. */
export class BeginAnew extends Error {}

/** Bits for names. */
export class NameBits {
  readonly names: string[] = [];

  of(names: readonly string[]): number {
    let bits = 0;
    for (const name of names) {
      const at = this.names.indexOf(name);
      bits |= 1 << (at >= 0 ? at : this.names.push(name) - 1);
    }
    return bits;
  }
}
