import { DMA_MAP, ERRNO, MAX_DMA_MAPS } from './protocol.ts';
import type { SessionHost } from './session-host.ts';

/** A run of client memory. Addresses are bigint where any 64-bit value is possible. */
export interface MappedRange {
  readonly address: bigint;
  readonly size: bigint;
  readonly readable: boolean;
  readonly writable: boolean;
  /** The file that holds it, from `fileOffset` on; −1: it is reached by messages. */
  readonly fd: number;
  readonly fileOffset: number;
}

export interface MapRequest {
  address: bigint;
  size: bigint;
  flags: number;
  fileOffset: bigint;
}

const SPACE = 1n << 64n;

/** What a client has mapped for DMA, in the order of addresses. */
export class DmaMap {
  readonly #ranges: MappedRange[] = [];
  readonly #host: Pick<SessionHost, 'close' | 'fileSize'>;
  #byMessage = 0;

  constructor(host: Pick<SessionHost, 'close' | 'fileSize'>) {
    this.#host = host;
  }

  get size(): number {
    return this.#ranges.length;
  }

  /** True if some of it is reached by messages. */
  get needsMessages(): boolean {
    return this.#byMessage > 0;
  }

  /**
   * Adds a range and takes the descriptor, if one is given (−1: none). Only regular files: reading or writing anything
   * else at a position may wait for ever. They must hold the range, for a write beyond the end would make them grow.
   * @returns 0 or an errno, and then the descriptor remains the caller's
   */
  add({ address, size, flags, fileOffset }: MapRequest, fd: number): number {
    if (size === 0n || address + size > SPACE || flags & ~DMA_MAP.all) return ERRNO.EINVAL;
    if (fd >= 0) {
      const bytes = this.#host.fileSize(fd);
      if (bytes === undefined || fileOffset + size > bytes) return ERRNO.EINVAL;
    }
    const at = this.#firstFrom(address);
    const before = this.#ranges[at - 1];
    if (before && before.address + before.size > address) return ERRNO.EEXIST;
    if (this.#ranges[at] && this.#ranges[at].address < address + size) return ERRNO.EEXIST;
    if (this.#ranges.length >= MAX_DMA_MAPS) return ERRNO.ENOSPC;
    this.#ranges.splice(at, 0, {
      address,
      size,
      readable: (flags & DMA_MAP.read) !== 0,
      writable: (flags & DMA_MAP.write) !== 0,
      fd,
      fileOffset: Number(fileOffset),
    });
    if (fd < 0) this.#byMessage++;
    return 0;
  }

  /** Removes a range, which must be one that was added. @returns 0 or an errno */
  remove(address: bigint, size: bigint): number {
    const at = this.#firstFrom(address);
    const range = this.#ranges[at];
    if (range?.address !== address || range.size !== size) return ERRNO.ENOENT;
    this.#release(range);
    this.#ranges.splice(at, 1);
    return 0;
  }

  clear(): void {
    for (const range of this.#ranges.splice(0)) this.#release(range);
  }

  /** The range that holds `address` (below 2^53), with the number of bytes from there to its end. */
  find(address: number): { range: MappedRange; offset: number; left: number } | undefined {
    const at = this.#firstFrom(BigInt(address) + 1n) - 1;
    const range = this.#ranges[at];
    if (!range) return undefined;
    const offset = address - Number(range.address);
    const left = Number(range.size) - offset;
    return left > 0 ? { range, offset, left } : undefined;
  }

  /** Index of the first range that begins at `address` or later. */
  #firstFrom(address: bigint): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#ranges[middle].address < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #release(range: MappedRange): void {
    if (range.fd >= 0) this.#host.close(range.fd);
    else this.#byMessage--;
  }
}
