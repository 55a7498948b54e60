/** What a controller was made with, and what its CAP register says. */
export interface NaiveShape {
  queuePairs: number;
  /** CAP.MQES + 1. */
  maxEntries: number;
  /** CAP.DSTRD: doorbells lie 4 << this bytes apart. */
  stride: number;
  mpsMax: number;
  mdts: number;
  /** MSI-X table entries. */
  vectors: number;
  asyncEventRequests: number;
  errorLogEntries: number;
  blockBytes: number;
  blockCount: number;
  /** CAP and VS, which never change. */
  cap: readonly [number, number];
  version: number;
  /** Pages that a controller's maker fills: identification, and commands supported. By name. */
  pages: ReadonlyMap<string, Uint8Array>;
}

export interface NaiveSq {
  base: number;
  size: number;
  head: number;
  tail: number;
  cq: number;
  /** A doorbell that cannot be: the queue gives nothing more. */
  stopped: boolean;
}

export interface NaiveCq {
  base: number;
  size: number;
  head: number;
  tail: number;
  phase: number;
  vector: number;
  interrupts: boolean;
}

/** Everything of a controller that changes, as plain values. */
export interface NvmeState {
  cc: number;
  rdy: boolean;
  cfs: boolean;
  shst: number;
  mask: number;
  aqa: number;
  asq: [number, number];
  acq: [number, number];
  sqs: Map<number, NaiveSq>;
  cqs: Map<number, NaiveCq>;
  nextSq: number;
}

/** As after power-on. */
export function freshState(): NvmeState {
  return {
    cc: 0,
    rdy: false,
    cfs: false,
    shst: 0,
    mask: 0,
    aqa: 0,
    asq: [0, 0],
    acq: [0, 0],
    sqs: new Map(),
    cqs: new Map(),
    nextSq: 0,
  };
}

/** A copy that shares nothing. */
export function copyState(s: NvmeState): NvmeState {
  const sqs = new Map([...s.sqs].map(([id, q]) => [id, { ...q }]));
  const cqs = new Map([...s.cqs].map(([id, q]) => [id, { ...q }]));
  return { ...s, asq: [...s.asq], acq: [...s.acq], sqs, cqs };
}
