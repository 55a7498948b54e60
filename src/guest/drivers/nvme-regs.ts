/** Controller registers in BAR 0; 64-bit ones are accessed as two halves, low first. NVMe 1.4 §3.1 */
export const NVME = {
  cap: 0x00,
  vs: 0x08,
  cc: 0x14,
  csts: 0x1c,
  aqa: 0x24,
  asq: 0x28,
  acq: 0x30,
  crto: 0x68,
  doorbells: 0x1000,
} as const;

/** Capability fields: the first three in the low half, the others in the high half. NVMe 1.4 §3.1.1, 2.0 §3.1.3.1 */
export const CAP = { mqes: 0xffff, timeoutShift: 24, nssrs: 1 << 4, dstrd: 0xf, crwms: 1 << 27 } as const;
export const CSTS = { rdy: 1, cfs: 2, shst: 0xc, shutdownComplete: 0x8, nssro: 0x10, gone: 0xffffffff } as const;

/** Entries of 64 and 16 bytes, pages of 4 KiB, round robin; with EN, and with a normal shutdown asked for. */
export const CC = { off: 0, configured: 0x00460000, enabled: 0x00460001, shutdown: 0x00464001 } as const;

export const OPCODE = {
  deleteSq: 0x00,
  createSq: 0x01,
  read: 0x02,
  deleteCq: 0x04,
  createCq: 0x05,
  identify: 0x06,
  setFeatures: 0x09,
} as const;
export const FEATURE_QUEUES = 7;
export const CNS_CONTROLLER = 1;

const SQ_MEDIUM_PRIORITY = 0x4;
const CONTIGUOUS = 0x1;
const IRQ_ENABLED = 0x2;

export const SQ_ENTRY_BYTES = 64;
export const CQ_ENTRY_BYTES = 16;

/** A command without its identifier: 16 words. `prp1` is a guest-physical address below 2^53. NVMe 1.4 §4.2 */
export function command(
  opcode: number,
  fields: { nsid?: number; prp1?: number; cdw10?: number; cdw11?: number; cdw12?: number } = {},
): number[] {
  const words = new Array<number>(16).fill(0);
  const prp1 = fields.prp1 ?? 0;
  words[0] = opcode;
  words[1] = fields.nsid ?? 0;
  words[6] = prp1 >>> 0;
  words[7] = Math.floor(prp1 / 2 ** 32);
  words[10] = (fields.cdw10 ?? 0) >>> 0;
  words[11] = (fields.cdw11 ?? 0) >>> 0;
  words[12] = (fields.cdw12 ?? 0) >>> 0;
  return words;
}

/** Create I/O Completion Queue: contiguous, interrupting on `vector`. NVMe 1.4 §5.3 */
export function createCq(queue: number, depth: number, address: number, vector: number): number[] {
  return command(OPCODE.createCq, {
    prp1: address,
    cdw10: queue | ((depth - 1) << 16),
    cdw11: (vector << 16) | IRQ_ENABLED | CONTIGUOUS,
  });
}

/** Create I/O Submission Queue, completing to the queue of the same number. NVMe 1.4 §5.4 */
export function createSq(queue: number, depth: number, address: number): number[] {
  return command(OPCODE.createSq, {
    prp1: address,
    cdw10: queue | ((depth - 1) << 16),
    cdw11: (queue << 16) | SQ_MEDIUM_PRIORITY | CONTIGUOUS,
  });
}

/** Set Features, number of queues: asks for `count` of each kind. NVMe 1.4 §5.21.1.7 */
export function setQueueCount(count: number): number[] {
  return command(OPCODE.setFeatures, { cdw10: FEATURE_QUEUES, cdw11: (count - 1) | ((count - 1) << 16) });
}
