import type { Width } from '../core/index.ts';
import { CONFIG_REGION, type HypercallAnswer, type Task } from './access.ts';

/** Shorthands for the accesses: `yield* readConfig(…)` instead of a literal and a cast at every place. */

export function* readConfig(bdf: number, offset: number, width: Width): Task<number> {
  return (yield { op: 'read', bdf, region: CONFIG_REGION, offset, width }) as number;
}

export function* writeConfig(bdf: number, offset: number, width: Width, value: number): Task<void> {
  yield { op: 'write', bdf, region: CONFIG_REGION, offset, width, value: value >>> 0 };
}

/** Reads, clears and sets bits, writes back (also when nothing changes); answers the value written. */
export function* updateConfig(bdf: number, offset: number, width: Width, clear: number, set: number): Task<number> {
  const value = (((yield* readConfig(bdf, offset, width)) & ~clear) | set) >>> 0;
  yield* writeConfig(bdf, offset, width, value);
  return value;
}

export function* readBar(bdf: number, bar: number, offset: number, width: Width = 4): Task<number> {
  return (yield { op: 'read', bdf, region: bar, offset, width }) as number;
}

export function* writeBar(bdf: number, bar: number, offset: number, value: number, width: Width = 4): Task<void> {
  yield { op: 'write', bdf, region: bar, offset, width, value: value >>> 0 };
}

export function* load(address: number): Task<number> {
  return (yield { op: 'load', address }) as number;
}

export function* store(address: number, value: number): Task<void> {
  yield { op: 'store', address, value: value >>> 0 };
}

/** Locked read-modify-write; answers the old word. */
export function* update(address: number, clear: number, set: number): Task<number> {
  return (yield { op: 'update', address, clear: clear >>> 0, set: set >>> 0 }) as number;
}

/** A call of {@link KernelRecords}. */
export function* kernel(call: string, ...args: number[]): Task<number> {
  return (yield { op: 'kernel', call, args }) as number;
}

export function* hypercall(nr: number, cmd: number, bytes: Uint8Array): Task<HypercallAnswer> {
  return (yield { op: 'hypercall', nr, cmd, bytes }) as HypercallAnswer;
}

export function* coarseStep(name: string): Task<void> {
  yield { op: 'step', grain: 'coarse', name };
}

export function* groupStep(name: string): Task<void> {
  yield { op: 'step', grain: 'group', name };
}
