import type { Stepper, TaskPosition } from './stepper.ts';
import type { ControllerState, World } from './world.ts';

export interface ExploreOptions {
  /** Choices carried out before exploration begins. */
  prefix?: readonly number[];
  /**
   * The tasks are alike and stand alike at the beginning, so only interleavings in which they take their first steps in
   * order are walked, and counts and outcomes are those of all their permutations.
   */
  isSymmetric?: boolean;
  /** Give up beyond this many states; the result then says `complete: false`. */
  maxStates?: number;
  /** Called after every layer of the state graph. */
  onProgress?: (done: { states: number; level: number }) => void;
}

export interface Exploration {
  /** Every interleaving was followed; if false a bound stopped it, and unfinished interleavings are not counted. */
  complete: boolean;
  /** Exact number of complete schedules. */
  interleavings: bigint;
  states: number;
  transitions: number;
  /** Interleavings by how their controllers ended, one letter each (g, d, f), e.g. `ggf`. */
  outcomes: Map<string, bigint>;
  /** Invariants seen broken, and in how many distinct states. */
  violations: Map<string, number>;
  /** For each outcome the choices that reach it: earliest broken invariant first, then fewest switches. */
  witnesses: Map<string, number[]>;
}

const LETTER: Record<ControllerState, string> = { good: 'g', degraded: 'd', failed: 'f' };

/** One state of a layer: shared state and its fingerprint, where each task stands, the paths to it and the best ones. */
interface State {
  shared: Int32Array;
  print: Int32Array;
  positions: TaskPosition[];
  paths: bigint;
  /** Best path by the task that made the last step: only that matters for the switches still to come. */
  best: Map<number, Path>;
}

/** A path as a list linked backwards. */
interface Path {
  previous: Path | undefined;
  task: number;
  violatedAt: number;
  switches: number;
}

/**
 * Walks every interleaving of the stepper's tasks over the graph of distinct states. Each transition is one step, so
 * the graph is layered by the number of steps: only two layers are held, and the interleavings through a state are
 * the sum of those through its predecessors, exact as bigint.
 */
export function explore(world: World, stepper: Stepper, options: ExploreOptions = {}): Exploration {
  const { prefix = [], isSymmetric = false, maxStates = 2_000_000, onProgress } = options;
  const result: Exploration = {
    complete: true,
    interleavings: 0n,
    states: 1,
    transitions: 0,
    outcomes: new Map(),
    violations: new Map(),
    witnesses: new Map(),
  };
  const bestEnds = new Map<string, Path>();
  const positions = stepper.start();
  for (const task of prefix) positions[task] = stepper.step(task, positions[task]);
  world.takeViolations();

  const start: Path = { previous: undefined, task: -1, violatedAt: Infinity, switches: -1 };
  let layer: State[] = [
    { shared: world.arena.snapshot(), print: new Int32Array(4), positions, paths: 1n, best: new Map([[-1, start]]) },
  ];
  for (let level = 1; layer.length > 0 && result.complete; level++) {
    const next = new Layer(world);
    for (const state of layer) {
      const running = state.positions.flatMap((position, task) => (stepper.isDone(task, position) ? [] : [task]));
      if (running.length === 0) finish(world, state, result, bestEnds);
      const firstIdle = isSymmetric ? state.positions.findIndex((position) => position.steps === 0) : -1;
      for (const task of running) {
        if (firstIdle >= 0 && task > firstIdle && state.positions[task].steps === 0) continue;
        world.arena.restore(state.shared);
        const moved = stepper.step(task, state.positions[task]);
        const broken = world.takeViolations();
        const { target, isNew } = next.add(state.positions.with(task, moved), state.paths);
        extendPaths(state, target, task, broken.length > 0 ? level : Infinity);
        result.transitions++;
        if (!isNew) continue;
        result.states++;
        for (const name of broken) result.violations.set(name, (result.violations.get(name) ?? 0) + 1);
      }
      if (result.states > maxStates) result.complete = false;
      if (!result.complete) break;
    }
    onProgress?.({ states: result.states, level });
    layer = next.states;
  }
  for (const [outcome, path] of bestEnds) result.witnesses.set(outcome, choicesOf(path));
  return isSymmetric ? overAllNames(result, positions.length) : result;
}

/** What all ways to name alike tasks make of what one way has found; a witness is renamed with its outcome. */
function overAllNames(result: Exploration, tasks: number): Exploration {
  const outcomes = new Map<string, bigint>();
  const witnesses = new Map<string, number[]>();
  let interleavings = 0n;
  for (const names of permutations(Array.from({ length: tasks }, (_, i) => i))) {
    for (const [outcome, paths] of result.outcomes) {
      const renamed = names.map((name) => outcome[name]).join('');
      outcomes.set(renamed, (outcomes.get(renamed) ?? 0n) + paths);
      interleavings += paths;
      const choices = result.witnesses.get(outcome);
      if (choices && !witnesses.has(renamed))
        witnesses.set(
          renamed,
          choices.map((task) => names.indexOf(task)),
        );
    }
  }
  return { ...result, interleavings, outcomes, witnesses };
}

function permutations(items: readonly number[]): number[][] {
  if (items.length <= 1) return [[...items]];
  return items.flatMap((first, i) => permutations(items.toSpliced(i, 1)).map((rest) => [first, ...rest]));
}

/** The states reached by one more step, each kept once. They are told apart by positions and a 128-bit fingerprint. */
class Layer {
  readonly states: State[] = [];
  readonly #world: World;
  readonly #print = new Int32Array(4);
  readonly #byPrint = new Map<number, State[]>();

  constructor(world: World) {
    this.#world = world;
  }

  /** Adds the world's present state; paths that meet in one state are summed. */
  add(positions: TaskPosition[], paths: bigint): { target: State; isNew: boolean } {
    const { arena } = this.#world;
    const print = this.#print;
    arena.fingerprint(print, this.#world.identity?.());
    const key = (print[0] >>> 0) * 0x20_0000 + (print[1] & 0x1f_ffff);
    const bucket = this.#byPrint.get(key) ?? [];
    for (const state of bucket) {
      if (!samePrint(state.print, print) || !samePositions(state.positions, positions)) continue;
      state.paths += paths;
      return { target: state, isNew: false };
    }
    const state: State = { shared: arena.snapshot(), print: print.slice(), positions, paths, best: new Map() };
    if (bucket.push(state) === 1) this.#byPrint.set(key, bucket);
    this.states.push(state);
    return { target: state, isNew: true };
  }
}

function samePrint(a: Int32Array, b: Int32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

function samePositions(a: readonly TaskPosition[], b: readonly TaskPosition[]): boolean {
  return a.every((p, i) => p.node === b[i].node && p.steps === b[i].steps);
}

function extendPaths(from: State, to: State, task: number, violatedAt: number): void {
  for (const path of from.best.values()) {
    const candidate: Path = {
      previous: path,
      task,
      violatedAt: Math.min(path.violatedAt, violatedAt),
      switches: path.switches + (path.task === task ? 0 : 1),
    };
    const known = to.best.get(task);
    if (!known || isBetter(candidate, known)) to.best.set(task, candidate);
  }
}

/** The earlier an invariant breaks the shorter the story; then the fewer switches the simpler. */
function isBetter(a: Path, b: Path): boolean {
  return a.violatedAt !== b.violatedAt ? a.violatedAt < b.violatedAt : a.switches < b.switches;
}

function finish(world: World, state: State, result: Exploration, bestEnds: Map<string, Path>): void {
  world.arena.restore(state.shared);
  const letters = world.verdict().map((controller) => LETTER[controller]);
  const outcome = letters.join('');
  result.interleavings += state.paths;
  result.outcomes.set(outcome, (result.outcomes.get(outcome) ?? 0n) + state.paths);
  for (const path of state.best.values()) {
    const known = bestEnds.get(outcome);
    if (!known || isBetter(path, known)) bestEnds.set(outcome, path);
  }
}

function choicesOf(path: Path): number[] {
  const choices: number[] = [];
  for (let p: Path | undefined = path; p && p.task >= 0; p = p.previous) choices.push(p.task);
  return choices.reverse();
}

/** Interleavings by the number of good controllers, zero counts left out, ascending. */
export function goodCounts(exploration: Exploration): Map<number, bigint> {
  const counts = new Map<number, bigint>();
  for (const [outcome, paths] of exploration.outcomes) {
    const good = [...outcome].filter((letter) => letter === 'g').length;
    counts.set(good, (counts.get(good) ?? 0n) + paths);
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}
