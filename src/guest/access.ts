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
  /**
   * A locked read-modify-write of one word of guest RAM: `(old & ~clear) | set` is stored, `old` is the answer. The bit
   * operations on shared_info are such instructions; as a load and a store, a step between them could lose an event.
   */
  | { op: 'update'; address: number; clear: number; set: number }
  | { op: 'hypercall'; nr: number; cmd: number; bytes: Uint8Array }
  /** The kernel's own shared records (irq descriptors, handlers), kept outside the task; see irq-records.ts. */
  | { op: 'kernel'; call: string; args: number[] }
  /**
   * Wait until the command on queue `queue` of the task's controller has completed; answers a {@link WaitOutcome}:
   * `interrupted` if its handler has taken the completion (`KernelRecords.completed`), else `timedOut`. A runner without
   * interrupts answers `polled`: the task then looks into the queue itself.
   */
  | { op: 'wait'; bdf: number; queue: number; timeoutMs: number }
  /** Sleep, between two looks at a register that is polled. Answer ignored. A model whose devices act at once does nothing. */
  | { op: 'delay'; ms: number }
  /**
   * A place where another task may run, if the scheduler steps at this grain or a finer one; yielded before the work it
   * names. Names are unique within a task, and what follows depends on the name and on shared state only, never on
   * earlier answers: two runs of a task that stand at the same name are interchangeable.
   */
  | { op: 'step'; grain: Grain; name: string };

/**
 * How much is one atomic step: five a controller, one lock section or register group, or every access. Coarse places
 * are also group places. Tasks yield no `fine` markers: every access is one.
 */
export type Grain = 'coarse' | 'group' | 'fine';

/** Region number of configuration space. */
export const CONFIG_REGION = 7;

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
