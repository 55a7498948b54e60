import { doubled, PairMap } from './int-tables.ts';

/** Words in a block. */
export const BLOCK_WORDS = 16;

/** The write that sets nothing. */
export const NO_WRITE = 0;

/** Runs of 16 words, each kept once: equal contents have equal numbers. Block 0 is all zero. */
export class BlockPool {
  /** Contents of block n from word 16 n on. */
  words = new Int32Array(BLOCK_WORDS << 12);
  #count = 0;
  /** Block + 1, open addressing. */
  #table = new Int32Array(1 << 13);
  /** A write is another one and one word more: by number, the other, the place and the value. */
  readonly #rest = [NO_WRITE];
  readonly #place = [0];
  readonly #value = [0];
  readonly #writeOf = new PairMap();
  readonly #written = new PairMap();

  constructor() {
    this.intern(new Int32Array(BLOCK_WORDS));
  }

  intern(block: Int32Array): number {
    const mask = this.#table.length - 1;
    let slot = hashBlock(block, 0) & mask;
    for (; this.#table[slot] !== 0; slot = (slot + 1) & mask)
      if (this.#equals(this.#table[slot] - 1, block)) return this.#table[slot] - 1;
    if ((this.#count + 1) * BLOCK_WORDS > this.words.length) this.words = doubled(this.words);
    this.words.set(block, this.#count * BLOCK_WORDS);
    this.#table[slot] = ++this.#count;
    if (2 * this.#count > this.#table.length) this.#grow();
    return this.#count - 1;
  }

  /** The write that does what another does and sets one word more; equal ones have equal numbers if words come in order. */
  writeAlso(write: number, place: number, value: number): number {
    const head = write * BLOCK_WORDS + place;
    const known = this.#writeOf.get(head, value);
    if (known >= 0) return known;
    const number = this.#rest.push(write) - 1;
    this.#place.push(place);
    this.#value.push(value);
    this.#writeOf.add(head, value, number);
    return number;
  }

  /** The block that a write makes of another. */
  write(number: number, block: number): number {
    const known = this.#written.get(number, block);
    if (known >= 0) return known;
    const words = this.words.slice(block * BLOCK_WORDS, (block + 1) * BLOCK_WORDS);
    for (let write = number; write !== NO_WRITE; write = this.#rest[write])
      words[this.#place[write]] = this.#value[write];
    const made = this.intern(words);
    this.#written.add(number, block, made);
    return made;
  }

  #equals(known: number, block: Int32Array): boolean {
    for (let i = 0, at = known * BLOCK_WORDS; i < BLOCK_WORDS; i++) if (this.words[at + i] !== block[i]) return false;
    return true;
  }

  #grow(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    const mask = this.#table.length - 1;
    for (let n = 0; n < this.#count; n++) {
      let slot = hashBlock(this.words, n * BLOCK_WORDS) & mask;
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
      this.#table[slot] = n + 1;
    }
  }
}

function hashBlock(words: Int32Array, at: number): number {
  let h = 0;
  for (let i = 0; i < BLOCK_WORDS; i++) {
    h = Math.imul(h ^ words[at + i], 0x9e3779b1);
    h ^= h >>> 15;
  }
  return h;
}
