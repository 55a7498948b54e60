import { doubled } from './int-tables.ts';

/** The columns of a fingerprint. */
export const PRINT = Int32Array.of(0, 1, 2, 3);

/**
 * Rows of words, told apart by some of their columns. A row is built in place, at {@link open}, and then looked for:
 * if it is new it stays there.
 */
export class RowSet {
  readonly stride: number;
  rows: Int32Array;
  count = 0;
  /** Row + 1 of each hash, open addressing, and the hashes themselves. */
  #table = new Int32Array(1 << 6);
  #hashes: Int32Array;

  constructor(stride: number) {
    this.stride = stride;
    this.rows = new Int32Array(64 * stride);
    this.#hashes = new Int32Array(64);
  }

  clear(): void {
    this.count = 0;
    if (this.#table.length > 1 << 12) this.#table = new Int32Array(1 << 6);
    else this.#table.fill(0);
  }

  /** Where the next row is to be written. */
  open(): number {
    if ((this.count + 1) * this.stride > this.rows.length) {
      this.rows = doubled(this.rows);
      this.#hashes = doubled(this.#hashes);
    }
    return this.count * this.stride;
  }

  /** The row equal to the open one in `columns`; the open one itself, if there was none: then `count` has grown. */
  close(columns: Int32Array): number {
    const rows = this.rows;
    const at = this.count * this.stride;
    let hash = 0;
    for (let i = 0; i < columns.length; i++) {
      const word = rows[at + columns[i]];
      if (word === 0) continue; // a column that comes into use later was 0 in the rows before
      hash = Math.imul(hash ^ word ^ (i << 24), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const table = this.#table;
    const mask = table.length - 1;
    let slot = hash & mask;
    for (; table[slot] !== 0; slot = (slot + 1) & mask) {
      const known = table[slot] - 1;
      if (this.#hashes[known] === hash && this.#equals(known * this.stride, at, columns)) return known;
    }
    this.#hashes[this.count] = hash;
    table[slot] = ++this.count;
    if (2 * this.count > table.length) this.#grow();
    return this.count - 1;
  }

  #equals(a: number, b: number, columns: Int32Array): boolean {
    const rows = this.rows;
    for (let i = 0; i < columns.length; i++) if (rows[a + columns[i]] !== rows[b + columns[i]]) return false;
    return true;
  }

  #grow(): void {
    this.#table = new Int32Array(2 * this.#table.length);
    const mask = this.#table.length - 1;
    for (let n = 0; n < this.count; n++) {
      let slot = this.#hashes[n] & mask;
      while (this.#table[slot] !== 0) slot = (slot + 1) & mask;
      this.#table[slot] = n + 1;
    }
  }
}
