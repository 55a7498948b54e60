import { UsageError } from '../core/index.ts';
import type { DmaMemory } from '../pci/index.ts';

const CHUNK = 1 << 16;

/** Memory from address 0 that holds only what was written. Beyond its size reads come back short and writes vanish. */
export class SparseMemory implements DmaMemory {
  readonly sizeBytes: number;
  #chunks = new Map<number, Uint8Array>();

  constructor(sizeBytes = 2 ** 32) {
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new UsageError(`no memory has ${sizeBytes} bytes`);
    this.sizeBytes = sizeBytes;
  }

  readBytes(address: number, length: number): Uint8Array {
    const out = new Uint8Array(Math.max(0, Math.min(length, this.sizeBytes - address)));
    this.#eachPiece(address, out.length, (index, from, to, done) => {
      const chunk = this.#chunks.get(index);
      if (chunk) out.set(chunk.subarray(from, to), done);
    });
    return out;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    const length = Math.max(0, Math.min(bytes.length, this.sizeBytes - address));
    this.#eachPiece(address, length, (index, from, to, done) => {
      let chunk = this.#chunks.get(index);
      if (!chunk) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK)));
      chunk.set(bytes.subarray(done, done + to - from), from);
    });
  }

  /** A copy of all that was written, for {@link restore}. */
  snapshot(): ReadonlyMap<number, Uint8Array> {
    return copyOf(this.#chunks);
  }

  restore(snapshot: ReadonlyMap<number, Uint8Array>): void {
    this.#chunks = copyOf(snapshot);
  }

  #eachPiece(address: number, length: number, act: (index: number, from: number, to: number, done: number) => void) {
    for (let done = 0; done < length; ) {
      const index = Math.floor((address + done) / CHUNK);
      const from = address + done - index * CHUNK;
      const to = Math.min(CHUNK, from + length - done);
      act(index, from, to, done);
      done += to - from;
    }
  }
}

function copyOf(chunks: ReadonlyMap<number, Uint8Array>): Map<number, Uint8Array> {
  return new Map([...chunks].map(([index, chunk]) => [index, chunk.slice()]));
}
