import { ones, UsageError, type Width } from '../core/index.ts';
import type { BarSpec, EmulatedFunction } from '../pci/index.ts';
import type { HostRegion } from '../xen/device-model/index.ts';
import type { HostBus } from '../xen/host-bus.ts';

/** Where the host's firmware starts to place memory BARs unless told otherwise. */
const FIRST_BAR_ADDRESS = 0xf000_0000;
const MEMORY_DECODE = 2;

/** A host function with its memory BARs placed. */
export interface HostSlot {
  fn: EmulatedFunction;
  regions: HostRegion[];
}

/** The host's PCI bus: functions, their memory BARs placed one after another and decoding, as firmware leaves them. */
export class FunctionBus implements HostBus {
  readonly slots: HostSlot[] = [];
  readonly #bySbdf = new Map<number, HostSlot>();
  /** Memory BARs by ascending address, as they are placed. */
  readonly #windows: { slot: HostSlot; region: HostRegion }[] = [];
  #nextAddress: number;

  constructor(firstBarAddress = FIRST_BAR_ADDRESS) {
    this.#nextAddress = firstBarAddress;
  }

  add(fn: EmulatedFunction, bars: readonly BarSpec[]): HostSlot {
    if (this.isPresent(fn.bdf)) throw new UsageError(`two functions at ${fn.name}'s place`);
    const regions = bars.map((bar) => ({ ...bar, base: this.#place(fn, bar) }));
    fn.writeConfig(0x04, 2, fn.readConfig(0x04, 2) | MEMORY_DECODE);
    const slot = { fn, regions };
    this.slots.push(slot);
    this.#bySbdf.set(fn.bdf, slot);
    for (const region of regions) if (region.base > 0) this.#windows.push({ slot, region });
    return slot;
  }

  isPresent(sbdf: number): boolean {
    return this.#slot(sbdf) !== undefined;
  }

  readConfig(sbdf: number, offset: number, width: Width): number {
    return this.#slot(sbdf)?.fn.readConfig(offset, width) ?? ones(width);
  }

  writeConfig(sbdf: number, offset: number, width: Width, value: number): void {
    this.#slot(sbdf)?.fn.writeConfig(offset, width, value);
  }

  readMmio(address: number): number {
    const hit = this.#decode(address);
    return hit ? hit.slot.fn.readBar(hit.region.bar, address - hit.region.base, 4) : 0xffffffff;
  }

  writeMmio(address: number, value: number): void {
    const hit = this.#decode(address);
    hit?.slot.fn.writeBar(hit.region.bar, address - hit.region.base, 4, value);
  }

  #place(fn: EmulatedFunction, bar: BarSpec): number {
    if (bar.kind !== 'mem32' && bar.kind !== 'mem64') return 0;
    const size = Math.max(bar.sizeBytes, 4096);
    const base = Math.ceil(this.#nextAddress / size) * size;
    this.#nextAddress = base + size;
    fn.writeConfig(0x10 + 4 * bar.bar, 4, base % 0x1_0000_0000);
    if (bar.kind === 'mem64') fn.writeConfig(0x14 + 4 * bar.bar, 4, Math.floor(base / 0x1_0000_0000));
    return base;
  }

  #slot(sbdf: number): HostSlot | undefined {
    return this.#bySbdf.get(sbdf);
  }

  #decode(address: number): { slot: HostSlot; region: HostRegion } | undefined {
    let low = 0;
    for (let high = this.#windows.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (this.#windows[middle].region.base <= address) low = middle + 1;
      else high = middle;
    }
    const window = this.#windows[low - 1];
    return window && address < window.region.base + window.region.sizeBytes ? window : undefined;
  }
}
