import type { Arena, Footprint } from '../core/index.ts';
import type { Access, Answer } from '../guest/access.ts';

/** How a controller ended: every vector reaches its own handler; up, but some vector is deaf, misrouted or missing; not up. */
export type ControllerState = 'good' | 'degraded' | 'failed';

/** Words [from, to) of an arena. */
export interface WordRange {
  readonly from: number;
  readonly to: number;
}

/** State that holds names: numbers that decide nothing but what they lead to. A name is known by one number of any sort. */
export interface WorldNames {
  /**
   * What tells states apart besides the arena's fingerprint: a function of the words that this leaves out, without side
   * effects, in a buffer that the next call uses again. States of which it is the same behave alike but for names.
   * @param settled tasks that will never give up a name, as bits
   * @param pinned names that are told as they are, because a task may have them in hand or goes by them
   * @param order tasks in the order in which they are told; by default the natural one
   * @throws BeginAnew if what was taken for names turns out to be none; from now on it is not taken for such
   */
  tell(settled: number, pinned: readonly number[], order?: readonly number[]): Int32Array;
  /** Words with a bit for each free name: a step that sets one there gives a name up. */
  readonly free: WordRange;
  /** Names whose records words belong to; and those that a task may learn from an answer. */
  ownersOf(words: Iterable<number>): number[];
  namesInAnswer(request: Access, answer: Answer): number[];
  /** Tasks that differ in nothing but what they are called, if they do. */
  readonly alike?: AlikeTasks | undefined;
}

/** What belongs to one task alone, besides names: task t's word k stands for the same as that of any other. */
export interface AlikeTasks {
  /** Words of the arena, by task and k. */
  readonly words: readonly Int32Array[];
  /** A value of a task's word k as it would be if the task were the first; of two tasks different values stay different. */
  asFirst(task: number, k: number, value: number): number;
}

/**
 * What tasks run in: answers their accesses and carries all shared state in its arena. The explorer knows nothing else
 * of it, so a toy world serves to test the explorer and a machine to answer real questions.
 */
export interface World {
  readonly arena: Arena;
  /** For a world that leaves names out of the arena's fingerprint; see {@link Arena.excludeFromIdentity}. */
  readonly names?: WorldNames;
  /** Carries out an access of `task` and everything that follows from it at once (interrupts included). */
  perform(task: number, access: Access): Answer;
  /** Names of invariants broken since the last call or in the present state. Must not change the state. */
  takeViolations(): string[];
  /** The two halves of {@link takeViolations}: broken by accesses since the last call, and broken in the present state. */
  takeBroken?(): string[];
  presentlyBroken?(): string[];
  /**
   * A world of the same shape whose arena notes accesses in `footprint`; its state is the caller's to set. A world that
   * has all three can be explored by what its accesses read and write, see learned-space.ts.
   */
  watched?(footprint: Footprint): World;
  /** How each controller stands when nothing more runs. May change the state; the caller restores it. */
  verdict(): ControllerState[];
}

const LETTER: Record<ControllerState, string> = { good: 'g', degraded: 'd', failed: 'f' };

/** A verdict as one letter a controller. */
export function outcomeOf(verdict: readonly ControllerState[]): string {
  return verdict.map((state) => LETTER[state]).join('');
}

/** A world that can be explored by what its accesses read and write. */
export type WatchableWorld = World & Required<Pick<World, 'takeBroken' | 'presentlyBroken' | 'watched'>>;

export function isWatchable(world: World): world is WatchableWorld {
  return world.takeBroken !== undefined && world.presentlyBroken !== undefined && world.watched !== undefined;
}
