import type { KernelProfile } from '../kernel-profile.ts';
import { CQ_ENTRY_BYTES, SQ_ENTRY_BYTES } from './nvme-regs.ts';

/** One controller as its driver is told about it. */
export interface NvmeController {
  bdf: number;
  /** Guest-physical address of the driver's memory, a multiple of 4096. See {@link nvmeMemory} for its size. */
  memoryBase: number;
  /** Vectors asked for in the last enable. */
  vectors: number;
  /** Entries of the admin and of the I/O queues; by default the kernel's. At least 2. */
  adminDepth?: number;
  ioDepth?: number;
  /** Read one block by each I/O queue at the end, as the check that its vector works. */
  ioCheck?: boolean;
  /**
   * What happens when a driver gives a controller up: `stop` leaves everything as it is, as seen by others that are done
   * long before the timeout of a minute; `teardown` frees what it had. Default `stop`.
   */
  onTimeout?: 'stop' | 'teardown';
}

/** Queues of two entries: all that a model needs which has one command outstanding, in the least memory. */
export const COMPACT_QUEUES = { adminDepth: 2, ioDepth: 2 } as const;

export interface MemoryRegion {
  address: number;
  length: number;
  /**
   * A buffer whose contents decide nothing: the device writes it and the driver reads at most what every device of that
   * model says. It need not be part of a snapshot.
   */
  isScratch: boolean;
}

export interface QueueMemory {
  sq: number;
  cq: number;
}

export interface NvmeMemory {
  /** By queue number; 0 is the admin queue. */
  queues: QueueMemory[];
  identify: number;
  data: number;
  regions: MemoryRegion[];
  /** From `memoryBase` to the end of the last region, rounded up to pages. */
  spanBytes: number;
}

const PAGE = 4096;

/** I/O queues that a driver wants for its vectors: one each, but the admin queue's vector may be a queue's or its own. */
export function wantedIoQueues(profile: KernelProfile, vectors: number): number {
  return profile.nvmeOwnVectors ? Math.max(1, vectors - 1) : vectors;
}

/** Where a driver puts its queues and buffers; a function of its options alone. */
export function nvmeMemory(profile: KernelProfile, controller: NvmeController): NvmeMemory {
  const { adminDepth, ioDepth } = depths(profile, controller);
  const { identify, data } = bufferMemory(profile, controller);
  const count = wantedIoQueues(profile, controller.vectors) + 1;
  const queues = Array.from({ length: count }, (_, q) => queueMemory(profile, controller, q));
  const regions = queues.flatMap(({ sq, cq }, q): MemoryRegion[] => {
    const depth = q === 0 ? adminDepth : ioDepth;
    return [
      { address: sq, length: depth * SQ_ENTRY_BYTES, isScratch: false },
      { address: cq, length: depth * CQ_ENTRY_BYTES, isScratch: false },
    ];
  });
  const buffers = [identify, data].map((address) => ({ address, length: PAGE, isScratch: true }));
  regions.splice(2, 0, ...buffers);
  return {
    queues,
    identify,
    data,
    regions,
    spanBytes: queueMemory(profile, controller, count).sq - controller.memoryBase,
  };
}

/** Where queue `q` is: the admin queues, two pages of buffers, then pair after pair. */
export function queueMemory(profile: KernelProfile, controller: NvmeController, q: number): QueueMemory {
  const { adminDepth, ioDepth } = depths(profile, controller);
  if (q === 0) return pairAt(controller.memoryBase, adminDepth);
  const first = bufferMemory(profile, controller).data + PAGE;
  return pairAt(first + (q - 1) * pairBytes(ioDepth), ioDepth);
}

/** The buffer of Identify, and one of a page for data. */
export function bufferMemory(profile: KernelProfile, controller: NvmeController): { identify: number; data: number } {
  const identify = controller.memoryBase + pairBytes(depths(profile, controller).adminDepth);
  return { identify, data: identify + PAGE };
}

function depths(profile: KernelProfile, controller: NvmeController): { adminDepth: number; ioDepth: number } {
  const { adminDepth = profile.nvmeAdminDepth, ioDepth = profile.nvmeIoDepth } = controller;
  return { adminDepth, ioDepth };
}

const inPages = (bytes: number) => Math.ceil(bytes / PAGE) * PAGE;

function pairBytes(depth: number): number {
  return inPages(depth * SQ_ENTRY_BYTES) + inPages(depth * CQ_ENTRY_BYTES);
}

function pairAt(address: number, depth: number): QueueMemory {
  return { sq: address, cq: address + inPages(depth * SQ_ENTRY_BYTES) };
}
