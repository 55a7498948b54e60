import { fieldMask, fieldValue, type Register, reg, whole } from '../../../core/index.ts';

/**
 * Controller registers in BAR 0, NVMe 1.4 §3.1, 64-bit ones as two words. What is not listed up to the doorbells is
 * reserved, or belongs to a feature this controller lacks (NSSR with CAP.NSSRS = 0, controller memory buffer, boot
 * partitions, persistent memory region): it reads zero and ignores writes.
 */

/** §3.1.1 */
export const CAP = reg('nvme.cap', 0x00, 4, {
  mqes: { at: 0, width: 16, access: 'ro' }, // entries of the largest I/O queue − 1
  cqr: { at: 16, access: 'ro' }, // queues are physically contiguous
  ams: { at: 17, width: 2, access: 'ro' },
  to: { at: 24, width: 8, access: 'ro' }, // × 500 ms
});
export const CAP_HI = reg('nvme.cap.hi', 0x04, 4, {
  dstrd: { at: 0, width: 4, access: 'ro' },
  nssrs: { at: 4, access: 'ro' },
  css: { at: 5, width: 8, access: 'ro' },
  bps: { at: 13, access: 'ro' },
  mpsmin: { at: 16, width: 4, access: 'ro' },
  mpsmax: { at: 20, width: 4, access: 'ro' },
  pmrs: { at: 24, access: 'ro' },
  cmbs: { at: 25, access: 'ro' },
});
/** §3.1.2 */
export const VS = reg('nvme.vs', 0x08, 4, {
  ter: { at: 0, width: 8, access: 'ro' },
  mnr: { at: 8, width: 8, access: 'ro' },
  mjr: { at: 16, width: 16, access: 'ro' },
});
/** §3.1.3, a written 1 sets the bit; §3.1.4, a written 1 clears it. Both read as the mask. */
export const INTMS = whole('nvme.intms', 0x0c, 4, 'rw');
export const INTMC = whole('nvme.intmc', 0x10, 4, 'rw');
/** §3.1.5 */
export const CC = reg('nvme.cc', 0x14, 4, {
  en: { at: 0, access: 'rw' },
  css: { at: 4, width: 3, access: 'rw' },
  mps: { at: 7, width: 4, access: 'rw' }, // memory pages are 4096 << this bytes
  ams: { at: 11, width: 3, access: 'rw' },
  shn: { at: 14, width: 2, access: 'rw' },
  iosqes: { at: 16, width: 4, access: 'rw' },
  iocqes: { at: 20, width: 4, access: 'rw' },
});
/** §3.1.6. NSSRO never sets, so there is nothing for a written 1 to clear. */
export const CSTS = reg('nvme.csts', 0x1c, 4, {
  rdy: { at: 0, access: 'ro' },
  cfs: { at: 1, access: 'ro' },
  shst: { at: 2, width: 2, access: 'ro' },
  nssro: { at: 4, access: 'ro' },
  pp: { at: 5, access: 'ro' },
});
/** §3.1.8 */
export const AQA = reg('nvme.aqa', 0x24, 4, {
  asqs: { at: 0, width: 12, access: 'rw' }, // entries − 1, as acqs
  acqs: { at: 16, width: 12, access: 'rw' },
});
/** §3.1.9, §3.1.10 */
export const ASQ = reg('nvme.asq', 0x28, 4, { page: { at: 12, width: 20, access: 'rw' } });
export const ASQ_HI = whole('nvme.asq.hi', 0x2c, 4, 'rw');
export const ACQ = reg('nvme.acq', 0x30, 4, { page: { at: 12, width: 20, access: 'rw' } });
export const ACQ_HI = whole('nvme.acq.hi', 0x34, 4, 'rw');

export const REGISTERS: readonly Register[] = [
  ...[CAP, CAP_HI, VS, INTMS, INTMC, CC, CSTS, AQA],
  ...[ASQ, ASQ_HI, ACQ, ACQ_HI],
];

/** Bits of CC that may only change while CC.EN = 0, §3.1.5; changing them later is undefined, here they stay. */
export const CC_LOCKED = fieldMask(CC.fields.css) | fieldMask(CC.fields.mps) | fieldMask(CC.fields.ams);

/** Registers that keep their value when CC.EN is cleared, §7.3.2. */
export const KEPT: ReadonlySet<Register> = new Set([AQA, ASQ, ASQ_HI, ACQ, ACQ_HI]);

/** 32-bit words of register state; everything from here to the doorbells reads zero. */
export const REGISTER_WORDS = 0x40 >> 2;

/** Byte offset of the first doorbell (Admin Submission Queue tail). §3.1.24. */
export const DOORBELLS = 0x1000;

/** Revision 1.4. */
export const VERSION = 0x0001_0400;

/** CSTS.SHST: shutdown processing complete. */
export const SHST_COMPLETE = 2;

/** Sizes of queue entries, log2: 64-byte commands, 16-byte completions. §4.2, §4.6. */
export const SQES = 6;
export const CQES = 4;

/** Index of a register in the state's words. */
export const word = (register: Register) => register.offset >> 2;

/** A field of CC or CSTS. */
export const ccField = (name: string, cc: number) => fieldValue(CC.fields[name], cc);
export const RDY = fieldMask(CSTS.fields.rdy);
export const CFS = fieldMask(CSTS.fields.cfs);
export const SHST = fieldMask(CSTS.fields.shst);

/** What CAP tells of a controller. */
export interface CapFields {
  /** Entries in the largest I/O queue. */
  maxQueueEntries: number;
  /** Doorbells lie 4 << this bytes apart. */
  doorbellStride: number;
  /** Largest memory page is 4096 << this bytes. */
  mpsMax: number;
}

/** CAP as [low, high]: contiguous queues only, 7.5 s to become ready, NVM command set, pages of 4 KiB and up. */
export function capWords(c: CapFields): [number, number] {
  const lo = (c.maxQueueEntries - 1) | fieldMask(CAP.fields.cqr) | (15 << CAP.fields.to.at);
  const hi = c.doorbellStride | (1 << CAP_HI.fields.css.at) | (c.mpsMax << CAP_HI.fields.mpsmax.at);
  return [lo, hi];
}
