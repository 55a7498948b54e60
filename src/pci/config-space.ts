import { type Arena, ones, readLe, type Width } from '../core/index.ts';

/**
 * The bytes of a configuration space under per-bit write masks. Knows no register: a write is
 * `(old & ~writable) | (value & writable)`, then bits written 1 under `w1c` clear, over the bytes of any width at any
 * alignment, together. One flag word per dword says which hooks a write (or read) there concerns; 0 means none, the
 * fast path. Relies on a little-endian host, as typed arrays do on every platform Node runs on.
 */
export class ConfigSpace {
  /** Present contents, in the arena. */
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  /** Constant masks: bits of `writable` take the written value, bits of `w1c` clear on a written 1. */
  readonly writable: Uint8Array;
  readonly w1c: Uint8Array;
  /** Hook flags of each dword; the meaning is the owner's. */
  readonly writeHooks: Int32Array;
  readonly readHooks: Int32Array;
  readonly #writableWords: Int32Array;
  readonly #w1cWords: Int32Array;

  constructor(arena: Arena, sizeBytes: number, label: string) {
    const count = sizeBytes >> 2;
    this.words = arena.int32(count, label);
    this.bytes = arena.bytesOf(this.words);
    this.#writableWords = new Int32Array(count);
    this.#w1cWords = new Int32Array(count);
    this.writable = new Uint8Array(this.#writableWords.buffer);
    this.w1c = new Uint8Array(this.#w1cWords.buffer);
    this.writeHooks = new Int32Array(count);
    this.readHooks = new Int32Array(count);
  }

  /** Value without side effects, unsigned; bytes beyond the end read 0, an offset beyond it gives all ones. */
  get(offset: number, width: Width): number {
    const lane = (offset & 3) * 8;
    if (lane + 8 * width <= 32 && offset < this.bytes.length)
      return (this.words[offset >> 2] << (32 - 8 * width - lane)) >>> (32 - 8 * width);
    return this.#getAcross(offset, width);
  }

  /** Apart, so that what is read all the time stays short enough to be inlined. */
  #getAcross(offset: number, width: Width): number {
    const size = this.bytes.length;
    if (offset + width <= size) return readLe(this.bytes, offset, width);
    if (offset >= size) return ones(width);
    let value = 0;
    for (let i = 0; offset + i < size; i++) value |= this.bytes[offset + i] << (8 * i);
    return value >>> 0;
  }

  /** Stores whatever the masks say; for hardware's own changes of its registers. */
  set(offset: number, width: Width, value: number): void {
    for (let i = 0; i < width; i++) this.bytes[offset + i] = value >>> (8 * i);
  }

  /** Changes the bits of `mask` to those of `value`, whatever the masks say. */
  update(offset: number, width: Width, mask: number, value: number): void {
    this.set(offset, width, (this.get(offset, width) & ~mask) | (value & mask));
  }

  /** A guest's write, without hooks; what lies beyond the end vanishes. */
  write(offset: number, width: Width, value: number): void {
    const lane = (offset & 3) * 8;
    if (lane + 8 * width <= 32 && offset + width <= this.bytes.length) {
      const at = offset >> 2;
      const mask = ones(width) << lane;
      const v = value << lane;
      const writable = this.#writableWords[at] & mask;
      this.words[at] = ((this.words[at] & ~writable) | (v & writable)) & ~(v & mask & this.#w1cWords[at]);
      return;
    }
    for (let i = 0; i < width && offset + i < this.bytes.length; i++) {
      const at = offset + i;
      const v = (value >>> (8 * i)) & 0xff;
      this.bytes[at] = ((this.bytes[at] & ~this.writable[at]) | (v & this.writable[at])) & ~(v & this.w1c[at]);
    }
  }

  /** The hooks that a write of `width` bytes at `offset` concerns. */
  hooksOfWrite(offset: number, width: Width): number {
    if ((offset & 3) + width <= 4) return this.writeHooks[offset >> 2];
    return twoDwords(this.writeHooks, offset >> 2);
  }

  hooksOfRead(offset: number, width: Width): number {
    if ((offset & 3) + width <= 4) return this.readHooks[offset >> 2];
    return twoDwords(this.readHooks, offset >> 2);
  }

  /** Marks the dwords of [at, at + sizeBytes) with a hook flag. */
  hook(hooks: Int32Array, at: number, sizeBytes: number, flag: number): void {
    for (let dword = at >> 2; dword <= (at + sizeBytes - 1) >> 2 && dword < hooks.length; dword++) hooks[dword] |= flag;
  }
}

/** Flags of the dword `at` and of the next one, if there is one. */
function twoDwords(hooks: Int32Array, at: number): number {
  return hooks[at] | (at + 1 < hooks.length ? hooks[at + 1] : 0);
}

/** True if the access [offset, offset + width) has a byte in [at, at + sizeBytes). */
export function overlaps(offset: number, width: number, at: number, sizeBytes: number): boolean {
  return offset < at + sizeBytes && offset + width > at;
}
