import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { UsageError } from '../core/index.ts';
import type { Namespace } from '../pci/devices/nvme/index.ts';

/** Write Zeroes looks at this much at a time, and leaves alone what is zero, so holes stay holes. */
const CHUNK = 1 << 16;
const ZEROES = new Uint8Array(CHUNK);

/**
 * A namespace in a file, which is sparse where nothing was written. Not part of the deterministic model: whoever makes a
 * machine opens the file and closes it. Deallocation has no effect, for Node cannot punch holes.
 */
export class FileNamespace implements Namespace {
  readonly blockSizeLog2: number;
  readonly blockCount: number;
  /** −1 once closed: the number may belong to another file by then. */
  #fd: number;

  /** @param fd of a file open for reading and writing, of a positive multiple of the block size */
  constructor(fd: number, blockSizeLog2 = 9) {
    const { size } = fstatSync(fd);
    this.#fd = fd;
    this.blockSizeLog2 = blockSizeLog2;
    this.blockCount = size / 2 ** blockSizeLog2;
    if (!Number.isInteger(this.blockCount) || this.blockCount < 1)
      throw new UsageError(`a namespace file of ${size} bytes is no multiple of its ${2 ** blockSizeLog2}-byte blocks`);
  }

  /**
   * Opens a file, for its owner only if it has to be made. With `sizeBytes` the file gets that size, sparse if it grows;
   * it never shrinks.
   * @throws UsageError if there is no such file and no size, or it cannot be opened, or the size does not fit
   */
  static open(path: string, sizeBytes?: number, blockSizeLog2 = 9): FileNamespace {
    let fd: number;
    try {
      fd = openSync(path, sizeBytes === undefined ? 'r+' : 'a+', 0o600);
      closeSync(fd);
      fd = openSync(path, 'r+');
    } catch (error) {
      throw new UsageError(`namespace file ${path}: ${(error as Error).message}`);
    }
    try {
      const { size } = fstatSync(fd);
      if (sizeBytes !== undefined && size > sizeBytes)
        throw new UsageError(`namespace file ${path} has ${size} bytes, more than the ${sizeBytes} asked for`);
      if (sizeBytes !== undefined && size < sizeBytes) ftruncateSync(fd, sizeBytes);
      return new FileNamespace(fd, blockSizeLog2);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  read(offset: number, into: Uint8Array): boolean {
    return attempt(() => {
      for (let done = 0; done < into.length; ) {
        const count = readSync(this.#fd, into, done, into.length - done, offset + done);
        if (count === 0) return false; // someone cut the file short
        done += count;
      }
      return true;
    });
  }

  write(offset: number, bytes: Uint8Array): boolean {
    return attempt(() => {
      for (let done = 0; done < bytes.length; )
        done += writeSync(this.#fd, bytes, done, bytes.length - done, offset + done);
      return true;
    });
  }

  writeZeroes(offset: number, length: number): boolean {
    const held = new Uint8Array(Math.min(CHUNK, length));
    for (let done = 0; done < length; done += CHUNK) {
      const part = held.subarray(0, Math.min(CHUNK, length - done));
      if (!this.read(offset + done, part)) return false;
      if (part.some((byte) => byte !== 0) && !this.write(offset + done, ZEROES.subarray(0, part.length))) return false;
    }
    return true;
  }

  flush(): boolean {
    return attempt(() => {
      fdatasyncSync(this.#fd);
      return true;
    });
  }

  close(): void {
    closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** The medium failed: full disk, I/O error, closed file. */
function attempt(act: () => boolean): boolean {
  try {
    return act();
  } catch {
    return false;
  }
}
