/** Numbers in the order in which they were put in, in a typed array, so that putting one in allocates nothing. */
export class WorkQueue {
  #items = new Int32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** @param item an int32 */
  push(item: number): void {
    if (this.#length === this.#items.length) {
      const items = new Int32Array(2 * this.#length);
      items.set(this.#items);
      this.#items = items;
    }
    this.#items[this.#length++] = item;
  }

  at(index: number): number {
    return this.#items[index];
  }

  /** Takes one out if it is there. */
  remove(item: number): void {
    const index = this.#items.subarray(0, this.#length).indexOf(item);
    if (index < 0) return;
    this.#items.copyWithin(index, index + 1, this.#length);
    this.#length--;
  }

  clear(): void {
    this.#length = 0;
  }
}
