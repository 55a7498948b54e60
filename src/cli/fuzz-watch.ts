import { humanCount, Progress } from './output.ts';

/** What ends a fuzz run besides its number of inputs; at most one of the two is given. */
export interface FuzzBounds {
  seconds: number | undefined;
  accesses: number | undefined;
}

/** Keeps the time of a fuzz run from when it is made, tells how far the run is, and says when its bound is reached. */
export class FuzzWatch {
  readonly #bounds: FuzzBounds;
  readonly #inputs: string;
  readonly #unit: string;
  readonly #progress = new Progress();
  readonly #started = performance.now();

  /** `inputs` and `unit` are what inputs and steps are called. */
  constructor(bounds: FuzzBounds, inputs: string, unit: string) {
    this.#bounds = bounds;
    this.#inputs = inputs;
    this.#unit = unit;
  }

  /** Shows how far the run is; true once the bound is reached. */
  shouldStop(inputs: number, steps: number): boolean {
    this.#progress.show(`${humanCount(inputs)} ${this.#inputs}, ${humanCount(steps)} ${this.#unit} …`);
    const { seconds, accesses } = this.#bounds;
    if (accesses !== undefined) return steps >= accesses;
    return seconds !== undefined && this.#seconds() >= seconds;
  }

  /** Clears the line of progress; gives the seconds since the beginning. */
  finish(): number {
    this.#progress.clear();
    return this.#seconds();
  }

  #seconds(): number {
    return (performance.now() - this.#started) / 1000;
  }
}
