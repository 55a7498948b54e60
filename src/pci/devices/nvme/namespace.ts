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

/** Bytes per chunk of a {@link MemoryNamespace}, and chunks per region: a region spans 64 MiB. */
const CHUNK = 1 << 16;
const REGION = 1024;

/**
 * A namespace in memory that holds only the 64-KiB chunks that were written and not deallocated since. Chunks are kept
 * by region, so that deallocating any range visits few places however large the range or the contents.
 */
export class MemoryNamespace implements Namespace {
  readonly blockSizeLog2: number;
  readonly blockCount: number;
  readonly #regions = new Map<number, (Uint8Array | undefined)[]>();

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
    let chunks = 0;
    for (const region of this.#regions.values()) chunks += region.filter(Boolean).length;
    return chunks * CHUNK;
  }

  read(offset: number, into: Uint8Array): boolean {
    this.#eachPiece(offset, into.length, (index, from, to, done) => {
      const chunk = this.#regions.get(Math.floor(index / REGION))?.[index % REGION];
      if (chunk) into.set(chunk.subarray(from, to), done);
      else into.fill(0, done, done + to - from);
    });
    return true;
  }

  write(offset: number, bytes: Uint8Array): boolean {
    this.#eachPiece(offset, bytes.length, (index, from, to, done) => {
      let region = this.#regions.get(Math.floor(index / REGION));
      if (!region) this.#regions.set(Math.floor(index / REGION), (region = new Array(REGION)));
      const chunk = (region[index % REGION] ??= new Uint8Array(CHUNK));
      chunk.set(bytes.subarray(done, done + to - from), from);
    });
    return true;
  }

  writeZeroes(offset: number, length: number): boolean {
    return this.deallocate(offset, length);
  }

  deallocate(offset: number, length: number): boolean {
    const end = offset + length;
    const first = Math.floor(offset / (CHUNK * REGION));
    const last = Math.floor((end - 1) / (CHUNK * REGION));
    if (last - first < this.#regions.size) for (let r = first; r <= last; r++) this.#clear(r, offset, end);
    else for (const r of [...this.#regions.keys()]) this.#clear(r, offset, end);
    return true;
  }

  /** Forgets what region `r` holds from byte `offset` of the namespace up to `end`. */
  #clear(r: number, offset: number, end: number): void {
    const region = this.#regions.get(r);
    const base = r * CHUNK * REGION;
    if (!region || offset >= base + CHUNK * REGION || end <= base) return;
    const low = Math.max(offset - base, 0);
    const high = Math.min(end - base, CHUNK * REGION);
    if (high - low === CHUNK * REGION) this.#regions.delete(r);
    else
      for (let i = Math.floor(low / CHUNK); i * CHUNK < high; i++) {
        const from = Math.max(low - i * CHUNK, 0);
        const to = Math.min(high - i * CHUNK, CHUNK);
        if (to - from === CHUNK) region[i] = undefined;
        else region[i]?.fill(0, from, to);
      }
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
