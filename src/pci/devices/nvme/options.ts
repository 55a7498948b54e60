import { UsageError } from '../../../core/index.ts';
import type { Namespace } from './namespace.ts';

/** Shape and identity of a controller. Everything has a default. */
export interface NvmeOptions {
  /** I/O queue pairs, 1 … 2048. */
  queuePairs?: number;
  /** Entries of the largest I/O queue, 2 … 65,536; with `mdts` it bounds what one doorbell write can set off. */
  maxQueueEntries?: number;
  /** CAP.DSTRD, 0 … 15: doorbells lie 4 << this bytes apart. */
  doorbellStride?: number;
  /** CAP.MPSMAX, 0 … 15: the largest memory page is 4096 << this bytes. */
  mpsMax?: number;
  /** Largest transfer, as a power of two of 4-KiB pages, 1 … 12 (Identify Controller, MDTS). */
  mdts?: number;
  /** Namespaces 1, 2, …; their contents are not part of a snapshot. At most 1024. */
  namespaces?: readonly Namespace[];
  /** Asynchronous Event Requests that may be outstanding, 1 … 256. */
  asyncEventRequests?: number;
  /** Entries of the Error Information log, 1 … 256. */
  errorLogEntries?: number;
  /** ASCII, at most 20 characters. */
  serial?: string;
  /** ASCII, at most 40 characters. */
  model?: string;
  /** ASCII, at most 8 characters. */
  firmware?: string;
  /**
   * Commands wait until {@link NvmeController.step} is called, one command a call, instead of being executed by the
   * doorbell write that submits them.
   */
  defer?: boolean;
}

export type NvmeShape = Required<NvmeOptions>;

const RANGES: { [K in keyof NvmeShape]?: [low: number, high: number] } = {
  queuePairs: [1, 2048],
  maxQueueEntries: [2, 65536],
  doorbellStride: [0, 15],
  mpsMax: [0, 15],
  mdts: [1, 12],
  asyncEventRequests: [1, 256],
  errorLogEntries: [1, 256],
};
const LENGTHS = { serial: 20, model: 40, firmware: 8 } as const;

/** Fills in defaults. @throws UsageError naming the option and what it accepts */
export function completeOptions(options: NvmeOptions = {}): NvmeShape {
  const shape: NvmeShape = {
    queuePairs: 64,
    maxQueueEntries: 1024,
    doorbellStride: 0,
    mpsMax: 4,
    mdts: 6,
    namespaces: [],
    asyncEventRequests: 4,
    errorLogEntries: 4,
    serial: 'pirqlab',
    model: 'pirqlab NVMe controller',
    firmware: '1.0',
    defer: false,
    ...options,
  };
  for (const [name, [low, high]] of Object.entries(RANGES)) {
    const value = shape[name as keyof NvmeShape] as number;
    if (!Number.isInteger(value) || value < low || value > high)
      throw new UsageError(`NVMe option ${name} is ${value}; it takes a whole number from ${low} to ${high}`);
  }
  for (const [name, length] of Object.entries(LENGTHS)) {
    const value = shape[name as keyof typeof LENGTHS];
    if (value.length > length || /[^ -~]/.test(value))
      throw new UsageError(`NVMe option ${name} takes at most ${length} printable ASCII characters`);
  }
  if (shape.namespaces.length > 1024) throw new UsageError('an NVMe controller takes at most 1024 namespaces');
  return shape;
}
