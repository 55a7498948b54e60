import { writeLe } from '../../../core/index.ts';
import { ALL_NAMESPACES } from './commands.ts';
import { type Context, dataOut, type Request } from './context.ts';
import type { Namespace } from './namespace.ts';
import { CQES, SQES, VERSION } from './registers.ts';
import { STATUS } from './status.ts';

/** Warning and critical composite temperature in kelvin: 70 °C and 80 °C. */
export const WARNING_TEMPERATURE = 343;
const CRITICAL_TEMPERATURE = 353;

/** Identify returns 4 KiB whatever is asked for. NVMe 1.4 §5.15. */
const SIZE = 4096;

/** Identify; CNS values of optional features are refused. NVMe 1.4 §5.15.1. */
export function identify(ctx: Context, req: Request): number {
  const page = new Uint8Array(SIZE);
  const { namespaces } = ctx.shape;
  const present = req.nsid >= 1 && req.nsid <= namespaces.length;
  switch (req.cdw[10] & 0xff) {
    case 0x00:
      if (!present) return STATUS.invalidNamespaceOrFormat;
      fillNamespace(page, namespaces[req.nsid - 1]);
      page.set(eui64(ctx, req.nsid), 120);
      break;
    case 0x01:
      fillController(ctx, page);
      break;
    case 0x02:
      if (req.nsid >= ALL_NAMESPACES - 1) return STATUS.invalidNamespaceOrFormat;
      for (let id = req.nsid + 1, at = 0; id <= namespaces.length && at < SIZE; id++, at += 4) writeLe(page, at, 4, id);
      break;
    case 0x03:
      if (!present) return STATUS.invalidNamespaceOrFormat;
      page[0] = 0x01; // one descriptor: EUI-64, eight bytes
      page[1] = 8;
      page.set(eui64(ctx, req.nsid), 4);
      break;
    default:
      return STATUS.invalidFieldInCommand;
  }
  return dataOut(ctx, req, page);
}

/** Identify Controller data structure. NVMe 1.4 §5.15.2.2. */
function fillController(ctx: Context, p: Uint8Array): void {
  const { shape, host } = ctx;
  writeLe(p, 0, 2, host.vendorId);
  writeLe(p, 2, 2, host.subsystemVendorId);
  writeText(p, 4, 20, shape.serial);
  writeText(p, 24, 40, shape.model);
  writeText(p, 64, 8, shape.firmware);
  p[77] = shape.mdts;
  writeLe(p, 80, 4, VERSION);
  p[111] = 1; // CNTRLTYPE: I/O controller
  p[258] = 3; // ACL: four Abort commands at a time
  p[259] = shape.asyncEventRequests - 1; // AERL
  p[260] = 0x03; // FRMW: one firmware slot, read-only
  p[261] = 0x06; // LPA: commands supported and effects log, extended log page data
  p[262] = shape.errorLogEntries - 1; // ELPE
  writeLe(p, 266, 2, WARNING_TEMPERATURE);
  writeLe(p, 268, 2, CRITICAL_TEMPERATURE);
  p[512] = (SQES << 4) | SQES;
  p[513] = (CQES << 4) | CQES;
  writeLe(p, 516, 4, shape.namespaces.length); // NN
  writeLe(p, 520, 2, 0x1d); // ONCS: compare, dataset management, write zeroes, save/select in features
  p[525] = 0x07; // VWC: present, Flush takes all namespaces
  writeLe(p, 536, 4, 0x0004_0001); // SGLS: any alignment, lists may be longer than the data
  const nqn = `nqn.2014-08.org.nvmexpress:uuid:${uuid(shape.serial)}`;
  for (let i = 0; i < nqn.length; i++) p[768 + i] = nqn.charCodeAt(i); // SUBNQN, UTF-8, zero-terminated
  writeLe(p, 2048, 2, 2500); // power state 0: 25 W, in centiwatts
}

/** Identify Namespace data structure. NVMe 1.4 §5.15.2.1. */
function fillNamespace(p: Uint8Array, ns: Namespace): void {
  for (const field of [0, 8, 16]) {
    // NSZE, NCAP, NUSE: without thin provisioning all three are equal
    writeLe(p, field, 4, ns.blockCount % 0x1_0000_0000);
    writeLe(p, field + 4, 4, Math.floor(ns.blockCount / 0x1_0000_0000));
  }
  // DLFEAT: what was deallocated reads zero, and Write Zeroes may deallocate
  p[33] = ns.deallocate ? 0x09 : 0;
  p[128 + 2] = ns.blockSizeLog2; // LBA format 0: no metadata
}

/** Follows from serial number and namespace; the OUI is a locally administered one. */
function eui64(ctx: Context, nsid: number): Uint8Array {
  const hash = hashText(ctx.shape.serial, 0);
  return Uint8Array.of(0x02, 0x50, 0x4c, hash >>> 24, hash >>> 16, hash >>> 8, nsid >>> 8, nsid);
}

/** A version 8 (custom) UUID that follows from the serial number. RFC 9562 §5.8. */
function uuid(serial: string): string {
  const h = [1, 2, 3, 4].map((seed) => hashText(serial, seed).toString(16).padStart(8, '0')).join('');
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-8${h.slice(13, 16)}-8${h.slice(17, 20)}-${h.slice(20)}`;
}

/** FNV-1a of the seed and the text, unsigned. */
function hashText(text: string, seed: number): number {
  let hash = Math.imul(0x811c9dc5 ^ seed, 0x01000193);
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** ASCII, padded with spaces. NVMe 1.4 §1.5 (ASCII strings). */
function writeText(p: Uint8Array, at: number, length: number, text: string): void {
  for (let i = 0; i < length; i++) p[at + i] = i < text.length ? text.charCodeAt(i) : 0x20;
}
