import type { Arena } from '../../../core/index.ts';
import type { NvmeShape } from './options.ts';
import { REGISTER_WORDS } from './registers.ts';

/** Words of one submission queue descriptor. */
export const SQ = { BASE_LO: 0, BASE_HI: 1, SIZE: 2, HEAD: 3, TAIL: 4, CQID: 5, STOPPED: 6, WORDS: 7 } as const;

/** Words of one completion queue descriptor. SIZE 0: the queue does not exist. */
export const CQ = {
  BASE_LO: 0,
  BASE_HI: 1,
  SIZE: 2,
  HEAD: 3,
  TAIL: 4,
  /** Phase tag of the next entry. */
  PHASE: 5,
  VECTOR: 6,
  INTERRUPTS: 7,
  /** Submission queues that complete here. */
  USERS: 8,
  WORDS: 9,
} as const;

/** Single words. */
export const VAR = {
  /** I/O queues granted by Set Features, Number of Queues: identifiers run from 1 to these. */
  GRANTED_SQS: 0,
  GRANTED_CQS: 1,
  /** I/O queues that exist. */
  IO_QUEUES: 2,
  /** Submission queue that arbitration looks at next. */
  NEXT_SQ: 3,
  /** Asynchronous Event Requests outstanding. */
  AER_COUNT: 4,
  /** Event types that are not reported again until their log page is read: bit per type. */
  AER_MASKED: 5,
  /** Events that wait to be reported: a byte per type, a bit per event information. */
  AER_PENDING: 6,
  /** Entries ever put into the Error Information log; the ring holds the last few. */
  ERRORS: 7,
  COUNT: 8,
} as const;

/** Words of one Error Information log entry. */
export const ERR = { COUNT: 0, QUEUE: 1, STATUS: 2, LBA_LO: 3, LBA_HI: 4, NSID: 5, WORDS: 6 } as const;

/** 64-bit counters of the SMART log, low and high word each. */
export const COUNTER = { SECTORS_READ: 0, SECTORS_WRITTEN: 2, READS: 4, WRITES: 6, WORDS: 8 } as const;

/** Feature values that are one word each; index = where, see features.ts. */
export const FEATURE_WORDS = 8;

/** All mutable state of a controller, in the arena. */
export class NvmeState {
  readonly registers: Int32Array;
  readonly vars: Int32Array;
  readonly sqs: Int32Array;
  readonly cqs: Int32Array;
  readonly features: Int32Array;
  /** Interrupt Vector Configuration, Coalescing Disable: bit per vector. */
  readonly coalescingDisable: Int32Array;
  /** Error Recovery of each namespace. */
  readonly errorRecovery: Int32Array;
  /** Command identifiers of the outstanding Asynchronous Event Requests, oldest first. */
  readonly aerCids: Int32Array;
  readonly errors: Int32Array;
  readonly counters: Int32Array;

  /** @param label names the controller where states are told apart */
  constructor(arena: Arena, shape: NvmeShape, vectors: number, label: string) {
    const queues = shape.queuePairs + 1;
    this.registers = arena.int32(REGISTER_WORDS, `${label}.registers`);
    this.vars = arena.int32(VAR.COUNT, `${label}.variables`);
    this.sqs = arena.int32(queues * SQ.WORDS, `${label}.sqs`);
    this.cqs = arena.int32(queues * CQ.WORDS, `${label}.cqs`);
    this.features = arena.int32(FEATURE_WORDS, `${label}.features`);
    this.coalescingDisable = arena.int32((vectors + 31) >> 5, `${label}.coalescingDisable`);
    this.errorRecovery = arena.int32(shape.namespaces.length, `${label}.errorRecovery`);
    this.aerCids = arena.int32(shape.asyncEventRequests, `${label}.aerCids`);
    this.errors = arena.int32(shape.errorLogEntries * ERR.WORDS, `${label}.errors`);
    this.counters = arena.int32(COUNTER.WORDS, `${label}.counters`);
  }

  /** Bytes of arena that a controller of this shape takes (each array is rounded up to 8). */
  static sizeBytes(shape: NvmeShape, vectors: number): number {
    const queues = shape.queuePairs + 1;
    const arrays = [
      REGISTER_WORDS,
      VAR.COUNT,
      queues * SQ.WORDS,
      queues * CQ.WORDS,
      FEATURE_WORDS,
      (vectors + 31) >> 5,
      shape.namespaces.length,
      shape.asyncEventRequests,
      shape.errorLogEntries * ERR.WORDS,
      COUNTER.WORDS,
    ];
    return arrays.reduce((sum, words) => sum + ((words + 1) & ~1) * 4, 0);
  }

  /** Adds `n` < 2^31 to the counter at `index`. */
  count(index: number, n: number): void {
    const low = (this.counters[index] >>> 0) + n;
    this.counters[index] = low;
    if (low > 0xffffffff) this.counters[index + 1]++;
  }

  getCounter(index: number): number {
    return (this.counters[index + 1] >>> 0) * 0x1_0000_0000 + (this.counters[index] >>> 0);
  }
}
