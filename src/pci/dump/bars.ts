import { readLe } from '../../core/index.ts';
import type { BarSpec } from '../spec.ts';
import { headerLayout, msixGeometry, walkCapabilities } from './capabilities.ts';

/** What a source tells about a BAR (0–5) or the ROM (6), which it names by number or by address. */
export interface ToldSize {
  bar?: number;
  address?: bigint;
  kind: BarSpec['kind'];
  prefetchable: boolean;
  sizeBytes: number;
}

/** BARs by header layout, and where its ROM register is. PCI 3.0 §6.1, PCI-PCI Bridge 1.2 §3.2, PC Card 8.0 §4.5. */
const LAYOUT_BARS = [6, 2, 1];
const LAYOUT_ROM = [0x30, 0x38, undefined];

const PAGE = 0x1000;
const NVME_CLASS = 0x010802;

/**
 * All BARs of an image. A size comes from `known` where that names the BAR; else it is inferred as the smallest power of
 * two that holds what the image places in the BAR (MSI-X table and PBA, virtio structures, NVMe doorbells) and is usual
 * for its kind: 4 KiB of memory, 32 bytes of I/O, 64 KiB of ROM, less if the address is aligned to less.
 */
export function describeBars(image: Uint8Array, known: ToldSize[]): BarSpec[] {
  const bars: BarSpec[] = [];
  const layout = headerLayout(image);
  const count = LAYOUT_BARS[layout] ?? 0;
  const needs = bytesPlacedInBars(image);
  for (let bar = 0; bar < count; bar++) {
    const decoded = decodeBar(image, bar, count);
    const told = findTold(known, bar, decoded);
    // A register of zeros is no BAR, unless something else says that it is one.
    const kind = decoded?.kind ?? told?.kind ?? (needs[bar] > 0 ? 'mem32' : undefined);
    if (kind === undefined) continue;
    const prefetchable = decoded ? decoded.prefetchable : (told?.prefetchable ?? false);
    bars.push({
      bar,
      kind,
      ...(prefetchable ? { prefetchable } : {}),
      ...(told
        ? { sizeBytes: told.sizeBytes }
        : { sizeBytes: inferSize(kind, decoded?.address ?? 0n, needs[bar]), inferred: true }),
    });
    if (kind === 'mem64') bar++;
  }
  const rom = describeRom(image, LAYOUT_ROM[layout], known);
  if (rom) bars.push(rom);
  return bars;
}

/** The size that is told of a BAR: by its number, else by the address that its register holds. */
export function findTold(known: ToldSize[], bar: number, decoded: DecodedBar | undefined): ToldSize | undefined {
  return (
    known.find((k) => k.bar === bar) ??
    known.find((k) => k.bar === undefined && decoded && decoded.address > 0n && k.address === decoded.address)
  );
}

export interface DecodedBar {
  kind: 'mem32' | 'mem64' | 'io';
  prefetchable: boolean;
  address: bigint;
}

/** What a BAR register says of itself; undefined for zero and for all ones. PCI 3.0 §6.2.5.1. */
export function decodeBar(image: Uint8Array, bar: number, count: number): DecodedBar | undefined {
  const low = readLe(image, 0x10 + 4 * bar, 4);
  if (low === 0 || low === 0xffffffff) return undefined;
  if (low & 1) return { kind: 'io', prefetchable: false, address: BigInt((low & ~3) >>> 0) };
  const is64 = (low & 6) === 4 && bar + 1 < count;
  const high = is64 ? readLe(image, 0x14 + 4 * bar, 4) : 0;
  return {
    kind: is64 ? 'mem64' : 'mem32',
    prefetchable: (low & 8) !== 0,
    address: (BigInt(high) << 32n) | BigInt((low & ~15) >>> 0),
  };
}

function describeRom(image: Uint8Array, at: number | undefined, known: ToldSize[]): BarSpec | undefined {
  if (at === undefined) return undefined;
  const told = known.find((k) => k.bar === 6);
  if (told) return { bar: 6, kind: 'rom', sizeBytes: told.sizeBytes };
  const register = readLe(image, at, 4);
  if (register === 0 || register === 0xffffffff) return undefined;
  const address = BigInt((register & 0xfffff800) >>> 0);
  return { bar: 6, kind: 'rom', sizeBytes: inferSize('rom', address, 0), inferred: true };
}

function inferSize(kind: BarSpec['kind'], address: bigint, needed: number): number {
  const smallest = kind === 'io' ? 4 : kind === 'rom' ? 0x800 : 16;
  let size = kind === 'io' ? 32 : kind === 'rom' ? 0x10000 : PAGE;
  while (size > smallest && address % BigInt(size) !== 0n) size /= 2;
  while (size < needed) size *= 2;
  return size;
}

/** Per BAR, the end of the highest structure that the image says lies in it. */
function bytesPlacedInBars(image: Uint8Array): number[] {
  const ends = [0, 0, 0, 0, 0, 0, 0, 0];
  const place = (bar: number, end: number) => {
    // Beyond 2 GiB it is a damaged register, not a structure.
    if (end <= 0x80000000) ends[bar] = Math.max(ends[bar], end);
  };
  const msix = msixGeometry(image);
  if (msix) {
    place(msix.tableBar, msix.tableOffset + msix.tableBytes);
    place(msix.pbaBar, msix.pbaOffset + msix.pbaBytes);
  }
  if (readLe(image, 0x08, 4) >>> 8 === NVME_CLASS) place(0, 0x1000 + 8 * (msix?.vectors ?? 1)); // NVMe 1.4 §3.1: doorbells
  const virtio = readLe(image, 0, 2) === 0x1af4;
  for (const { offset, id } of virtio ? walkCapabilities(image).capabilities : []) {
    // Virtio 1.1 §4.1.4: cfg_type 1–4 places a structure of `length` at `offset` of `bar`.
    if (id !== 0x09 || offset + 16 > 256 || image[offset + 3] < 1 || image[offset + 3] > 4 || image[offset + 4] > 5)
      continue;
    place(image[offset + 4], readLe(image, offset + 8, 4) + readLe(image, offset + 12, 4));
  }
  return ends;
}
