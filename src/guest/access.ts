import type { Width } from '../core/index.ts';

/**
 * What a guest task can ask of the outside. A task is a generator that yields these and receives the answer as a
 * number (or {@link HypercallAnswer}); it keeps no other link to the world, so it is a pure function of its answers
 * and any runner can serve it: the in-process machine, QEMU over qtest, a vfio-user device, a recording.
 */
export type Access =
  /** Configuration (region 7) or BAR (0–5) access of a function; regions are numbered as VFIO does. */
  | { op: 'read'; bdf: number; region: number; offset: number; width: Width }
  | { op: 'write'; bdf: number; region: number; offset: number; width: Width; value: number }
  /** Guest RAM, by guest-physical address, 32 bits at a time. */
  | { op: 'load'; address: number }
  | { op: 'store'; address: number; value: number }
  | { op: 'hypercall'; nr: number; cmd: number; bytes: Uint8Array }
  /** The kernel's own shared records (irq descriptors, handlers), kept outside the task; see irq-records.ts. */
  | { op: 'kernel'; call: string; args: number[] }
  /** Wait until completion queue `queue` of the task's controller has an entry; answers a {@link WaitOutcome}. */
  | { op: 'wait'; bdf: number; queue: number; timeoutMs: number }
  /** A place where another task may run, if the scheduler steps at this grain or a finer one. */
  | { op: 'step'; grain: Grain; name: string };

/** How much is one atomic step: five a controller, one lock section or register group, or every access. */
export type Grain = 'coarse' | 'group' | 'fine';

export interface HypercallAnswer {
  /** ≥ 0, or −errno. */
  ret: number;
  /** The argument bytes after the call. */
  bytes: Uint8Array;
}

export const WAIT = { interrupted: 0, polled: 1, timedOut: 2 } as const;
export type WaitOutcome = (typeof WAIT)[keyof typeof WAIT];

export type Answer = number | HypercallAnswer;

/** A piece of guest code that ends with a `T`. */
export type Task<T> = Generator<Access, T, Answer>;
