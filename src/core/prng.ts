/** A small deterministic generator (xorshift128, 32-bit words) for workloads, fuzzing and tests. Same seed, same numbers. */
export class Prng {
  readonly #s = new Int32Array(4);

  constructor(seed: number) {
    // splitmix-style expansion, so that neighbouring seeds give unrelated streams
    let z = seed | 0;
    for (let i = 0; i < 4; i++) {
      z = (z + 0x9e3779b9) | 0;
      let x = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
      this.#s[i] = x ^ (x >>> 15) || 1;
    }
  }

  /** The next unsigned 32-bit number. */
  next(): number {
    const s = this.#s;
    let t = s[3];
    const first = s[0];
    s[3] = s[2];
    s[2] = s[1];
    s[1] = first;
    t ^= t << 11;
    t ^= t >>> 8;
    s[0] = t ^ first ^ (first >>> 19);
    return s[0] >>> 0;
  }

  /** A number in 0 … n − 1; n ≤ 2^32. */
  below(n: number): number {
    return Math.floor((this.next() / 0x1_0000_0000) * n);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)];
  }
}
