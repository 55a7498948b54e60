import { UsageError } from '../../../core/index.ts';

/**
 * Contents of a namespace: blocks of 2^`blockSizeLog2` bytes. Offsets and lengths are bytes, multiples of the block
 * size, and lie inside the namespace: the controller checks. Each call returns false if the medium failed; the host
 * then sees a media error.
 */
export interface Namespace {
  /** 9 (512 bytes) … 16. */
  readonly blockSizeLog2: number;
  /** At least 1; blocks × block size stays below 2^53. */
  readonly blockCount: number;
  /** Fills `into`. */
  read(offset: number, into: Uint8Array): boolean;
  write(offset: number, bytes: Uint8Array): boolean;
  writeZeroes(offset: number, length: number): boolean;
  /** Forgets contents; they read zero from then on. Absent: deallocation is accepted and has no effect. */
  deallocate?(offset: number, length: number): boolean;
  /** Returns when all that was written is on stable storage. */
  flush(): boolean;
}

/** Bytes per chunk of a {@link MemoryNamespace}. */
const CHUNK = 1 << 16;

/** A namespace in memory that holds only the 64-KiB chunks that were written and not deallocated since. */
export class MemoryNamespace implements Namespace {
  readonly blockSizeLog2: number;
  readonly blockCount: number;
  readonly #chunks = new Map<number, Uint8Array>();

  /** @throws UsageError unless `sizeBytes` is a positive multiple of the block size */
  constructor(sizeBytes: number, blockSizeLog2 = 9) {
    this.blockSizeLog2 = blockSizeLog2;
    this.blockCount = sizeBytes / 2 ** blockSizeLog2;
    if (!Number.isInteger(blockSizeLog2) || blockSizeLog2 < 9 || blockSizeLog2 > 16)
      throw new UsageError(`a namespace's block size is 2^9 to 2^16 bytes, not 2^${blockSizeLog2}`);
    if (!Number.isInteger(this.blockCount) || this.blockCount < 1 || sizeBytes > Number.MAX_SAFE_INTEGER)
      throw new UsageError(
        `a namespace of ${sizeBytes} bytes: give a positive multiple of its ${2 ** blockSizeLog2}-byte blocks`,
      );
  }

  /** Memory in use for contents. */
  get allocatedBytes(): number {
    return this.#chunks.size * CHUNK;
  }

  read(offset: number, into: Uint8Array): boolean {
    this.#eachPiece(offset, into.length, (index, from, to, done) => {
      const chunk = this.#chunks.get(index);
      if (chunk) into.set(chunk.subarray(from, to), done);
      else into.fill(0, done, done + to - from);
    });
    return true;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    this.#eachPiece(offset, bytes.length, (index, from, to, done) => {
      let chunk = this.#chunks.get(index);
      if (!chunk) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK)));
      chunk.set(bytes.subarray(done, done + to - from), from);
    });
    return true;
  }

  writeZeroes(offset: number, length: number): boolean {
    return this.deallocate(offset, length);
  }

  deallocate(offset: number, length: number): boolean {
    const first = Math.floor(offset / CHUNK);
    const last = Math.floor((offset + length - 1) / CHUNK);
    // a range may span the whole namespace: visit what is held rather than what is named
    const held = last - first < this.#chunks.size ? undefined : [...this.#chunks.keys()];
    const clear = (index: number) => {
      const chunk = this.#chunks.get(index);
      if (!chunk) return;
      const from = Math.max(offset - index * CHUNK, 0);
      const to = Math.min(offset + length - index * CHUNK, CHUNK);
      if (from === 0 && to === CHUNK) this.#chunks.delete(index);
      else chunk.fill(0, from, to);
    };
    if (held) for (const index of held) index >= first && index <= last && clear(index);
    else for (let index = first; index <= last; index++) clear(index);
    return true;
  }

  flush(): boolean {
    return true;
  }

  #eachPiece(offset: number, length: number, act: (index: number, from: number, to: number, done: number) => void) {
    for (let done = 0; done < length; ) {
      const index = Math.floor((offset + done) / CHUNK);
      const from = offset + done - index * CHUNK;
      const to = Math.min(CHUNK, from + length - done);
      act(index, from, to, done);
      done += to - from;
    }
  }
}
