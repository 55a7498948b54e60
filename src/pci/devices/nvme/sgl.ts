import { readLe } from '../../../core/index.ts';
import type { HostMemory } from './host.ts';
import { address64, type Segment } from './prp.ts';
import { STATUS } from './status.ts';

/** SGL descriptor types with subtype 0 (an address), as they stand in the descriptor's last byte. NVMe 1.4 §4.4. */
const DATA_BLOCK = 0x00;
const SEGMENT = 0x20;
const LAST_SEGMENT = 0x30;

/** Descriptors that one command may use; a list that leads nowhere ends here. */
const MAX_DESCRIPTORS = 4096;

/**
 * Resolves a command's scatter gather list into the host memory it describes, in order, or an error status. The
 * command's own descriptor is the data, or points to a segment of descriptors, whose last one may point to the next.
 * A list that is longer than the transfer is cut off (Identify Controller, SGLS bit 18). NVMe 1.4 §4.4.
 */
export function resolveSgl(memory: HostMemory, own: Uint8Array, length: number): Segment[] | number {
  const found: Segment[] = [];
  let left = length;
  let descriptors = own;
  let mayEnd = true; // a segment that is not the last one ends with a pointer; the command's own descriptor may be data
  let mayPoint = true;
  let used = 0;
  for (;;) {
    const count = descriptors.length >> 4;
    used += count;
    let next: { at: number; length: number; type: number } | undefined;
    for (let i = 0; i < count && left > 0; i++) {
      const type = descriptors[16 * i + 15];
      const address = address64(readLe(descriptors, 16 * i, 4), readLe(descriptors, 16 * i + 4, 4));
      const bytes = readLe(descriptors, 16 * i + 8, 4);
      if (type === DATA_BLOCK) {
        const part = Math.min(bytes, left);
        if (part > 0) found.push({ address, length: part });
        left -= part;
      } else if (type === SEGMENT || type === LAST_SEGMENT) {
        if (!mayPoint || bytes === 0 || bytes & 15) return STATUS.invalidSglSegmentDescriptor;
        if (i !== count - 1 || used + (bytes >>> 4) > MAX_DESCRIPTORS) return STATUS.invalidNumberOfSglDescriptors;
        next = { at: address, length: bytes, type };
      } else return STATUS.sglDescriptorTypeInvalid;
    }
    if (left === 0) return found;
    if (!next) return mayEnd ? STATUS.dataSglLengthInvalid : STATUS.invalidSglSegmentDescriptor;
    const bytes = memory.read(next.at, next.length);
    if (!bytes) return STATUS.dataTransferError;
    descriptors = bytes;
    mayPoint = next.type === SEGMENT;
    mayEnd = !mayPoint;
  }
}
