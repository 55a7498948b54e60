/**
 * Numbers of paths, exact: one for each state of a layer, as many 32-bit limbs each as the layer's largest can have,
 * least significant first.
 */
export class PathCounts {
  readonly limbs: number;
  #words: Uint32Array;

  /** @param bits how long a number can be */
  constructor(bits: number) {
    this.limbs = 1 + Math.floor(bits / 32);
    this.#words = new Uint32Array(64 * this.limbs);
  }

  /** Adds to number `to` the number `from` of another layer, which has no more limbs. */
  add(to: number, others: PathCounts, from: number): void {
    const { limbs } = this;
    while ((to + 1) * limbs > this.#words.length) {
      const larger = new Uint32Array(2 * this.#words.length);
      larger.set(this.#words);
      this.#words = larger;
    }
    const given = others.#words;
    const source = from * others.limbs;
    const target = to * limbs;
    let carry = 0;
    for (let i = 0; i < limbs; i++) {
      const sum = this.#words[target + i] + (i < others.limbs ? given[source + i] : 0) + carry;
      this.#words[target + i] = sum;
      carry = sum > 0xffffffff ? 1 : 0;
    }
  }

  set(index: number, value: number): void {
    this.#words[index * this.limbs] = value;
  }

  get(index: number): bigint {
    let value = 0n;
    for (let i = this.limbs - 1; i >= 0; i--) value = (value << 32n) | BigInt(this.#words[index * this.limbs + i]);
    return value;
  }
}
