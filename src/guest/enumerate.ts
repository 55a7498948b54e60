import type { Task } from './access.ts';
import { kernel, readConfig, writeConfig } from './ops.ts';
import { COMMAND, initMsi, PCI } from './pci-core.ts';

/** Where BARs may be put: an aligned range of memory addresses, and one of ports. */
export interface BarWindow {
  memoryBase: number;
  memoryEnd: number;
  ioBase?: number;
  ioEnd?: number;
}

export interface EnumerateOptions {
  /** Functions to look at; by default bus 0 is scanned. */
  bdfs?: readonly number[];
  /** Assign addresses from here; without it BARs are left as firmware set them. */
  window?: BarWindow;
}

interface Bar {
  bdf: number;
  offset: number;
  kind: 'io' | 'mem32' | 'mem64';
  sizeBytes: number;
}

const HEADER_MULTIFUNCTION = 0x80;
const IO_BAR = 0x1;
const MEM64 = 0x4;
const MEM_TYPE = 0x6;

/**
 * Finds functions, sizes and assigns their BARs, and prepares their message interrupts; answers the functions found.
 * Linux drivers/pci/probe.c pci_scan_slot, __pci_read_base; setup-res.c (largest first).
 *
 * Deviation: bridges are not crossed, and every function of the bus is given addresses, one after another.
 */
export function* enumerate(options: EnumerateOptions = {}): Task<number[]> {
  const bdfs = options.bdfs ? [...options.bdfs] : yield* scanBus();
  const bars: Bar[] = [];
  const present: number[] = [];
  for (const bdf of bdfs) {
    const id = yield* readConfig(bdf, PCI.vendorId, 4);
    if (id === 0xffffffff || id === 0) continue;
    present.push(bdf);
    yield* kernel('device.add', bdf);
    yield* initMsi(bdf);
    if (options.window) bars.push(...(yield* sizeBars(bdf)));
  }
  if (options.window) yield* assignBars(bars, options.window);
  return present;
}

function* scanBus(): Task<number[]> {
  const found: number[] = [];
  for (let device = 0; device < 32; device++)
    for (let fn = 0, count = 1; fn < count; fn++) {
      const bdf = (device << 3) | fn;
      const id = yield* readConfig(bdf, PCI.vendorId, 4);
      if (id === 0xffffffff || id === 0) continue;
      found.push(bdf);
      if (fn === 0 && (yield* readConfig(bdf, PCI.headerType, 1)) & HEADER_MULTIFUNCTION) count = 8;
    }
  return found;
}

/** Writes ones to each BAR and reads back, with decoding off meanwhile. */
function* sizeBars(bdf: number): Task<Bar[]> {
  const type = (yield* readConfig(bdf, PCI.headerType, 1)) & 0x7f;
  const count = type === 0 ? 6 : type === 1 ? 2 : 0;
  const command = yield* readConfig(bdf, PCI.command, 2);
  const decoding = command & (COMMAND.io | COMMAND.memory);
  if (decoding) yield* writeConfig(bdf, PCI.command, 2, command & ~decoding);
  const bars: Bar[] = [];
  for (let i = 0; i < count; i++) {
    const offset = PCI.bar0 + 4 * i;
    const mask = yield* probeRegister(bdf, offset);
    if (mask === 0 || mask === 0xffffffff) continue;
    if (mask & IO_BAR) {
      bars.push({ bdf, offset, kind: 'io', sizeBytes: sizeOf(mask & 0xfffc, 0xffff) });
    } else if ((mask & MEM_TYPE) === MEM64) {
      const high = yield* probeRegister(bdf, offset + 4);
      const low = (mask & ~0xf) >>> 0;
      const sizeBytes = low ? sizeOf(low, 0xffffffff) : sizeOf(high, 0xffffffff) * 2 ** 32;
      bars.push({ bdf, offset, kind: 'mem64', sizeBytes });
      i++;
    } else {
      bars.push({ bdf, offset, kind: 'mem32', sizeBytes: sizeOf((mask & ~0xf) >>> 0, 0xffffffff) });
    }
  }
  if (decoding) yield* writeConfig(bdf, PCI.command, 2, command);
  return bars;
}

function* probeRegister(bdf: number, offset: number): Task<number> {
  const before = yield* readConfig(bdf, offset, 4);
  yield* writeConfig(bdf, offset, 4, 0xffffffff);
  const mask = yield* readConfig(bdf, offset, 4);
  yield* writeConfig(bdf, offset, 4, before);
  return mask;
}

/** The lowest writable address bit is the size. */
function sizeOf(mask: number, all: number): number {
  const bits = mask & all;
  return (bits & -bits) >>> 0;
}

/** Gives each BAR a naturally aligned place, largest first; what does not fit gets none. */
function* assignBars(bars: readonly Bar[], window: BarWindow): Task<void> {
  const next = { memory: window.memoryBase, io: window.ioBase ?? 0 };
  for (const bar of [...bars].sort((a, b) => b.sizeBytes - a.sizeBytes)) {
    const space = bar.kind === 'io' ? 'io' : 'memory';
    const end = bar.kind === 'io' ? (window.ioEnd ?? 0) : window.memoryEnd;
    const at = Math.ceil(next[space] / bar.sizeBytes) * bar.sizeBytes;
    if (at + bar.sizeBytes > end) continue;
    if (bar.kind === 'mem32' && at + bar.sizeBytes > 2 ** 32) continue;
    next[space] = at + bar.sizeBytes;
    yield* writeConfig(bar.bdf, bar.offset, 4, at % 2 ** 32);
    if (bar.kind === 'mem64') yield* writeConfig(bar.bdf, bar.offset + 4, 4, Math.floor(at / 2 ** 32));
  }
}
