import { UsageError } from '../core/index.ts';
import type { Access, Grain, Task } from '../guest/access.ts';
import { TaskTrie, type TrieNode } from './task-trie.ts';
import type { World } from './world.ts';

/** A task with the number of steps it takes when nothing goes wrong; if it ends early the rest are no-op steps. */
export interface TaskPlan {
  make: () => Task<unknown>;
  /** Nominal coarse steps; only `coarse` pads with no-ops, so that every task has equally many. */
  coarseSteps: number;
}

const FINENESS: Record<Grain, number> = { coarse: 0, group: 1, fine: 2 };

/** More accesses than this in one step is a task that never ends (a bound, not a tuning knob). */
export const MAX_ACCESSES_PER_STEP = 1_000_000;

/**
 * Where a task stands: its trie node, and how many steps it has taken; where no steps are padded it matters only
 * whether it has taken any, so that is 0 or 1.
 */
export interface TaskPosition {
  readonly node: TrieNode;
  readonly steps: number;
}

/** Runs tasks a step at a time; what one step is, `grain` says, and `atomic` joins coarse steps to the one before. */
export class Stepper {
  readonly tries: TaskTrie[];
  readonly grain: Grain;
  readonly #world: World;
  readonly #plans: readonly TaskPlan[];
  readonly #atomic: ReadonlySet<string>;
  /** Accesses carried out so far, all steps together. */
  accesses = 0;

  /** @param atomic names of steps at whose beginning no other task may run */
  constructor(world: World, plans: readonly TaskPlan[], grain: Grain, atomic: ReadonlySet<string> = new Set()) {
    this.#world = world;
    this.#plans = plans;
    this.grain = grain;
    this.#atomic = atomic;
    this.tries = plans.map((plan) => new TaskTrie(plan.make));
  }

  start(): TaskPosition[] {
    return this.tries.map((trie) => ({ node: trie.root, steps: 0 }));
  }

  isDone(task: number, position: TaskPosition): boolean {
    if (position.node.request) return false;
    return this.grain !== 'coarse' || position.steps >= this.#plans[task].coarseSteps - this.#atomic.size;
  }

  /** The name of the step that the task would take next. */
  stepName(position: TaskPosition): string {
    const request = position.node.request;
    if (!request) return 'no-op';
    return request.op === 'step' ? request.name : request.op;
  }

  /** Runs one step of `task`: the markers it stands at, then accesses up to the next boundary. */
  step(task: number, position: TaskPosition): TaskPosition {
    const trie = this.tries[task];
    let node = position.node;
    while (node.request?.op === 'step') node = trie.next(node, 0);
    for (let budget = MAX_ACCESSES_PER_STEP; node.request && !this.isBoundary(node.request); budget--) {
      if (budget === 0)
        throw new UsageError(`a step of controller ${task} did not end after ${MAX_ACCESSES_PER_STEP} accesses`);
      if (node.request.op === 'step') {
        node = trie.next(node, 0);
        continue;
      }
      this.accesses++;
      node = trie.next(node, this.#world.perform(task, node.request));
      if (this.grain === 'fine') break;
    }
    return this.after(task, position, node);
  }

  /** Where a step that began at `position` and came to `node` has led. */
  after(task: number, position: TaskPosition, node: TrieNode): TaskPosition {
    const steps = this.grain === 'coarse' ? position.steps + 1 : 1;
    return { node: this.tries[task].representative(node), steps };
  }

  /** True if a step ends before `request`. */
  isBoundary(request: Access): boolean {
    if (request.op !== 'step') return false;
    return FINENESS[request.grain] <= FINENESS[this.grain] && !this.#atomic.has(request.name);
  }
}
