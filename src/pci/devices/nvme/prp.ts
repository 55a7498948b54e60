import { readLe } from '../../../core/index.ts';
import type { HostMemory } from './host.ts';
import { STATUS } from './status.ts';

/** A 64-bit address as a number; exact below 2^53, and anything from there on cannot be reached anyway. */
export function address64(lo: number, hi: number): number {
  return (hi >>> 0) * 0x1_0000_0000 + (lo >>> 0);
}

/** A run of host memory. */
export interface Segment {
  address: number;
  length: number;
}

/**
 * Resolves a command's PRP entries into the host memory they describe, in order, or an error status. NVMe 1.4 §4.3:
 *
 * - PRP1 may have a dword-aligned offset into its page; every later entry's offset is zero.
 * - PRP2 is unused, the second entry, or the address of a list, by how many pages the transfer touches.
 * - A list starts qword-aligned anywhere in a page and runs to the page's end, where, if more than one page of data
 *   is left, the last slot points to the next list page instead of data.
 *
 * Every slot but such a pointer consumes a page of data and a pointer leads to a page start with room for at least two
 * slots, so the walk is bounded by `length` whatever the list says.
 */
export function resolvePrps(
  memory: HostMemory,
  pageSize: number,
  prp: { lo1: number; hi1: number; lo2: number; hi2: number },
  length: number,
): Segment[] | number {
  const offsetMask = pageSize - 1;
  if (prp.lo1 & 3) return STATUS.prpOffsetInvalid;
  const first = Math.min(length, pageSize - (prp.lo1 & offsetMask));
  const segments: Segment[] = [{ address: address64(prp.lo1, prp.hi1), length: first }];
  let left = length - first;
  if (left === 0) return segments;
  if (left <= pageSize) {
    if (prp.lo2 & offsetMask) return STATUS.prpOffsetInvalid;
    append(segments, address64(prp.lo2, prp.hi2), left);
    return segments;
  }
  if (prp.lo2 & 7) return STATUS.prpOffsetInvalid;
  let list = address64(prp.lo2, prp.hi2);
  let slots = (pageSize - (prp.lo2 & offsetMask)) >> 3;
  while (left > 0) {
    const wanted = Math.ceil(left / pageSize);
    const chained = wanted > slots;
    const count = chained ? slots : wanted;
    const entries = memory.read(list, count * 8);
    if (!entries) return STATUS.dataTransferError;
    for (let i = 0; i < count; i++) {
      const lo = readLe(entries, i * 8, 4);
      if (lo & offsetMask) return STATUS.prpOffsetInvalid;
      const address = address64(lo, readLe(entries, i * 8 + 4, 4));
      if (chained && i === count - 1) {
        list = address;
        slots = pageSize >> 3;
        break;
      }
      const part = Math.min(left, pageSize);
      append(segments, address, part);
      left -= part;
    }
  }
  return segments;
}

/** Pages that follow on each other become one run: each run is a transfer of its own, which may be a message. */
function append(segments: Segment[], address: number, length: number): void {
  const last = segments[segments.length - 1];
  if (address === last.address + last.length) last.length += length;
  else segments.push({ address, length });
}
