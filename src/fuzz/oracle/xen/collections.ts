/** A map from small numbers, as an array: everything is looked at after each step. */
export class Table<T> {
  size = 0;
  readonly slots: (T | undefined)[] = [];

  get(at: number): T | undefined {
    return at >= 0 && at < this.slots.length ? this.slots[at] : undefined;
  }

  has(at: number): boolean {
    return this.get(at) !== undefined;
  }

  set(at: number, value: T): void {
    while (this.slots.length < at) this.slots.push(undefined);
    if (!this.has(at)) this.size++;
    this.slots[at] = value;
  }

  delete(at: number): void {
    if (!this.has(at)) return;
    this.slots[at] = undefined;
    this.size--;
  }

  /** Ascending. */
  *[Symbol.iterator](): Generator<[number, T]> {
    for (let at = 0; at < this.slots.length; at++) {
      const value = this.slots[at];
      if (value !== undefined) yield [at, value];
    }
  }

  clone(copy: (value: T) => T): Table<T> {
    const twin = new Table<T>();
    for (const value of this.slots) twin.slots.push(value === undefined ? undefined : copy(value));
    twin.size = this.size;
    return twin;
  }

  /** The `n`th number in use; −1 if there are fewer. */
  nth(n: number): number {
    for (let at = 0; at < this.slots.length; at++) if (this.slots[at] !== undefined && n-- === 0) return at;
    return -1;
  }
}

/** A set of numbers below 256. */
export class Bits {
  readonly words = new Int32Array(8);

  has(at: number): boolean {
    return ((this.words[at >> 5] >>> (at & 31)) & 1) !== 0;
  }

  add(at: number): void {
    this.words[at >> 5] |= 1 << (at & 31);
  }

  delete(at: number): void {
    this.words[at >> 5] &= ~(1 << (at & 31));
  }

  clone(): Bits {
    const twin = new Bits();
    twin.words.set(this.words);
    return twin;
  }
}
