import { readLe } from '../../core/index.ts';

/** One capability found by following the pointers of an image. */
export interface CapabilityAt {
  offset: number;
  id: number;
  /** The pointer to the next one as stored, low bits included. */
  next: number;
  extended: boolean;
  /** Capability version of an extended capability, else 0. */
  version: number;
}

/** Why a walk ended: at a null pointer, or on something that cannot be followed. */
export type WalkEnd =
  | { kind: 'end' }
  | { kind: 'loop'; at: number; to: number }
  | { kind: 'below'; at: number; to: number }
  | { kind: 'beyond'; at: number; to: number }
  | { kind: 'ones'; at: number; to: number };

export interface CapabilityWalk {
  capabilities: CapabilityAt[];
  end: WalkEnd;
}

const STATUS = 0x06;
const STATUS_CAP_LIST = 0x10;

/** Header layout: 0 endpoint, 1 bridge, 2 CardBus; bit 7 (multi-function) removed. */
export function headerLayout(image: Uint8Array): number {
  return image[0x0e] & 0x7f;
}

/** Offset of the capabilities pointer in the header: 14h in a CardBus bridge, else 34h. */
export function capabilityPointerAt(image: Uint8Array): number {
  return headerLayout(image) === 2 ? 0x14 : 0x34;
}

/** Follows the conventional list. Bounded by the 48 dwords that a list can hold. PCI 3.0 §6.7. */
export function walkCapabilities(image: Uint8Array): CapabilityWalk {
  const capabilities: CapabilityAt[] = [];
  const size = Math.min(image.length, 256);
  if (headerLayout(image) > 2 || !(readLe(image, STATUS, 2) & STATUS_CAP_LIST))
    return { capabilities, end: { kind: 'end' } };
  const seen = new Set<number>();
  let from = capabilityPointerAt(image);
  let offset = image[from] & ~3;
  while (offset !== 0) {
    if (seen.has(offset)) return { capabilities, end: { kind: 'loop', at: from, to: offset } };
    if (offset < 0x40) return { capabilities, end: { kind: 'below', at: from, to: offset } };
    if (offset + 4 > size) return { capabilities, end: { kind: 'beyond', at: from, to: offset } };
    if (image[offset] === 0xff) return { capabilities, end: { kind: 'ones', at: from, to: offset } };
    seen.add(offset);
    capabilities.push({ offset, id: image[offset], next: image[offset + 1], extended: false, version: 0 });
    from = offset + 1;
    offset = image[offset + 1] & ~3;
  }
  return { capabilities, end: { kind: 'end' } };
}

/** Follows the list from 100h. Bounded by the 960 dwords of extended space. PCIe 5.0 §7.6. */
export function walkExtendedCapabilities(image: Uint8Array): CapabilityWalk {
  const capabilities: CapabilityAt[] = [];
  const seen = new Set<number>();
  let from = 0x100;
  let offset = 0x100;
  if (image.length < 0x104) return { capabilities, end: { kind: 'end' } };
  do {
    if (seen.has(offset)) return { capabilities, end: { kind: 'loop', at: from, to: offset } };
    if (offset < 0x100) return { capabilities, end: { kind: 'below', at: from, to: offset } };
    if (offset + 4 > image.length) return { capabilities, end: { kind: 'beyond', at: from, to: offset } };
    const header = readLe(image, offset, 4);
    if (header === 0) break;
    if (header === 0xffffffff) return { capabilities, end: { kind: 'ones', at: from, to: offset } };
    seen.add(offset);
    const next = header >>> 20;
    capabilities.push({ offset, id: header & 0xffff, next, extended: true, version: (header >> 16) & 15 });
    from = offset;
    offset = next & ~3;
  } while (offset !== 0);
  return { capabilities, end: { kind: 'end' } };
}

/** First conventional capability of that id whose first `length` bytes are in the image. */
export function findCapability(image: Uint8Array, id: number, length = 4): number | undefined {
  return walkCapabilities(image).capabilities.find((c) => c.id === id && c.offset + length <= image.length)?.offset;
}

export interface MsixGeometry {
  offset: number;
  enabled: boolean;
  functionMask: boolean;
  /** Entries in the table, 1 to 2048. */
  vectors: number;
  tableBar: number;
  tableOffset: number;
  tableBytes: number;
  pbaBar: number;
  pbaOffset: number;
  pbaBytes: number;
}

/** The MSI-X capability in numbers (PCIe 5.0 §7.7.2); undefined without one. */
export function msixGeometry(image: Uint8Array): MsixGeometry | undefined {
  const offset = findCapability(image, 0x11, 12);
  if (offset === undefined) return undefined;
  const control = readLe(image, offset + 2, 2);
  const table = readLe(image, offset + 4, 4);
  const pba = readLe(image, offset + 8, 4);
  const vectors = (control & 0x7ff) + 1;
  return {
    offset,
    enabled: (control & 0x8000) !== 0,
    functionMask: (control & 0x4000) !== 0,
    vectors,
    tableBar: table & 7,
    tableOffset: (table & ~7) >>> 0,
    tableBytes: vectors * 16,
    pbaBar: pba & 7,
    pbaOffset: (pba & ~7) >>> 0,
    pbaBytes: Math.ceil(vectors / 64) * 8,
  };
}

export interface MsiGeometry {
  offset: number;
  enabled: boolean;
  /** Messages offered (1 << MMC) and granted (1 << MME), as stored: reserved encodings give 64 and 128. */
  offered: number;
  granted: number;
  is64: boolean;
  maskable: boolean;
}

/** The MSI capability in numbers (PCI 3.0 §6.8.1); undefined without one. */
export function msiGeometry(image: Uint8Array): MsiGeometry | undefined {
  const offset = findCapability(image, 0x05, 4);
  if (offset === undefined) return undefined;
  const control = readLe(image, offset + 2, 2);
  return {
    offset,
    enabled: (control & 1) !== 0,
    offered: 1 << ((control >> 1) & 7),
    granted: 1 << ((control >> 4) & 7),
    is64: (control & 0x80) !== 0,
    maskable: (control & 0x100) !== 0,
  };
}
