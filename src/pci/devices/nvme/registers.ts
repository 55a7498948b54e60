/**
 * Controller registers in BAR 0, one row per 32 bits. NVMe 1.4 §3.1. Rows not listed, up to the doorbells, are reserved
 * or belong to features this controller does not have (NSSR with CAP.NSSRS = 0, controller memory buffer, boot
 * partitions, persistent memory region): they read zero and ignore writes.
 *
 * `writable` are the bits that take a written value while CC.EN = 0, `writableEnabled` while CC.EN = 1. Where the
 * specification calls a change undefined, the bits keep their value.
 */
export interface RegisterRow {
  name: string;
  offset: number;
  writable: number;
  writableEnabled: number;
  /** §7.3.2: AQA, ASQ and ACQ keep their value over a controller reset by CC.EN. */
  survivesControllerReset?: boolean;
}

const row = (offset: number, name: string, writable = 0, writableEnabled = writable): RegisterRow => ({
  offset,
  name,
  writable,
  writableEnabled,
});
const kept = (r: RegisterRow): RegisterRow => ({ ...r, survivesControllerReset: true });

export const REGISTERS: readonly RegisterRow[] = [
  row(0x00, 'CAP'),
  row(0x04, 'CAP, upper half'),
  row(0x08, 'VS'),
  row(0x0c, 'INTMS', 0xffffffff), // write 1 to set, see controller.ts
  row(0x10, 'INTMC', 0xffffffff), // write 1 to clear
  row(0x14, 'CC', 0x00fffff1, 0x00ffc001), // CSS, MPS and AMS only while disabled, §3.1.5
  row(0x1c, 'CSTS'), // NSSRO cannot be set, so nothing to clear
  row(0x20, 'NSSR'),
  kept(row(0x24, 'AQA', 0x0fff0fff)),
  kept(row(0x28, 'ASQ', 0xfffff000)),
  kept(row(0x2c, 'ASQ, upper half', 0xffffffff)),
  kept(row(0x30, 'ACQ', 0xfffff000)),
  kept(row(0x34, 'ACQ, upper half', 0xffffffff)),
  row(0x38, 'CMBLOC'),
  row(0x3c, 'CMBSZ'),
];

/** Index of each register in the state's words (offset / 4). */
export const REG = {
  CAP: 0x00 >> 2,
  CAP_HI: 0x04 >> 2,
  VS: 0x08 >> 2,
  INTMS: 0x0c >> 2,
  INTMC: 0x10 >> 2,
  CC: 0x14 >> 2,
  CSTS: 0x1c >> 2,
  AQA: 0x24 >> 2,
  ASQ: 0x28 >> 2,
  ACQ: 0x30 >> 2,
} as const;

/** 32-bit words of register state; everything from here to the doorbells reads zero. */
export const REGISTER_WORDS = 0x40 >> 2;

/** Byte offset of the first doorbell (Admin Submission Queue tail). §3.1.24. */
export const DOORBELLS = 0x1000;

/** Revision 1.4, §3.1.2. */
export const VERSION = 0x0001_0400;

/** Controller Configuration, §3.1.5. */
export const CC = {
  EN: 1,
  css: (cc: number) => (cc >>> 4) & 7,
  mps: (cc: number) => (cc >>> 7) & 15,
  ams: (cc: number) => (cc >>> 11) & 7,
  shn: (cc: number) => (cc >>> 14) & 3,
  iosqes: (cc: number) => (cc >>> 16) & 15,
  iocqes: (cc: number) => (cc >>> 20) & 15,
} as const;

/** Controller Status, §3.1.6. */
export const CSTS = { RDY: 1, CFS: 2, SHST_MASK: 0xc, SHST_COMPLETE: 0x8 } as const;

/** Sizes of queue entries, log2: 64-byte commands, 16-byte completions. §4.2, §4.6. */
export const SQES = 6;
export const CQES = 4;

/** What the CAP register tells of a controller. §3.1.1. */
export interface CapFields {
  /** Entries in the largest I/O queue. */
  maxQueueEntries: number;
  /** Doorbells lie 4 << this bytes apart. */
  doorbellStride: number;
  /** Largest memory page is 4096 << this bytes. */
  mpsMax: number;
}

/** CAP as [low, high]: contiguous queues required, 7.5 s to become ready, NVM command set, 4-KiB pages and up. */
export function capWords(c: CapFields): [number, number] {
  const lo = (c.maxQueueEntries - 1) | (1 << 16) | (0x0f << 24);
  const hi = c.doorbellStride | (1 << 5) | (c.mpsMax << 20);
  return [lo, hi];
}
