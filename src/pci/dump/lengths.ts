import { readLe } from '../../core/index.ts';
import { type CapabilityAt, headerLayout } from './capabilities.ts';

/** Bytes of a capability by ID, from the image where its length depends on its content; the least it can have. */
const CONVENTIONAL: Record<number, number | ((image: Uint8Array, at: number) => number)> = {
  1: 8,
  2: 12,
  3: 8,
  4: 4,
  5: msiLength,
  7: (image) => (headerLayout(image) === 1 ? 16 : 8),
  9: (image, at) => Math.max(3, image[at + 2]),
  10: 4,
  12: 8,
  13: 8,
  16: expressLength,
  17: 12,
  18: 8,
  19: 6,
  20: enhancedAllocationLength,
};

const EXTENDED: Record<number, number | ((image: Uint8Array, at: number) => number)> = {
  1: 0x2c,
  2: virtualChannelLength,
  3: 12,
  4: 16,
  11: vendorExtendedLength,
  13: 8,
  14: 8,
  15: 8,
  16: 0x40,
  18: 0x30,
  19: 16,
  21: rebarLength,
  23: 12,
  24: 8,
  25: 12,
  27: 8,
  29: 12,
  30: 16,
  31: 12,
  35: vendorExtendedLength,
  36: rebarLength,
  37: 12,
  38: 0x20,
  39: 8,
  40: 8,
  41: 16,
  42: 0x20,
  46: 24,
};

/** How many bytes a capability takes at least, header included; 4 for one whose layout is not known. */
export function capabilityLength(image: Uint8Array, { offset, id, extended }: CapabilityAt): number {
  const length = (extended ? EXTENDED : CONVENTIONAL)[id] ?? 4;
  return typeof length === 'number' ? length : length(image, offset);
}

/** 10 bytes, 4 more for a 64-bit address, 10 more for masks (2 of them padding). PCI 3.0 §6.8.1. */
function msiLength(image: Uint8Array, at: number): number {
  const control = readLe(image, at + 2, 2);
  return 10 + (control & 0x80 ? 4 : 0) + (control & 0x100 ? 10 : 0);
}

/** Version 1 ends with the last register its type has (PCIe 1.1 §7.8), version 2 has them all. */
function expressLength(image: Uint8Array, at: number): number {
  const flags = readLe(image, at + 2, 2);
  if ((flags & 15) >= 2) return 0x3c;
  const type = (flags >> 4) & 15;
  if (type === 4 || type === 10) return 0x24;
  return type === 9 ? 0x0c : flags & 0x100 ? 0x1c : 0x14;
}

/** PCIe 5.0 §7.8.5: header, in a bridge the bus numbers, then entries of 4 + 4 × ES bytes. */
function enhancedAllocationLength(image: Uint8Array, at: number): number {
  let end = at + (headerLayout(image) === 1 ? 8 : 4);
  for (let entries = image[at + 2] & 63; entries > 0 && end < image.length; entries--) end += 4 + 4 * (image[end] & 7);
  return end - at;
}

/** PCIe 5.0 §7.9.1: 16 bytes and 12 for each virtual channel. */
function virtualChannelLength(image: Uint8Array, at: number): number {
  return at + 8 > image.length ? 4 : 16 + 12 * ((image[at + 4] & 7) + 1);
}

function vendorExtendedLength(image: Uint8Array, at: number): number {
  return at + 8 > image.length ? 8 : Math.max(8, readLe(image, at + 6, 2) >> 4);
}

/** PCIe 5.0 §7.8.6: 8 bytes for each BAR, as the first control register counts them. */
function rebarLength(image: Uint8Array, at: number): number {
  return at + 12 > image.length ? 12 : 4 + 8 * Math.max(1, image[at + 8] >> 5);
}
