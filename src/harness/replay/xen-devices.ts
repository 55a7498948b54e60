import { Arena, ones, readLe, type Width, writeLe } from '../../core/index.ts';
import type { HostBus } from '../../xen/index.ts';

/** A device as the header of a hypercall trace describes it. */
export interface RecordedDevice {
  sbdf: number;
  /** 0 = no MSI capability. */
  msi_vectors: number;
  maskable: boolean;
  msix_entries: number;
  /** Address of the 64-bit BAR 0 of 64 KiB. */
  bar: number;
}

const MSI_POS = 0x50;
const MSIX_POS = 0x70;
const TABLE_OFFSET = 0x2000;
const PBA_OFFSET = 0x3000;
const MSIX_MASKALL = 0x4000;

/** What became of an attempt to send a message. */
export const SENT = { noDevice: -1, noMessage: 0, masked: 1, sent: 2 } as const;

/** The devices of a recording: configuration space as plain memory with its read-only bits, and the MSI-X table. */
export class RecordedDevices implements HostBus {
  readonly #devices = new Map<number, Device>();

  constructor(devices: readonly RecordedDevice[], arena = new Arena()) {
    for (const d of devices) this.#devices.set(d.sbdf, new Device(d, arena));
  }

  isPresent(sbdf: number): boolean {
    return this.#devices.has(sbdf);
  }

  readConfig(sbdf: number, offset: number, width: Width): number {
    const config = this.#devices.get(sbdf)?.config;
    return config && offset + width <= config.length ? readLe(config, offset, width) : ones(width);
  }

  writeConfig(sbdf: number, offset: number, width: Width, value: number): void {
    const device = this.#devices.get(sbdf);
    if (!device || offset + width > device.config.length) return;
    for (let i = 0; i < width; i++) {
      const mask = device.writable[offset + i];
      device.config[offset + i] = (device.config[offset + i] & ~mask) | ((value >>> (8 * i)) & mask);
    }
  }

  readMmio(address: number): number {
    const found = this.#at(address);
    return found ? readLe(found.device.table, found.offset, 4) : 0xffffffff;
  }

  writeMmio(address: number, value: number): void {
    const found = this.#at(address);
    if (found) writeLe(found.device.table, found.offset, 4, value);
  }

  /** Plain MSI vectors that Xen has granted the device (Multiple Message Enable). */
  grantedVectors(sbdf: number): number {
    const device = this.#devices.get(sbdf);
    return device ? 1 << ((readLe(device.config, MSI_POS + 2, 2) >> 4) & 7) : 0;
  }

  /** True if the device's mask bits hold message `vector` back. */
  isMasked(sbdf: number, msix: boolean, vector: number): boolean {
    const device = this.#devices.get(sbdf);
    if (!device) return true;
    const { config, table } = device;
    if (msix) return (readLe(config, MSIX_POS + 2, 2) & MSIX_MASKALL) !== 0 || (table[16 * vector + 12] & 1) !== 0;
    return device.spec.maskable && ((readLe(config, MSI_POS + 16, 4) >>> vector) & 1) !== 0;
  }

  #at(address: number): { device: Device; offset: number } | undefined {
    for (const device of this.#devices.values()) {
      const offset = address - device.spec.bar - TABLE_OFFSET;
      if (offset >= 0 && offset + 4 <= device.table.length) return { device, offset };
    }
    return undefined;
  }
}

class Device {
  readonly spec: RecordedDevice;
  readonly config: Uint8Array;
  readonly writable = new Uint8Array(256);
  /** The MSI-X table, all of BAR 0 that matters. */
  readonly table: Uint8Array;

  constructor(spec: RecordedDevice, arena: Arena) {
    this.spec = spec;
    this.config = arena.bytes(256, `device.${spec.sbdf}.config`);
    this.table = arena.bytes(16 * spec.msix_entries, `device.${spec.sbdf}.table`);
    const set = (offset: number, width: Width, value: number, writable = 0) => {
      writeLe(this.config, offset, width, value);
      writeLe(this.writable, offset, width, writable);
    };
    set(0, 4, 0x00011b36);
    set(4, 2, 0x0002, 0x0546);
    set(6, 2, 0x0010);
    set(0x10, 4, (spec.bar >>> 0) | 4);
    set(0x14, 4, Math.floor(spec.bar / 0x1_0000_0000));
    let next = 0;
    if (spec.msix_entries) {
      set(MSIX_POS, 2, 0x11 | (next << 8));
      set(MSIX_POS + 2, 2, spec.msix_entries - 1, 0xc000);
      set(MSIX_POS + 4, 4, TABLE_OFFSET);
      set(MSIX_POS + 8, 4, PBA_OFFSET);
      next = MSIX_POS;
      for (let entry = 0; entry < spec.msix_entries; entry++) writeLe(this.table, 16 * entry + 12, 4, 1);
    }
    if (spec.msi_vectors) {
      const control = (Math.log2(spec.msi_vectors) << 1) | 0x80 | (spec.maskable ? 0x100 : 0);
      set(MSI_POS, 2, 5 | (next << 8));
      set(MSI_POS + 2, 2, control, 0x71);
      set(MSI_POS + 4, 4, 0, 0xfffffffc);
      set(MSI_POS + 8, 4, 0, 0xffffffff);
      set(MSI_POS + 12, 2, 0, 0xffff);
      if (spec.maskable) set(MSI_POS + 16, 4, 0, 0xffffffff);
      next = MSI_POS;
    }
    set(0x34, 1, next);
  }
}
