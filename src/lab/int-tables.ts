/** A copy of twice the length. */
export function doubled(words: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(2 * words.length);
  larger.set(words);
  return larger;
}

/** A map from pairs of whole numbers to whole numbers ≥ 0: open addressing, three words an entry. */
export class PairMap {
  #table = new Int32Array(3 << 12);
  #count = 0;

  /** The value of a pair, or −1. `a` ≥ 0. */
  get(a: number, b: number): number {
    const table = this.#table;
    const mask = table.length / 3 - 1;
    for (let slot = hashPair(a, b) & mask; ; slot = (slot + 1) & mask) {
      const key = table[3 * slot];
      if (key === 0) return -1;
      if (key === a + 1 && table[3 * slot + 1] === b) return table[3 * slot + 2];
    }
  }

  /** Adds a pair that is not there yet. */
  add(a: number, b: number, value: number): void {
    if (2 * ++this.#count > this.#table.length / 3) {
      const old = this.#table;
      this.#table = new Int32Array(2 * old.length);
      for (let i = 0; i < old.length; i += 3) if (old[i] !== 0) this.#store(old[i], old[i + 1], old[i + 2]);
    }
    this.#store(a + 1, b, value);
  }

  #store(key: number, b: number, value: number): void {
    const table = this.#table;
    const mask = table.length / 3 - 1;
    let slot = hashPair(key - 1, b) & mask;
    while (table[3 * slot] !== 0) slot = (slot + 1) & mask;
    table[3 * slot] = key;
    table[3 * slot + 1] = b;
    table[3 * slot + 2] = value;
  }
}

/** Numbers for sequences of whole numbers; 0 is the empty one. */
export class Tuples {
  readonly #next = new PairMap();
  #count = 0;

  /** The number of a sequence and one number more. */
  after(sequence: number, member: number): number {
    const known = this.#next.get(sequence, member);
    if (known >= 0) return known;
    this.#next.add(sequence, member, ++this.#count);
    return this.#count;
  }
}

function hashPair(a: number, b: number): number {
  const h = Math.imul(a ^ Math.imul(b, 0x85ebca6b), 0x9e3779b1);
  return h ^ (h >>> 15);
}
