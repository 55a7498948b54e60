import type { Arena } from '../core/index.ts';

/**
 * An MSI-X vector table and its pending bits as flat words. `words` holds each entry as the guest sees it, four words
 * a vector: address low, address high, data, vector control (PCIe 5.0 §7.7.2.5 to .8); `pending` one bit a vector, in
 * as many whole quadwords as the PBA has. Words are int32: unsigned only at the API's edge.
 */
export class VectorTable {
  readonly count: number;
  readonly words: Int32Array;
  readonly pending: Int32Array;

  /** @param count 1 … 2048 */
  constructor(arena: Arena, count: number, label: string) {
    this.count = count;
    this.words = arena.int32(4 * count, `${label}.table`);
    this.pending = arena.int32(2 * Math.ceil(count / 64), `${label}.pba`);
    this.reset();
  }

  /** Every entry masked and zero, nothing pending. PCIe 5.0 §7.7.2.8: the mask bit's default is 1. */
  reset(): void {
    this.words.fill(0);
    this.pending.fill(0);
    for (let i = 3; i < this.words.length; i += 4) this.words[i] = 1;
  }

  masked(vector: number): boolean {
    return (this.words[4 * vector + 3] & 1) !== 0;
  }

  isPending(vector: number): boolean {
    return ((this.pending[vector >> 5] >>> (vector & 31)) & 1) !== 0;
  }

  setPending(vector: number): void {
    this.pending[vector >> 5] |= 1 << (vector & 31);
  }

  clearPending(vector: number): void {
    this.pending[vector >> 5] &= ~(1 << (vector & 31));
  }
}
