import type { HostMemory, NvmeHost } from './host.ts';
import type { NvmeShape } from './options.ts';
import { resolvePrps } from './prp.ts';
import { CC, CFS, CSTS, ccField, word } from './registers.ts';
import { resolveSgl } from './sgl.ts';
import { ERR, type NvmeState, VAR } from './state.ts';
import { STATUS } from './status.ts';

/** What command handlers work on: a controller's shape, its state and the way to host memory. */
export interface Context {
  readonly shape: NvmeShape;
  readonly state: NvmeState;
  readonly host: NvmeHost;
  readonly memory: HostMemory;
  /** Vectors the function can ever have, which bounds per-vector state. */
  readonly vectors: number;
}

/** A command as fetched. NVMe 1.4 §4.2. */
export interface Request {
  sqid: number;
  opcode: number;
  cid: number;
  nsid: number;
  /** The sixteen command dwords, unsigned. */
  cdw: Uint32Array;
  /** Dword 0 of the completion. */
  result: number;
}

export function decodeRequest(sqid: number, entry: Uint8Array): Request {
  const cdw = new Uint32Array(16);
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  for (let i = 0; i < 16; i++) cdw[i] = view.getUint32(i * 4, true);
  return { sqid, opcode: cdw[0] & 0xff, cid: cdw[0] >>> 16, nsid: cdw[1], cdw, result: 0 };
}

export function pageSize(ctx: Context): number {
  return 4096 << ccField('mps', ctx.state.registers[word(CC)]);
}

/** Fatal: the controller stops until it is reset. NVMe 1.4 §9.5. */
export function fail(ctx: Context): void {
  ctx.state.registers[word(CSTS)] |= CFS;
}

/** Fetches `length` bytes of command data from the host, or gives an error status. */
export function dataIn(ctx: Context, req: Request, length: number): Uint8Array | number {
  const segments = commandSegments(ctx, req, length);
  if (typeof segments === 'number') return segments;
  const data = new Uint8Array(length);
  let at = 0;
  for (const { address, length: part } of segments) {
    const bytes = ctx.memory.read(address, part);
    if (!bytes) return STATUS.dataTransferError;
    data.set(bytes, at);
    at += part;
  }
  return data;
}

/** Delivers command data to the host; the status of the command so far. */
export function dataOut(ctx: Context, req: Request, data: Uint8Array): number {
  const segments = commandSegments(ctx, req, data.length);
  if (typeof segments === 'number') return segments;
  let at = 0;
  for (const { address, length } of segments) {
    if (!ctx.memory.write(address, data.subarray(at, at + length))) return STATUS.dataTransferError;
    at += length;
  }
  return STATUS.success;
}

/** Longest transfer of one command in bytes. NVMe 1.4 §5.15.2.2, MDTS. */
export function maxTransfer(ctx: Context): number {
  return 4096 << ctx.shape.mdts;
}

/** PRP or SGL for Data Transfer of a command: 0 PRPs, 1 and 2 an SGL, 3 reserved. NVMe 1.4 §4.2. */
export function psdt(req: Request): number {
  return (req.cdw[0] >>> 14) & 3;
}

function commandSegments(ctx: Context, req: Request, length: number) {
  if (psdt(req) !== 0) {
    const dwords = req.cdw.slice(6, 10);
    return resolveSgl(ctx.memory, new Uint8Array(dwords.buffer), length);
  }
  const [lo1, hi1, lo2, hi2] = req.cdw.subarray(6, 10);
  return resolvePrps(ctx.memory, pageSize(ctx), { lo1, hi1, lo2, hi2 }, length);
}

/** Queue and command identifier of an error that belongs to no command. NVMe 1.4 §5.14.1.1. */
export const NO_COMMAND = 0xffffffff;

/** Appends to the Error Information log. `queue` is submission queue | command identifier << 16. */
export function logError(ctx: Context, queue: number, field: number, nsid = 0, lbaLo = 0, lbaHi = 0): void {
  const { errors, vars } = ctx.state;
  const at = (vars[VAR.ERRORS] % ctx.shape.errorLogEntries) * ERR.WORDS;
  vars[VAR.ERRORS] = (vars[VAR.ERRORS] + 1) & 0x7fffffff;
  errors[at + ERR.COUNT] = vars[VAR.ERRORS];
  errors[at + ERR.QUEUE] = queue;
  errors[at + ERR.STATUS] = field;
  errors[at + ERR.LBA_LO] = lbaLo;
  errors[at + ERR.LBA_HI] = lbaHi;
  errors[at + ERR.NSID] = nsid;
}
