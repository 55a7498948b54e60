import { readLe } from '../../../core/index.ts';
import { ALL_NAMESPACES, NVM } from './commands.ts';
import { type Context, dataIn, dataOut, maxTransfer, type Request } from './context.ts';
import { writeCacheEnabled } from './features.ts';
import type { Namespace } from './namespace.ts';
import { COUNTER } from './state.ts';
import { STATUS } from './status.ts';

type Handler = (ctx: Context, req: Request, ns: Namespace) => number;

const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [NVM.write, write],
  [NVM.read, read],
  [NVM.compare, compare],
  [NVM.writeZeroes, writeZeroes],
  [NVM.datasetManagement, datasetManagement],
]);

/** Executes an I/O command. NVMe 1.4 §6. */
export function executeNvm(ctx: Context, req: Request): number {
  if (req.opcode === NVM.flush) return flush(ctx, req);
  const handler = HANDLERS.get(req.opcode);
  if (!handler) return STATUS.invalidCommandOpcode;
  // the broadcast value is a valid identifier that these commands do not support: §4.2, NSID
  if (req.nsid === ALL_NAMESPACES) return STATUS.invalidFieldInCommand;
  const ns = ctx.shape.namespaces[req.nsid - 1];
  return ns ? handler(ctx, req, ns) : STATUS.invalidNamespaceOrFormat;
}

/** Blocks a command names, in bytes; or the status if they are not all there. */
function blocks(
  ns: Namespace,
  lbaLo: number,
  lbaHi: number,
  count: number,
): { offset: number; length: number } | number {
  const first = lbaHi * 0x1_0000_0000 + lbaLo;
  // beyond 2^53 `first` is rounded, but then far outside any namespace
  if (first + count > ns.blockCount) return STATUS.lbaOutOfRange;
  return { offset: first * 2 ** ns.blockSizeLog2, length: count * 2 ** ns.blockSizeLog2 };
}

/** Starting LBA in dwords 10 and 11, number of blocks − 1 in the low half of dword 12. */
function commandBlocks({ cdw }: Request, ns: Namespace) {
  return blocks(ns, cdw[10], cdw[11], (cdw[12] & 0xffff) + 1);
}

/** Read, §6.9. */
function read(ctx: Context, req: Request, ns: Namespace): number {
  const range = transferRange(ctx, req, ns);
  if (typeof range === 'number') return range;
  const data = new Uint8Array(range.length);
  if (!ns.read(range.offset, data)) return STATUS.unrecoveredReadError;
  const status = dataOut(ctx, req, data);
  if (status === STATUS.success) {
    ctx.state.count(COUNTER.READS, 1);
    ctx.state.count(COUNTER.SECTORS_READ, range.length >> 9);
  }
  return status;
}

/** Write, §6.15. Durable at completion with Force Unit Access or without the volatile write cache. */
function write(ctx: Context, req: Request, ns: Namespace): number {
  const range = transferRange(ctx, req, ns);
  if (typeof range === 'number') return range;
  const data = dataIn(ctx, req, range.length);
  if (typeof data === 'number') return data;
  if (!ns.write(range.offset, data) || !settle(ctx, req, ns)) return STATUS.writeFault;
  ctx.state.count(COUNTER.WRITES, 1);
  ctx.state.count(COUNTER.SECTORS_WRITTEN, range.length >> 9);
  return STATUS.success;
}

/** Compare, §6.6. */
function compare(ctx: Context, req: Request, ns: Namespace): number {
  const range = transferRange(ctx, req, ns);
  if (typeof range === 'number') return range;
  const data = dataIn(ctx, req, range.length);
  if (typeof data === 'number') return data;
  const held = new Uint8Array(range.length);
  if (!ns.read(range.offset, held)) return STATUS.unrecoveredReadError;
  ctx.state.count(COUNTER.READS, 1);
  return held.every((byte, i) => byte === data[i]) ? STATUS.success : STATUS.compareFailure;
}

/** Write Zeroes, §6.17; Deallocate (dword 12 bit 25) asks for what happens anyway where it can. */
function writeZeroes(ctx: Context, req: Request, ns: Namespace): number {
  const range = commandBlocks(req, ns);
  if (typeof range === 'number') return range;
  if (!ns.writeZeroes(range.offset, range.length) || !settle(ctx, req, ns)) return STATUS.writeFault;
  ctx.state.count(COUNTER.WRITES, 1);
  return STATUS.success;
}

/** Dataset Management, §6.7: deallocates all ranges or, if one is out of bounds, none; other attributes are hints. */
function datasetManagement(ctx: Context, req: Request, ns: Namespace): number {
  const count = (req.cdw[10] & 0xff) + 1;
  const list = dataIn(ctx, req, count * 16);
  if (typeof list === 'number') return list;
  const deallocate = (req.cdw[11] & 4) !== 0;
  if (!deallocate) return STATUS.success;
  const ranges: { offset: number; length: number }[] = [];
  for (let at = 0; at < list.length; at += 16) {
    const range = blocks(ns, readLe(list, at + 8, 4), readLe(list, at + 12, 4), readLe(list, at + 4, 4));
    if (typeof range === 'number') return range;
    ranges.push(range);
  }
  // no block twice, however the ranges overlap: the work is bounded by what the namespace holds
  let done = 0;
  for (const { offset, length } of ranges.sort((a, b) => a.offset - b.offset)) {
    const from = Math.max(offset, done);
    const end = offset + length;
    if (end <= from) continue;
    if (ns.deallocate && !ns.deallocate(from, end - from)) return STATUS.writeFault;
    done = end;
  }
  return STATUS.success;
}

/** Flush, §6.8, of one namespace or all. */
function flush(ctx: Context, req: Request): number {
  const { namespaces } = ctx.shape;
  const chosen = req.nsid === ALL_NAMESPACES ? namespaces : namespaces.slice(req.nsid - 1, req.nsid);
  if (req.nsid === 0 || (chosen.length === 0 && req.nsid !== ALL_NAMESPACES)) return STATUS.invalidNamespaceOrFormat;
  // every namespace is flushed even if one fails
  return chosen.map((ns) => ns.flush()).every(Boolean) ? STATUS.success : STATUS.internalError;
}

/** The blocks of a command that transfers them, within the maximum data transfer size (MDTS, §5.15.2.2). */
function transferRange(ctx: Context, req: Request, ns: Namespace) {
  const length = ((req.cdw[12] & 0xffff) + 1) * 2 ** ns.blockSizeLog2;
  return length > maxTransfer(ctx) ? STATUS.invalidFieldInCommand : commandBlocks(req, ns);
}

/** Force Unit Access, or no write cache: flush before completion. */
function settle(ctx: Context, req: Request, ns: Namespace): boolean {
  const fua = (req.cdw[12] & 0x40000000) !== 0;
  return fua || !writeCacheEnabled(ctx) ? ns.flush() : true;
}
