import type { Arena } from '../../core/index.ts';
import type { Namespace } from '../../pci/devices/nvme/index.ts';
import type { DmaMemory } from '../../pci/index.ts';

/** Host memory from address 0, which notes what the device did to it. */
export class WatchedMemory implements DmaMemory {
  readonly bytes: Uint8Array;
  /** Address and length of each write since the last look, alternately. */
  readonly written: number[] = [];
  /** Transfers since the last look. */
  transfers = 0;

  constructor(arena: Arena, sizeBytes: number) {
    this.bytes = arena.bytes(sizeBytes, 'host memory');
  }

  readBytes(address: number, length: number): Uint8Array {
    this.transfers++;
    return this.bytes.slice(Math.min(address, this.bytes.length), address + length);
  }

  writeBytes(address: number, data: Uint8Array): void {
    this.transfers++;
    const length = Math.min(data.length, this.bytes.length - address);
    if (length <= 0) return;
    this.bytes.set(data.length === length ? data : data.subarray(0, length), address);
    this.written.push(address, length);
  }

  clear(): void {
    this.written.length = 0;
    this.transfers = 0;
  }
}

/** A namespace whose blocks are part of snapshots, and which knows whether all of them are on stable storage. */
export class WatchedBlocks implements Namespace {
  readonly blockSizeLog2: number;
  readonly blockCount: number;
  readonly bytes: Uint8Array;
  readonly #dirty: Int32Array;

  constructor(arena: Arena, blockSizeLog2: number, blockCount: number) {
    this.blockSizeLog2 = blockSizeLog2;
    this.blockCount = blockCount;
    this.bytes = arena.bytes(blockCount << blockSizeLog2, 'blocks');
    this.#dirty = arena.int32(1, 'blocks not on stable storage');
  }

  get dirty(): boolean {
    return this.#dirty[0] !== 0;
  }

  read(offset: number, into: Uint8Array): boolean {
    into.set(this.bytes.subarray(offset, offset + into.length));
    return true;
  }

  write(offset: number, data: Uint8Array): boolean {
    this.bytes.set(data, offset);
    this.#dirty[0] = 1;
    return true;
  }

  writeZeroes(offset: number, length: number): boolean {
    return this.deallocate(offset, length);
  }

  deallocate(offset: number, length: number): boolean {
    this.bytes.fill(0, offset, offset + length);
    this.#dirty[0] = 1;
    return true;
  }

  flush(): boolean {
    this.#dirty[0] = 0;
    return true;
  }
}
