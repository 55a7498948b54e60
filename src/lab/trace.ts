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

/** An event's name and words, and whether it is a turn of the story. */
export interface Line {
  name: string;
  text: string;
  isKey?: boolean;
}

/** Collects the events of a run, when somebody wants them. */
export class Trace {
  readonly events: TraceEvent[] = [];
  /** The controller whose task runs now. */
  task = -1;
  readonly #causes: number[] = [];

  add(layer: Layer, line: Line): TraceEvent {
    const cause = this.#causes.at(-1);
    const event: TraceEvent = {
      seq: this.events.length,
      task: this.task,
      layer,
      name: line.name,
      text: line.text,
      isKey: line.isKey ?? false,
      ...(cause === undefined ? {} : { cause }),
    };
    this.events.push(event);
    return event;
  }

  /** Adds an event that brings about everything added while `action` runs; told when its result is known. */
  around<T>(layer: Layer, action: () => T, describe: (result: T) => Line): T {
    const event = this.add(layer, { name: '', text: '' });
    const result = this.because(event.seq, action);
    Object.assign(event, describe(result));
    return result;
  }

  /** Everything added while `action` runs was brought about by event `seq`. */
  because<T>(seq: number, action: () => T): T {
    this.#causes.push(seq);
    try {
      return action();
    } finally {
      this.#causes.pop();
    }
  }
}
