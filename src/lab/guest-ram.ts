import { type Arena, readLe, UsageError, writeLe } from '../core/index.ts';
import type { DmaMemory } from '../pci/function.ts';

export interface RamRegion {
  address: number;
  length: number;
  /** Its contents decide nothing, so they are kept out of the arena and of snapshots. */
  isScratch?: boolean;
}

interface Region {
  address: number;
  end: number;
  bytes: Uint8Array;
}

/**
 * The parts of guest memory that a run uses, and nothing else; all but scratch buffers are in the arena. Outside the
 * regions reads give zero and writes vanish, as on an address without memory.
 */
export class GuestRam implements DmaMemory {
  readonly #regions: Region[];
  /** The region of the last access: accesses come in runs. */
  #recent: Region | undefined;

  constructor(regions: readonly RamRegion[], arena: Arena) {
    this.#regions = regions
      .map(({ address, length, isScratch }) => ({
        address,
        end: address + length,
        bytes: isScratch ? new Uint8Array(length) : arena.bytes(length, `guest RAM at 0x${address.toString(16)}`),
      }))
      .sort((a, b) => a.address - b.address);
    for (const [i, region] of this.#regions.entries())
      if (i > 0 && region.address < this.#regions[i - 1].end)
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
    this.#eachRun(address, length, (bytes, at, done) => out.set(bytes.subarray(at, at + length - done), done));
    return out;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    this.#eachRun(address, bytes.length, (memory, at, done) =>
      memory.set(bytes.subarray(done, done + memory.length - at), at),
    );
  }

  #find(address: number): Region | undefined {
    const recent = this.#recent;
    if (recent && address >= recent.address && address < recent.end) return recent;
    const found = this.#regions.find((r) => address >= r.address && address < r.end);
    if (found) this.#recent = found;
    return found;
  }

  /** Calls `visit` for each region that [address, address + length) meets: its bytes, where in it, how far along. */
  #eachRun(address: number, length: number, visit: (bytes: Uint8Array, at: number, done: number) => void): void {
    for (const region of this.#regions) {
      const from = Math.max(address, region.address);
      const to = Math.min(address + length, region.end);
      if (from < to) visit(region.bytes.subarray(0, to - region.address), from - region.address, from - address);
    }
  }
}
