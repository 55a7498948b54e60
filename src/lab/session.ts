import { UsageError } from '../core/index.ts';
import type { Access, Answer, Task } from '../guest/access.ts';
import type { World } from './world.ts';

/** Says whether a task is to stop behind an access that it has just made. */
export type Stop = (access: Access, answer: Answer) => boolean;

/**
 * Guest tasks run by a script: one up to a place in it, then another. What a schedule of the explorer says in steps is
 * said here in events, so that a course of events that somebody has seen can be followed. Generators cannot be copied:
 * restoring the arena of the world does not bring a session back.
 */
export class Session {
  readonly #world: World;
  readonly #tasks: { generator: Task<unknown>; next: IteratorResult<Access, unknown> }[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  /** Gives controller `task` something to do. @throws UsageError if it has not done what it was given before */
  begin(task: number, generator: Task<unknown>): void {
    if (!this.isIdle(task)) throw new UsageError(`controller ${task} has not come to the end of its task`);
    this.#tasks[task] = { generator, next: generator.next() };
  }

  isIdle(task: number): boolean {
    return this.#tasks[task]?.next.done ?? true;
  }

  /** Runs a task until `stop` says so, by default to its end. True if it has stopped, false if it has ended. */
  run(task: number, stop: Stop = () => false): boolean {
    for (let access = this.#due(task); access; access = this.#due(task)) {
      const answer = access.op === 'step' ? 0 : this.#world.perform(task, access);
      const running = this.#tasks[task];
      running.next = running.generator.next(answer);
      if (stop(access, answer)) return true;
    }
    return false;
  }

  /** Runs a task up to the marker of a step. @throws UsageError if the task ends without it */
  runTo(task: number, step: string): void {
    if (!this.run(task, (access) => access.op === 'step' && access.name === step))
      throw new UsageError(`the task of controller ${task} has no step ${step}`);
  }

  #due(task: number): Access | undefined {
    const running = this.#tasks[task];
    return running && !running.next.done ? running.next.value : undefined;
  }
}
