import { NameBits, type StateSpace } from './state-space.ts';
import type { Stepper, TaskPosition } from './stepper.ts';
import { outcomeOf, type World } from './world.ts';

/** Shared state and its fingerprint, and where each task stands. */
interface PlainState {
  shared: Int32Array;
  print: Int32Array;
  positions: TaskPosition[];
}

class PlainLayer {
  readonly states: PlainState[] = [];
  readonly byPrint = new Map<number, number[]>();
}

/**
 * States as snapshots of the whole arena; every step is run by the world itself. Serves any world, and is what the
 * faster space is held against.
 */
export class PlainSpace implements StateSpace<PlainLayer> {
  readonly tasks: number;
  readonly isAlike = false;
  readonly renaming = undefined;
  readonly invariants: readonly string[];
  broken = 0;
  readonly stepsTaken = 1;
  accesses = 0;
  readonly merged = 0;
  readonly #world: World;
  readonly #stepper: Stepper;
  readonly #bits = new NameBits();
  readonly #print = new Int32Array(4);
  readonly #initial: Int32Array;

  constructor(world: World, stepper: Stepper) {
    this.#world = world;
    this.#stepper = stepper;
    this.tasks = stepper.tries.length;
    this.invariants = this.#bits.names;
    this.#initial = world.arena.snapshot();
  }

  start(prefix: readonly number[]): PlainLayer {
    this.#world.arena.restore(this.#initial);
    const positions = this.#stepper.start();
    for (const task of prefix) positions[task] = this.#stepper.step(task, positions[task]);
    this.#world.takeViolations();
    const layer = new PlainLayer();
    layer.states.push({ shared: this.#world.arena.snapshot(), print: new Int32Array(4), positions });
    return layer;
  }

  layer(): PlainLayer {
    return new PlainLayer();
  }

  size(layer: PlainLayer): number {
    return layer.states.length;
  }

  isDone(layer: PlainLayer, state: number, task: number): boolean {
    return this.#stepper.isDone(task, layer.states[state].positions[task]);
  }

  isIdle(layer: PlainLayer, state: number, task: number): boolean {
    return layer.states[state].positions[task].steps === 0;
  }

  step(from: PlainLayer, state: number, task: number, to: PlainLayer): number {
    const { shared, positions } = from.states[state];
    const before = this.#stepper.accesses;
    this.#world.arena.restore(shared);
    const moved = this.#stepper.step(task, positions[task]);
    this.broken = this.#bits.of(this.#world.takeViolations());
    this.accesses = this.#stepper.accesses - before;
    return this.#add(to, positions.with(task, moved));
  }

  outcome(layer: PlainLayer, state: number): string {
    this.#world.arena.restore(layer.states[state].shared);
    return outcomeOf(this.#world.verdict());
  }

  settle(): void {}

  /** The world's present state in a layer. States are told apart by positions and a 128-bit fingerprint. */
  #add(layer: PlainLayer, positions: TaskPosition[]): number {
    const { arena } = this.#world;
    const print = this.#print;
    arena.fingerprint(print, this.#world.names?.tell(0, []));
    const key = (print[0] >>> 0) * 0x20_0000 + (print[1] & 0x1f_ffff);
    const bucket = layer.byPrint.get(key) ?? [];
    for (const known of bucket) {
      const state = layer.states[known];
      if (samePrint(state.print, print) && samePositions(state.positions, positions)) return known;
    }
    const added = layer.states.push({ shared: arena.snapshot(), print: print.slice(), positions }) - 1;
    if (bucket.push(added) === 1) layer.byPrint.set(key, bucket);
    return added;
  }
}

function samePrint(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

function samePositions(a: readonly TaskPosition[], b: readonly TaskPosition[]): boolean {
  return a.every((p, i) => p.node === b[i].node && p.steps === b[i].steps);
}
