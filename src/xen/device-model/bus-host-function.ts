import type { Width } from '../../core/index.ts';
import type { HostBus } from '../host-bus.ts';
import type { HostFunction, HostRegion } from './host.ts';

/** A function on the hypervisor's host bus, reached as the device model's kernel lets it: sysfs and /dev/mem. */
export class BusHostFunction implements HostFunction {
  readonly sbdf: number;
  readonly regions: readonly HostRegion[];
  readonly #bus: HostBus;

  constructor(bus: HostBus, sbdf: number, regions: readonly HostRegion[]) {
    this.#bus = bus;
    this.sbdf = sbdf;
    this.regions = regions;
  }

  readConfig(offset: number, length: number): number {
    let value = 0;
    for (const { at, width } of pieces(offset, length))
      value += this.#bus.readConfig(this.sbdf, at, width) * 2 ** (8 * (at - offset));
    return value;
  }

  writeConfig(offset: number, length: number, value: number): void {
    for (const { at, width } of pieces(offset, length))
      this.#bus.writeConfig(this.sbdf, at, width, ((value >>> (8 * (at - offset))) & (2 ** (8 * width) - 1)) >>> 0);
  }

  readMemory(address: number): number {
    return this.#bus.readMmio(address);
  }
}

/** Aligned accesses that a stretch of up to 4 bytes becomes. Linux drivers/pci/pci-sysfs.c: pci_write_config */
function* pieces(offset: number, length: number): Generator<{ at: number; width: Width }> {
  for (let at = offset, left = length; left > 0; ) {
    const width: Width = at & 1 || left === 1 ? 1 : at & 3 || left < 4 ? 2 : 4;
    yield { at, width };
    at += width;
    left -= width;
  }
}
