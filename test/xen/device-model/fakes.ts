import { readLe, writeLe } from '../../../src/core/index.ts';
import type {
  HostFunction,
  HostRegion,
  MapPirqMsi,
  MsiBinding,
  Toolstack,
} from '../../../src/xen/device-model/index.ts';

export const TABLE_BASE = 0xf000_0000;
export const TABLE_OFFSET = 0x2000;
export const MSI_AT = 0x60;
export const MSIX_AT = 0x40;

/** Configuration space as plain memory: an NVMe-like function with MSI-X at 0x40 and MSI (64-bit, maskable) at 0x60. */
export class FakeHost implements HostFunction {
  readonly sbdf = 0x0321;
  readonly regions: HostRegion[] = [{ bar: 0, kind: 'mem64', base: TABLE_BASE, sizeBytes: 0x4000 }];
  readonly config = new Uint8Array(0x100);
  /** Mask bit of each vector in the device. */
  readonly masked: boolean[];
  readonly log: string[] = [];

  constructor(entryCount = 4) {
    this.masked = Array(entryCount).fill(true);
    writeLe(this.config, 0x00, 4, 0x0010_1b36);
    this.config[0x06] = 0x10;
    this.config[0x34] = MSIX_AT;
    writeLe(this.config, MSIX_AT, 4, ((entryCount - 1) << 16) | (MSI_AT << 8) | 0x11);
    writeLe(this.config, MSIX_AT + 4, 4, TABLE_OFFSET);
    writeLe(this.config, MSI_AT, 4, (0x0180 << 16) | 0x05);
  }

  readConfig(offset: number, length: number): number {
    const word = new Uint8Array(4);
    word.set(this.config.subarray(offset, offset + length));
    return readLe(word, 0, 4);
  }

  writeConfig(offset: number, length: number, value: number): void {
    this.log.push(`hw ${offset.toString(16)}.${length}=${value.toString(16)}`);
    for (let i = 0; i < length; i++) this.config[offset + i] = value >>> (8 * i);
  }

  readMemory(address: number): number {
    const offset = address - TABLE_BASE - TABLE_OFFSET;
    return offset % 16 === 12 && this.masked[Math.floor(offset / 16)] ? 1 : 0;
  }
}

/**
 * As much of Xen as decides the results: a pirq that the guest has reserved can be mapped once; binding needs a
 * mapping; unmapping what is bound leaves its machine irq marked, after which every later map for this guest is
 * refused (reference: Xen draws the lowest free irq, which is the marked one).
 */
export class FakeXen implements Toolstack {
  readonly mapped = new Set<number>();
  readonly bound = new Set<number>();
  readonly log: string[] = [];
  maps = 0;
  unmaps = 0;
  /** Whether a forced unmap has its lasting effect. */
  marks = true;
  #isMarked = false;

  mapPirqMsi({ pirq, entry }: MapPirqMsi): { rc: number; pirq: number } {
    let got = pirq;
    if (pirq < 0) for (got = 255; this.mapped.has(got); got--);
    const rc = this.#isMarked || this.mapped.has(got) ? -17 : 0;
    if (rc === 0) {
      this.mapped.add(got);
      this.maps++;
    }
    this.log.push(`map entry ${entry} as ${pirq < 0 ? 'any' : pirq}: ${rc || got}`);
    return { rc, pirq: rc ? pirq : got };
  }

  updateMsiIrq({ pirq, gflags }: MsiBinding & { gtable: number }): number {
    const rc = this.mapped.has(pirq) ? 0 : -1;
    if (rc === 0) this.bound.add(pirq);
    this.log.push(`bind ${pirq}${gflags & 0x10000 ? ' unmasked' : ''}: ${rc}`);
    return rc;
  }

  unbindMsiIrq({ pirq }: MsiBinding): number {
    const rc = this.mapped.has(pirq) ? 0 : -1;
    if (rc === 0) this.bound.delete(pirq);
    this.log.push(`unbind ${pirq}: ${rc}`);
    return rc;
  }

  unmapPirq(pirq: number): number {
    const rc = this.mapped.delete(pirq) ? 0 : -22;
    if (rc === 0) this.unmaps++;
    if (this.bound.delete(pirq) && this.marks) this.#isMarked = true;
    this.log.push(`unmap ${pirq}: ${rc}`);
    return rc;
  }

  unbindPtIrq(pirq: number): number {
    this.bound.delete(pirq & 0xff);
    this.log.push(`unbind_pt ${pirq & 0xff}: 0`);
    return 0;
  }

  fatal(reason: string): void {
    this.log.push(`fatal: ${reason}`);
  }
}
