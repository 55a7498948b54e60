import { type Register, readLe, reg } from '../core/index.ts';
import type { ConfigSpace } from './config-space.ts';
import { CMD, COMMAND_AT } from './header.ts';
import type { BarSpec } from './spec.ts';

/** Number of the ROM among the regions of a function, as VFIO counts. */
export const ROM = 6;

/** BARs a header has: 6 on a device, 2 on a bridge, 1 (the CardBus sockets) on type 2. PCIe 5.0 §7.5.1.2.1, §7.5.1.3.1. */
export function barCount(headerType: number): number {
  return headerType === 0 ? 6 : headerType === 1 ? 2 : 1;
}

/** Offset of a BAR's register, or −1 if the header has none of that number. */
export function barAt(bar: number, headerType: number): number {
  if (bar === ROM) return headerType === 0 ? 0x30 : headerType === 1 ? 0x38 : -1;
  return bar < barCount(headerType) ? 0x10 + 4 * bar : -1;
}

/** The read-only low bits of a BAR: what it is. PCIe 5.0 §7.5.1.2.1. */
export function barTypeBits(bar: BarSpec): number {
  if (bar.kind === 'io') return 1;
  if (bar.kind === 'rom') return 0;
  return (bar.kind === 'mem64' ? 4 : 0) | (bar.prefetchable ? 8 : 0);
}

/** Writable bits of both dwords of a BAR, low first. A size above 2^32 leaves the low dword to its type bits. */
export function barWritable(bar: BarSpec): [number, number] {
  const low = bar.sizeBytes >= 0x1_0000_0000 ? 0 : ~(bar.sizeBytes - 1) >>> 0;
  if (bar.kind === 'rom') return [(low & ~0x7ff) | 1, 0];
  if (bar.kind === 'io') return [low & ~3, 0];
  const high = bar.kind === 'mem64' ? ~(Math.ceil(bar.sizeBytes / 0x1_0000_0000) - 1) >>> 0 : 0;
  return [low & ~15, high];
}

/** The registers of a BAR, for decoding; what their bits do comes from {@link barWritable}. */
export function barRegisters(bar: BarSpec, headerType: number): Register[] {
  const at = barAt(bar.bar, headerType);
  if (at < 0) return [];
  if (bar.kind === 'rom')
    return [
      reg('rom', at, 4, {
        enable: { at: 0, access: 'rw' },
        address: { at: 11, width: 21, access: 'rw' },
      }),
    ];
  if (bar.kind === 'io')
    return [
      reg(`bar${bar.bar}`, at, 4, {
        io: { at: 0, access: 'ro' },
        address: { at: 2, width: 30, access: 'rw' },
      }),
    ];
  const low = reg(`bar${bar.bar}`, at, 4, {
    io: { at: 0, access: 'ro' },
    type: { at: 1, width: 2, access: 'ro' },
    prefetchable: { at: 3, access: 'ro' },
    address: { at: 4, width: 28, access: 'rw' },
  });
  if (bar.kind === 'mem32') return [low];
  return [low, reg(`bar${bar.bar}Upper`, at + 4, 4, { address: { at: 0, width: 32, access: 'rw' } })];
}

/** BARs as measured write masks show them: the lowest writable address bit is the size. */
export function barsFromMasks(image: Uint8Array, writable: Uint8Array): BarSpec[] {
  const headerType = image[0x0e] & 0x7f;
  const bars: BarSpec[] = [];
  const sizeOf = (low: number, high: number, kind: BarSpec['kind']): number => {
    const address = low & (kind === 'io' ? ~3 : kind === 'rom' ? ~0x7ff : ~15);
    if (address !== 0) return (address & -address) >>> 0;
    return high === 0 ? 0 : ((high & -high) >>> 0) * 0x1_0000_0000;
  };
  for (let bar = 0; bar < barCount(headerType); bar++) {
    const at = 0x10 + 4 * bar;
    const type = image[at];
    const low = readLe(writable, at, 4);
    const kind = type & 1 ? 'io' : (type & 6) === 4 ? 'mem64' : 'mem32';
    const sizeBytes = sizeOf(low, kind === 'mem64' ? readLe(writable, at + 4, 4) : 0, kind);
    if (sizeBytes !== 0)
      bars.push({ bar, kind, sizeBytes, ...(kind !== 'io' && type & 8 ? { prefetchable: true } : {}) });
    if (kind === 'mem64') bar++;
  }
  const rom = barAt(ROM, headerType);
  const romSize = rom < 0 ? 0 : sizeOf(readLe(writable, rom, 4), 0, 'rom');
  if (romSize) bars.push({ bar: ROM, kind: 'rom', sizeBytes: romSize });
  return bars;
}

/** Least bytes of each BAR that some capability of the function says is there, such as a vector table's end. */
export type BarNeeds = ReadonlyMap<number, number>;

/**
 * BARs guessed from an image: kinds from the type bits, sizes from what a capability puts inside and, if the BAR holds
 * an address, no larger than its alignment. A 32-bit memory BAR that was never programmed reads 0 like one that is not
 * there, so it is assumed only where something needs it. All are marked `inferred`.
 */
export function inferBars(image: Uint8Array, needs: BarNeeds = new Map()): BarSpec[] {
  const headerType = image[0x0e] & 0x7f;
  const bars: BarSpec[] = [];
  for (let bar = 0; bar < barCount(headerType); bar++) {
    const value = readLe(image, 0x10 + 4 * bar, 4);
    const need = needs.get(bar) ?? 0;
    if (value === 0 && need === 0) continue;
    const kind = value & 1 ? 'io' : (value & 6) === 4 && bar + 1 < barCount(headerType) ? 'mem64' : 'mem32';
    const least = kind === 'io' ? 32 : 4096;
    let sizeBytes = least;
    while (sizeBytes < need) sizeBytes *= 2;
    bars.push({ bar, kind, sizeBytes, inferred: true, ...(kind !== 'io' && value & 8 ? { prefetchable: true } : {}) });
    if (kind === 'mem64') bar++;
  }
  const rom = barAt(ROM, headerType);
  if (rom >= 0 && readLe(image, rom, 4) !== 0) bars.push({ bar: ROM, kind: 'rom', sizeBytes: 2048, inferred: true });
  return bars;
}

/** A BAR as it stands: where it decodes, and in which space. */
export interface MappedBar {
  readonly bar: number;
  readonly space: 'memory' | 'io';
  /** Below 2^53 in practice; addresses beyond are rounded as numbers are. */
  readonly base: number;
  readonly sizeBytes: number;
}

/**
 * Where a BAR decodes now, or undefined while it does not: its space disabled in the command register, or its value
 * no address. PCIe 5.0 §7.5.1.2.1. Deviation: QEMU 7.2 also ignores address 0, a range that wraps and, below 4 GiB, one
 * that reaches the last byte, as sizing values do (`hw/pci/pci.c: pci_bar_address`); done in both flavours, for no
 * machine decodes those.
 */
export function mappedBar(config: ConfigSpace, bar: BarSpec, headerType: number): MappedBar | undefined {
  const at = barAt(bar.bar, headerType);
  const command = config.bytes[COMMAND_AT];
  const low = config.get(at, 4);
  if (bar.kind === 'io') {
    const base = (low & ~(bar.sizeBytes - 1) & ~3) >>> 0;
    if (!(command & CMD.io) || base === 0 || base + bar.sizeBytes - 1 >= 0xffffffff) return undefined;
    return { bar: bar.bar, space: 'io', base, sizeBytes: bar.sizeBytes };
  }
  if (!(command & CMD.memory) || (bar.kind === 'rom' && !(low & 1))) return undefined;
  const address = (low & (bar.kind === 'rom' ? ~0x7ff : ~15)) >>> 0;
  const high = bar.kind === 'mem64' ? config.get(at + 4, 4) : 0;
  const base = high * 0x1_0000_0000 + address;
  const last = base + bar.sizeBytes - 1;
  if (base === 0 || last >= 2 ** 64 - 1 || (bar.kind !== 'mem64' && last >= 0xffffffff)) return undefined;
  return { bar: bar.bar, space: 'memory', base, sizeBytes: bar.sizeBytes };
}
