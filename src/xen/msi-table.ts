import { type Arena, FreeBitmap } from '../core/index.ts';
import type { DeviceTable } from './host-device.ts';
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
  readonly #free: FreeBitmap;

  constructor(arena: Arena, capacity: number) {
    this.capacity = capacity;
    const column = (name: string) => arena.int32(capacity, `xen.msi.${name}`);
    this.#free = new FreeBitmap(arena, capacity, 'xen.msi.free');
    this.#free.fill();
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
    this.address = arena.float64(capacity, 'xen.msi.address');
    this.messageLo = column('messageLo');
    this.messageHi = column('messageHi');
    this.messageData = column('messageData');
    this.remapped = column('remapped');
    this.next = column('next');
    this.prev = column('prev');
  }

  /** The lowest run of `count` free descriptors, initialised; NO_MSI if there is none. */
  allocate(count: number): number {
    const first = this.#findRun(count);
    if (first === NO_MSI) return NO_MSI;
    for (let i = first; i < first + count; i++) {
      this.#free.set(i, false);
      this.irq[i] = -1;
      this.next[i] = this.prev[i] = NO_MSI;
    }
    return first;
  }

  /** The lowest run of any length, which need not be a power of two as those that a bitmap knows. */
  #findRun(count: number): number {
    let first = this.#free.lowest();
    while (first >= 0) {
      let end = first + 1;
      while (end < first + count && this.#free.isFree(end)) end++;
      if (end === first + count) return first;
      first = this.#free.lowest(end);
    }
    return NO_MSI;
  }

  free(first: number, count: number): void {
    for (let i = first; i < first + count; i++) this.#free.set(i, true);
    for (const column of [
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
    if (this.type[msi] === MSI_TYPE.msi) devices.msiGroups[dev]++;
  }

  unlink(devices: DeviceTable, msi: number): void {
    const dev = this.dev[msi];
    const { next, prev } = this;
    if (prev[msi] === NO_MSI) devices.firstMsi[dev] = next[msi];
    else next[prev[msi]] = next[msi];
    if (next[msi] === NO_MSI) devices.lastMsi[dev] = prev[msi];
    else prev[next[msi]] = prev[msi];
    if (this.type[msi] === MSI_TYPE.msi) devices.msiGroups[dev]--;
  }

  /** The first group of a type on a device, optionally of one irq. arch/x86/msi.c: find_msi_entry */
  find(devices: DeviceTable, dev: number, type: number, irq = -1): number {
    if (type === MSI_TYPE.msi && devices.msiGroups[dev] === 0) return NO_MSI;
    for (let msi = devices.firstMsi[dev]; msi !== NO_MSI; msi = this.next[msi])
      if (this.type[msi] === type && (irq === -1 || this.irq[msi] === irq)) return msi;
    return NO_MSI;
  }
}
