import type { Width } from '../core/index.ts';
import { type Access, type Answer, CONFIG_REGION, type HypercallAnswer, type Task } from './access.ts';

/**
 * A task of one access, which ends with the answer. As a generator of its own it would be made, suspended and resumed for
 * each of the hundreds of accesses that a vector takes.
 */
class OneAccess {
  readonly #access: Access;
  #isAsked = false;

  constructor(access: Access) {
    this.#access = access;
  }

  [Symbol.iterator](): this {
    return this;
  }

  next(answer: Answer): IteratorResult<Access, Answer> {
    if (this.#isAsked) return { value: answer, done: true };
    this.#isAsked = true;
    return { value: this.#access, done: false };
  }
}

function one<T>(access: Access): Task<T> {
  return new OneAccess(access) as unknown as Task<T>;
}

/** Shorthands for the accesses: `yield* readConfig(…)` instead of a literal and a cast at every place. */

export function readConfig(bdf: number, offset: number, width: Width): Task<number> {
  return one({ op: 'read', bdf, region: CONFIG_REGION, offset, width });
}

export function writeConfig(bdf: number, offset: number, width: Width, value: number): Task<void> {
  return one({ op: 'write', bdf, region: CONFIG_REGION, offset, width, value: value >>> 0 });
}

/** Reads, clears and sets bits, writes back (also when nothing changes); answers the value written. */
export function* updateConfig(bdf: number, offset: number, width: Width, clear: number, set: number): Task<number> {
  const value = (((yield* readConfig(bdf, offset, width)) & ~clear) | set) >>> 0;
  yield* writeConfig(bdf, offset, width, value);
  return value;
}

export function readBar(bdf: number, bar: number, offset: number, width: Width = 4): Task<number> {
  return one({ op: 'read', bdf, region: bar, offset, width });
}

export function writeBar(bdf: number, bar: number, offset: number, value: number, width: Width = 4): Task<void> {
  return one({ op: 'write', bdf, region: bar, offset, width, value: value >>> 0 });
}

export function load(address: number): Task<number> {
  return one({ op: 'load', address });
}

export function store(address: number, value: number): Task<void> {
  return one({ op: 'store', address, value: value >>> 0 });
}

/** Locked read-modify-write; answers the old word. */
export function update(address: number, clear: number, set: number): Task<number> {
  return one({ op: 'update', address, clear: clear >>> 0, set: set >>> 0 });
}

/** A call of {@link KernelRecords}. */
export function kernel(call: string, ...args: number[]): Task<number> {
  return one({ op: 'kernel', call, args });
}

export function hypercall(nr: number, cmd: number, bytes: Uint8Array): Task<HypercallAnswer> {
  return one({ op: 'hypercall', nr, cmd, bytes });
}

export function coarseStep(name: string): Task<void> {
  return one({ op: 'step', grain: 'coarse', name });
}

export function groupStep(name: string): Task<void> {
  return one({ op: 'step', grain: 'group', name });
}
