import { type Shard, UsageError } from '../core/index.ts';
import { BestPaths, NEVER, type PathEnd } from './best-paths.ts';
import { LearnedSpace } from './learned-space.ts';
import { PathCounts } from './path-counts.ts';
import { Permutations } from './permutations.ts';
import { PlainSpace } from './plain-space.ts';
import { runDigest } from './schedule.ts';
import { BeginAnew, type StateSpace } from './state-space.ts';
import type { Stepper } from './stepper.ts';
import { compareWitnesses } from './witness.ts';
import { isWatchable, type World } from './world.ts';

/** A shard goes its own way from the first layer that has at least so many states for each shard. */
const STATES_TO_SPLIT = 64;

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
  /**
   * Run every step by the world itself, and keep whole snapshots. By default so with coarse steps, which are few and
   * long, so that running them costs no more than learning them; and for a world that cannot be watched.
   */
  isPlain?: boolean;
  /**
   * Fine steps that nobody can tell from having been made at once with the one before are no choice points. By default so;
   * without, every order of steps is counted. Nothing is merged where {@link isPlain}.
   */
  isMerging?: boolean;
  /**
   * Follow one part of the interleavings. All shards walk the same layers up to the first with `statesToSplit` states
   * for each; there every shard keeps a run of neighbours, which have most of their future in common, and walks on from
   * them. Interleavings that end before belong to the first shard. Counts of interleavings add up over the shards;
   * states that several shards reach are counted by each.
   * @throws UsageError where steps are merged: which are no choice points follows from all interleavings
   */
  shard?: Shard;
  /** The same for all shards of a run. */
  statesToSplit?: number;
  /** Called after every layer of the state graph. */
  onProgress?: (done: { states: number; level: number }) => void;
}

/** Why a part cannot be explored alone. */
export const UNSHARDABLE =
  'which fine steps are no choice points follows from all interleavings, so shards of them need --every-order';

export interface Exploration {
  /** Every interleaving was followed; if false a bound stopped it, and unfinished interleavings are not counted. */
  complete: boolean;
  /** Exact number of complete schedules; if steps were merged, of the orders of those that are choice points. */
  interleavings: bigint;
  states: number;
  transitions: number;
  /** Accesses that the transitions stand for, and steps (which fine ones are accesses) that are no choice points. */
  accesses: number;
  merged: number;
  /** Interleavings by how their controllers ended, one letter each (g, d, f), e.g. `ggf`. */
  outcomes: Map<string, bigint>;
  /** Invariants seen broken, and in how many distinct states or by a step into them. */
  violations: Map<string, number>;
  /** For each outcome the choices that reach it: the best as {@link compareWitnesses} has it. */
  witnesses: Map<string, number[]>;
  /** The step of each witness, counted from 1, that first breaks an invariant, if one does. */
  brokenAt: Map<string, number>;
  /** Every result was counted once for each naming of alike tasks. */
  isSymmetric: boolean;
  /** Of a shard: the layer at which it went its own way, the same for all shards; empty if there was none. */
  split?: string;
}

/**
 * Walks every interleaving of the stepper's tasks over the graph of distinct states. Each transition is one step, so
 * the graph is layered by the number of steps: only two layers are held, and the interleavings through a state are
 * the sum of those through its predecessors, exact.
 */
export function explore(world: World, stepper: Stepper, options: ExploreOptions = {}): Exploration {
  const { isPlain = stepper.grain === 'coarse', isMerging } = options;
  const before = world.arena.snapshot();
  const space =
    isPlain || !isWatchable(world)
      ? new PlainSpace(world, stepper)
      : new LearnedSpace(world, stepper, {
          isMerging,
          isPart: options.shard !== undefined,
          isAlike: options.isSymmetric && (options.prefix ?? []).length === 0,
        });
  for (;;)
    try {
      return walk(space as StateSpace<unknown>, options);
    } catch (error) {
      if (!(error instanceof BeginAnew)) throw error;
      world.arena.restore(before);
    }
}

function walk<Layer>(space: StateSpace<Layer>, options: ExploreOptions): Exploration {
  const {
    prefix = [],
    isSymmetric = false,
    maxStates = 2_000_000,
    onProgress,
    shard,
    statesToSplit = STATES_TO_SPLIT,
  } = options;
  const { tasks } = space;
  const result: Exploration = {
    complete: true,
    interleavings: 0n,
    states: 1,
    transitions: 0,
    accesses: 0,
    merged: 0,
    outcomes: new Map(),
    violations: new Map(),
    witnesses: new Map(),
    brokenAt: new Map(),
    isSymmetric,
    ...(shard && { split: '' }),
  };
  const brokenIn: number[] = [];
  const ends = new Map<string, PathEnd>();
  let layer = space.start(prefix);
  let spare = space.layer();
  let paths = new PathCounts(1);
  paths.set(0, 1);
  const best = [new BestPaths(tasks)];
  best[0].begin();

  for (let level = 1; space.size(layer) > 0 && result.complete; level++) {
    const next = space.layer(spare);
    const nextPaths = new PathCounts(1 + level * Math.log2(tasks));
    const nextBest = new BestPaths(tasks);
    const size = space.size(layer);
    const brokenOf: number[] = [];
    const isSplit = result.split === '' && size >= statesToSplit * shard!.count;
    if (isSplit) result.split = describeSplit(level, paths, size);
    const isOurs = result.split !== '' || shard!.index === 0;
    for (let state = 0; state < size && result.complete; state++) {
      if (isSplit && Math.floor((state * shard!.count) / size) !== shard!.index) continue;
      let isFinished = true;
      let mayBeFirst = true;
      for (let task = 0; task < tasks; task++) {
        if (space.isDone(layer, state, task)) continue;
        isFinished = false;
        if (isSymmetric && !space.isAlike && space.isIdle(layer, state, task)) {
          if (!mayBeFirst) continue;
          mayBeFirst = false;
        }
        const known = space.size(next);
        const target = space.step(layer, state, task, next);
        const { broken } = space;
        nextPaths.add(target, paths, state);
        nextBest.extend(target, best[level - 1], state, task, broken === 0 ? 0 : level, space.renaming);
        result.transitions++;
        result.accesses += space.accesses;
        result.merged += space.merged;
        if (shard && space.merged > 0) throw new UsageError(UNSHARDABLE);
        const isNew = target === known;
        if (isNew) result.states++;
        const brokenBefore = isNew ? 0 : brokenOf[target];
        brokenOf[target] = brokenBefore | broken;
        for (let rest = broken & ~brokenBefore, bit = 0; rest !== 0; rest >>>= 1, bit++)
          if (rest & 1) brokenIn[bit] = (brokenIn[bit] ?? 0) + 1;
      }
      if (isFinished && isOurs) {
        const outcome = space.outcome(layer, state);
        const count = paths.get(state);
        result.interleavings += count;
        result.outcomes.set(outcome, (result.outcomes.get(outcome) ?? 0n) + count);
        ends.set(outcome, best[level - 1].bestEnd(level - 1, state, ends.get(outcome))!);
      }
      if (result.states > maxStates) result.complete = false;
    }
    nextBest.rank(space.size(next), best[level - 1]);
    best[level - 1].seal(size);
    best.push(nextBest);
    onProgress?.({ states: result.states, level });
    spare = layer;
    layer = next;
    paths = nextPaths;
  }
  space.settle();
  for (const [bit, states] of brokenIn.entries()) if (states) result.violations.set(space.invariants[bit], states);
  for (const [outcome, end] of ends) {
    result.witnesses.set(outcome, inSteps(space, prefix, BestPaths.choicesOf(best, end)));
    if (end.violatedAt !== NEVER) result.brokenAt.set(outcome, end.violatedAt);
  }
  return isSymmetric ? overAllNames(result, tasks, space.isAlike) : result;
}

/** A layer in a few words that differ where its states differ in number, order, or interleavings through them. */
function describeSplit(level: number, paths: PathCounts, size: number): string {
  const counts = Array.from({ length: size }, (_, state) => paths.get(state));
  return `layer ${level - 1}, ${size} states, ${runDigest(counts.join())}`;
}

/** The choices in steps of the stepper, of which one choice may be several. */
function inSteps<Layer>(space: StateSpace<Layer>, prefix: readonly number[], choices: readonly number[]): number[] {
  let layer = space.start(prefix);
  let state = 0;
  return choices.flatMap((task) => {
    const next = space.layer();
    state = space.step(layer, state, task, next);
    layer = next;
    return new Array<number>(space.stepsTaken).fill(task);
  });
}

/**
 * What all ways to name alike tasks make of what one way has found; a witness is renamed with its outcome.
 * @param isOfAll counts are of all ways already, though what the tasks are called is not known
 */
function overAllNames(result: Exploration, tasks: number, isOfAll: boolean): Exploration {
  const outcomes = new Map<string, bigint>();
  const witnesses = new Map<string, number[]>();
  const brokenAt = new Map<string, number>();
  const ways = new Permutations(tasks).all;
  const share = isOfAll ? BigInt(ways.length) : 1n;
  for (const names of ways) {
    for (const [outcome, paths] of result.outcomes) {
      const renamed = names.map((name) => outcome[name]).join('');
      outcomes.set(renamed, (outcomes.get(renamed) ?? 0n) + paths);
      const choices = result.witnesses.get(outcome)!.map((task) => names.indexOf(task));
      const found = { choices, brokenAt: result.brokenAt.get(outcome) };
      const known = witnesses.get(renamed);
      if (known && compareWitnesses({ choices: known, brokenAt: brokenAt.get(renamed) }, found, true) <= 0) continue;
      witnesses.set(renamed, choices);
      if (found.brokenAt === undefined) brokenAt.delete(renamed);
      else brokenAt.set(renamed, found.brokenAt);
    }
  }
  let interleavings = 0n;
  for (const [outcome, paths] of outcomes) {
    outcomes.set(outcome, paths / share);
    interleavings += paths / share;
  }
  return { ...result, interleavings, outcomes, witnesses, brokenAt };
}

/** Interleavings by the number of good controllers, zero counts left out, ascending. */
export function goodCounts(exploration: Pick<Exploration, 'outcomes'>): Map<number, bigint> {
  const counts = new Map<number, bigint>();
  for (const [outcome, paths] of exploration.outcomes) {
    const good = [...outcome].filter((letter) => letter === 'g').length;
    counts.set(good, (counts.get(good) ?? 0n) + paths);
  }
  return new Map([...counts].sort(([a], [b]) => a - b));
}
