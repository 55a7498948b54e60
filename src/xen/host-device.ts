import type { Arena } from '../core/index.ts';
import { NO_DOMAIN } from './irq-table.ts';

export const NO_DEVICE = -1;

/** The PCI devices that Xen knows. drivers/passthrough/pci.c: struct pci_dev, arch_msix */
export class DeviceTable {
  readonly capacity: number;
  readonly known: Int32Array;
  readonly sbdf: Int32Array;
  /** Number of the owning domain. */
  readonly owner: Int32Array;
  /** Offsets of the capabilities, 0 if there is none. */
  readonly msiPos: Int32Array;
  readonly msixPos: Int32Array;
  readonly msiVectors: Int32Array;
  readonly msixEntries: Int32Array;
  /** The function mask as Xen and as the owner want it. */
  readonly hostMaskAll: Int32Array;
  readonly guestMaskAll: Int32Array;
  /** MSI-X descriptors plus a preparation; wraps like C's unsigned. */
  readonly usedEntries: Int32Array;
  /** Page number of the MSI-X table, 0 if not recorded. */
  readonly tablePage: Float64Array;
  /** First and last message descriptor in order of creation, NO_MSI if there is none. */
  readonly firstMsi: Int32Array;
  readonly lastMsi: Int32Array;
  /** Plain MSI groups in that list. */
  readonly msiGroups: Int32Array;
  /** Device index of the physical function + 1 for a virtual function, else 0. */
  readonly physfn: Int32Array;
  /** Where a device was found last, by sbdf: a guess that {@link find} checks. */
  readonly #seen = new Map<number, number>();

  constructor(arena: Arena, capacity: number) {
    this.capacity = capacity;
    const column = (name: string) => arena.int32(capacity, `xen.device.${name}`);
    this.known = column('known');
    this.sbdf = column('sbdf');
    this.owner = column('owner').fill(NO_DOMAIN);
    this.msiPos = column('msiPos');
    this.msixPos = column('msixPos');
    this.msiVectors = column('msiVectors');
    this.msixEntries = column('msixEntries');
    this.hostMaskAll = column('hostMaskAll');
    this.guestMaskAll = column('guestMaskAll');
    this.usedEntries = column('usedEntries');
    this.tablePage = arena.float64(capacity, 'xen.device.tablePage');
    this.firstMsi = column('firstMsi').fill(-1);
    this.lastMsi = column('lastMsi').fill(-1);
    this.msiGroups = column('msiGroups');
    this.physfn = column('physfn');
  }

  /** Index of a device, optionally only if `owner` owns it. */
  find(sbdf: number, owner?: number): number {
    const dev = this.#locate(sbdf | 0);
    return dev === NO_DEVICE || owner === undefined || this.owner[dev] === owner ? dev : NO_DEVICE;
  }

  #locate(sbdf: number): number {
    const seen = this.#seen.get(sbdf);
    if (seen !== undefined && this.known[seen] && this.sbdf[seen] === sbdf) return seen;
    for (let dev = 0; dev < this.capacity; dev++)
      if (this.known[dev] && this.sbdf[dev] === sbdf) {
        this.#seen.set(sbdf, dev);
        return dev;
      }
    return NO_DEVICE;
  }

  /** A zeroed entry for a new device, or NO_DEVICE if the table is full. */
  add(sbdf: number): number {
    const dev = this.known.indexOf(0);
    if (dev < 0) return NO_DEVICE;
    this.remove(dev);
    this.known[dev] = 1;
    this.sbdf[dev] = sbdf;
    return dev;
  }

  remove(dev: number): void {
    this.known[dev] = this.sbdf[dev] = this.msiPos[dev] = this.msixPos[dev] = 0;
    this.msiVectors[dev] = this.msixEntries[dev] = this.hostMaskAll[dev] = this.guestMaskAll[dev] = 0;
    this.usedEntries[dev] = this.tablePage[dev] = this.physfn[dev] = this.msiGroups[dev] = 0;
    this.owner[dev] = NO_DOMAIN;
    this.firstMsi[dev] = this.lastMsi[dev] = -1;
  }
}
