import type { Arena } from '../core/index.ts';
import { type DeviceTable, float64 } from './host-device.ts';
import { NO_MSI } from './irq-table.ts';

export const MSI_TYPE = { none: 0, msi: 1, msix: 2 } as const;

/**
 * Message descriptors; those of one multi-vector MSI are neighbours. Where interrupts are remapped, the index of a
 * descriptor is also the index of its remapping entry. arch/x86/include/asm/msi.h: struct msi_desc
 */
export class MsiTable {
  readonly capacity: number;
  readonly type: Int32Array;
  readonly dev: Int32Array;
  readonly irq: Int32Array;
  /** Vector of the message (MSI) or slot in the table (MSI-X). */
  readonly entry: Int32Array;
  /** Vectors of the group, in its first descriptor; 0 in the others. */
  readonly vectors: Int32Array;
  readonly maskable: Int32Array;
  readonly hostMasked: Int32Array;
  readonly guestMasked: Int32Array;
  /** MSI: offset of the mask bits. */
  readonly maskPos: Int32Array;
  readonly addr64: Int32Array;
  /** MSI-X: physical address of the table entry. */
  readonly address: Float64Array;
  readonly messageLo: Int32Array;
  readonly messageHi: Int32Array;
  readonly messageData: Int32Array;
  /** True while the remapping entry is valid. */
  readonly remapped: Int32Array;
  /** The next descriptor group of the device, and the one before. */
  readonly next: Int32Array;
  readonly prev: Int32Array;
  readonly #taken: Int32Array;

  constructor(arena: Arena, capacity: number) {
    this.capacity = capacity;
    const column = (name: string) => arena.int32(capacity, `xen.msi.${name}`);
    this.#taken = column('taken');
    this.type = column('type');
    this.dev = column('dev');
    this.irq = column('irq');
    this.entry = column('entry');
    this.vectors = column('vectors');
    this.maskable = column('maskable');
    this.hostMasked = column('hostMasked');
    this.guestMasked = column('guestMasked');
    this.maskPos = column('maskPos');
    this.addr64 = column('addr64');
    this.address = float64(arena, capacity, 'xen.msi.address');
    this.messageLo = column('messageLo');
    this.messageHi = column('messageHi');
    this.messageData = column('messageData');
    this.remapped = column('remapped');
    this.next = column('next');
    this.prev = column('prev');
  }

  /** The lowest run of `count` free descriptors, initialised; NO_MSI if there is none. */
  allocate(count: number): number {
    for (let from = 0, run = 0; from < this.capacity; from++) {
      run = this.#taken[from] ? 0 : run + 1;
      if (run < count) continue;
      const first = from - count + 1;
      for (let i = first; i <= from; i++) {
        this.#taken[i] = 1;
        this.irq[i] = -1;
        this.next[i] = this.prev[i] = NO_MSI;
      }
      return first;
    }
    return NO_MSI;
  }

  free(first: number, count: number): void {
    for (const column of [
      this.#taken,
      this.type,
      this.dev,
      this.irq,
      this.entry,
      this.vectors,
      this.maskable,
      this.hostMasked,
      this.guestMasked,
      this.maskPos,
      this.addr64,
      this.address,
      this.messageLo,
      this.messageHi,
      this.messageData,
      this.remapped,
      this.next,
      this.prev,
    ])
      column.fill(0, first, first + count);
  }

  /** Appends a descriptor group to its device's list. */
  link(devices: DeviceTable, msi: number): void {
    const dev = this.dev[msi];
    const last = devices.lastMsi[dev];
    this.prev[msi] = last;
    this.next[msi] = NO_MSI;
    if (last === NO_MSI) devices.firstMsi[dev] = msi;
    else this.next[last] = msi;
    devices.lastMsi[dev] = msi;
  }

  unlink(devices: DeviceTable, msi: number): void {
    const dev = this.dev[msi];
    const { next, prev } = this;
    if (prev[msi] === NO_MSI) devices.firstMsi[dev] = next[msi];
    else next[prev[msi]] = next[msi];
    if (next[msi] === NO_MSI) devices.lastMsi[dev] = prev[msi];
    else prev[next[msi]] = prev[msi];
  }

  /** The first group of a type on a device, optionally of one irq. arch/x86/msi.c: find_msi_entry */
  find(devices: DeviceTable, dev: number, type: number, irq = -1): number {
    for (let msi = devices.firstMsi[dev]; msi !== NO_MSI; msi = this.next[msi])
      if (this.type[msi] === type && (irq === -1 || this.irq[msi] === irq)) return msi;
    return NO_MSI;
  }
}
