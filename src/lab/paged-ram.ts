import { type Arena, readLe, UsageError, writeLe } from '../core/index.ts';
import type { DmaMemory } from '../pci/function.ts';
import type { GuestMemory } from '../xen/index.ts';

const PAGE = 4096;

/**
 * Guest memory of any size of which only pages that something was written to exist; all others are zero, and zeros
 * written there leave them so. Everything from address 0 up is RAM.
 */
export class PagedRam implements DmaMemory, GuestMemory {
  readonly #bytes: Uint8Array;
  /** Frame + 1 of each page that exists; they are taken in order. */
  readonly #frames: Float64Array;
  /** Place + 1 of frames in {@link #bytes}, by a hash of the frame; the next free word is taken if that is not. */
  readonly #places: Int32Array;
  readonly #count: Int32Array;

  /** @param pages that can exist */
  constructor(arena: Arena, pages: number) {
    this.#bytes = arena.bytes(pages * PAGE, 'guest RAM');
    const frames = arena.bytes(pages * 8, 'guest RAM frames');
    this.#frames = new Float64Array(frames.buffer, frames.byteOffset, pages);
    this.#places = arena.int32(hashWords(pages), 'guest RAM places');
    this.#count = arena.int32(1, 'guest RAM pages');
  }

  static sizeBytes(pages: number): number {
    return pages * (PAGE + 8) + hashWords(pages) * 4 + 16;
  }

  get pages(): number {
    return this.#count[0];
  }

  load(address: number): number {
    const at = this.#find(address);
    return at < 0 ? 0 : readLe(this.#bytes, at, 4);
  }

  store(address: number, value: number): void {
    const at = value === 0 ? this.#find(address) : this.#make(address);
    if (at >= 0) writeLe(this.#bytes, at, 4, value);
  }

  readBytes(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const count = Math.min(length - done, PAGE - ((address + done) % PAGE));
      const at = this.#find(address + done);
      if (at >= 0) for (let i = 0; i < count; i++) out[done + i] = this.#bytes[at + i];
      done += count;
    }
    return out;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const count = Math.min(bytes.length - done, PAGE - ((address + done) % PAGE));
      const known = this.#find(address + done);
      const at = known >= 0 || isZero(bytes, done, done + count) ? known : this.#make(address + done);
      if (at >= 0) for (let i = 0; i < count; i++) this.#bytes[at + i] = bytes[done + i];
      done += count;
    }
  }

  read(address: number, length: number): Uint8Array {
    return this.readBytes(address, length);
  }

  write(address: number, bytes: Uint8Array): boolean {
    this.writeBytes(address, bytes);
    return true;
  }

  /** Index of the byte at `address`, −1 while its page does not exist. */
  #find(address: number): number {
    const frame = Math.floor(address / PAGE);
    const place = this.#places[this.#wordOf(frame)] - 1;
    return place < 0 ? -1 : place * PAGE + (address - frame * PAGE);
  }

  /** The word that has a frame's place, or the free one that would. */
  #wordOf(frame: number): number {
    const places = this.#places;
    const last = places.length - 1;
    const mixed = Math.imul(frame, 0x9e3779b1);
    let word = (mixed ^ (mixed >>> 15)) & last;
    while (places[word] !== 0 && this.#frames[places[word] - 1] !== frame + 1) word = (word + 1) & last;
    return word;
  }

  #make(address: number): number {
    const at = this.#find(address);
    if (at >= 0) return at;
    const place = this.#count[0];
    if (place === this.#frames.length)
      throw new UsageError(`guest memory has room for ${place} pages that are written to, and needs more`);
    const frame = Math.floor(address / PAGE);
    this.#frames[place] = frame + 1;
    this.#count[0] = place + 1;
    this.#places[this.#wordOf(frame)] = place + 1;
    return place * PAGE + (address - frame * PAGE);
  }
}

function isZero(bytes: Uint8Array, from: number, end: number): boolean {
  for (let i = from; i < end; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** A power of two of which at most half is used. */
function hashWords(pages: number): number {
  return 2 ** Math.ceil(Math.log2(2 * pages + 2));
}
