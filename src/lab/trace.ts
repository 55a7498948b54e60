/** Who did it. */
export type Layer = 'guest' | 'device-model' | 'xen' | 'device' | 'lab';

/** One thing that happened in a run. Traces are for people and viewers; the model never reads one. */
export interface TraceEvent {
  /** Position in the run, from 0: the only time there is. */
  seq: number;
  /** The controller whose task was running, −1 before any. */
  task: number;
  layer: Layer;
  /** What kind of event, e.g. `cfg.w16`, `map_pirq`, `handler`. */
  name: string;
  /** The event in words and values. */
  text: string;
  /** Position of the event that brought this one about, if another did. */
  cause?: number;
  /** A turn of the story: told even when single accesses are not. */
  isKey: boolean;
}

/** Collects the events of a run, when somebody wants them. */
export class Trace {
  readonly events: TraceEvent[] = [];
  /** The controller whose task runs now. */
  task = -1;
  readonly #causes: number[] = [];

  add(layer: Layer, name: string, text: string, isKey = false): number {
    const seq = this.events.length;
    const cause = this.#causes.at(-1);
    this.events.push({ seq, task: this.task, layer, name, text, isKey, ...(cause === undefined ? {} : { cause }) });
    return seq;
  }

  /** Everything added until the matching {@link leave} is brought about by event `seq`. */
  enter(seq: number): void {
    this.#causes.push(seq);
  }

  leave(): void {
    this.#causes.pop();
  }
}
