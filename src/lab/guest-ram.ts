import { type Arena, readLe, UsageError, writeLe } from '../core/index.ts';
import type { DmaMemory } from '../pci/function.ts';

export interface RamRegion {
  address: number;
  length: number;
}

/**
 * The parts of guest memory that a run uses, and nothing else: every byte is in the arena, so it counts in snapshots.
 * Outside the regions reads give zero and writes vanish, as on an address without memory.
 */
export class GuestRam implements DmaMemory {
  readonly #regions: { address: number; end: number; bytes: Uint8Array }[];
  /** The region of the last access: accesses come in runs. */
  #recent = 0;

  constructor(regions: readonly RamRegion[], arena: Arena) {
    this.#regions = regions.map(({ address, length }) => ({
      address,
      end: address + length,
      bytes: arena.bytes(length, `guest RAM at 0x${address.toString(16)}`),
    }));
    const sorted = [...this.#regions].sort((a, b) => a.address - b.address);
    for (const [i, region] of sorted.entries())
      if (i > 0 && region.address < sorted[i - 1].end)
        throw new UsageError(`guest RAM regions overlap at 0x${region.address.toString(16)}`);
  }

  load(address: number): number {
    const region = this.#find(address);
    return region && address + 4 <= region.end ? readLe(region.bytes, address - region.address, 4) : 0;
  }

  store(address: number, value: number): void {
    const region = this.#find(address);
    if (region && address + 4 <= region.end) writeLe(region.bytes, address - region.address, 4, value);
  }

  readBytes(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const region = this.#find(address + done);
      const run = Math.min(length - done, this.#runLength(address + done, region));
      if (region) {
        const at = address + done - region.address;
        out.set(region.bytes.subarray(at, at + run), done);
      }
      done += run;
    }
    return out;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const region = this.#find(address + done);
      const run = Math.min(bytes.length - done, this.#runLength(address + done, region));
      region?.bytes.set(bytes.subarray(done, done + run), address + done - region.address);
      done += run;
    }
  }

  #find(address: number): { address: number; end: number; bytes: Uint8Array } | undefined {
    const recent = this.#regions[this.#recent];
    if (recent && address >= recent.address && address < recent.end) return recent;
    const index = this.#regions.findIndex((r) => address >= r.address && address < r.end);
    if (index < 0) return undefined;
    this.#recent = index;
    return this.#regions[index];
  }

  /** Bytes from `address` to the end of its region, or to the next region if it is in none. */
  #runLength(address: number, region: { end: number } | undefined): number {
    if (region) return region.end - address;
    let run = Infinity;
    for (const r of this.#regions) if (r.address > address) run = Math.min(run, r.address - address);
    return run;
  }
}
