/** One message as it must leave: address, data, and which vector it belongs to. Words are unsigned. */
export interface NaiveMessage {
  vector: number;
  addressLo: number;
  addressHi: number;
  data: number;
}

/** One MSI-X vector: the four words of its entry and its pending bit. PCIe 5.0 §7.7.2.5 to §7.7.2.9. */
export class NaiveVector {
  words = [0, 0, 0, 1];
  pending = false;

  get masked(): boolean {
    return (this.words[3] & 1) === 1;
  }
}

/** Bits of an entry's words that software can change: address 31:2, upper address, data, the mask bit. */
const WRITABLE = [0xfffffffc, 0xffffffff, 0xffffffff, 0x00000001];

/**
 * MSI-X told again, one object a vector, made when it is first touched. It knows no registers but its own: enable and
 * function mask are handed in.
 */
export class NaiveMsix {
  readonly count: number;
  #vectors = new Map<number, NaiveVector>();
  #pending = 0;

  constructor(count: number) {
    this.count = count;
  }

  reset(): void {
    if (this.#vectors.size > 0) this.#vectors.clear();
    this.#pending = 0;
  }

  save(): Map<number, NaiveVector> {
    const copy = new Map<number, NaiveVector>();
    for (const [index, v] of this.#vectors) {
      const twin = new NaiveVector();
      twin.words = v.words.slice();
      twin.pending = v.pending;
      copy.set(index, twin);
    }
    return copy;
  }

  restore(saved: Map<number, NaiveVector>): void {
    const all = new NaiveMsix(this.count);
    all.#vectors = saved;
    this.#vectors = all.save();
    this.#pending = 0;
    for (const v of this.#vectors.values()) if (v.pending) this.#pending++;
  }

  vector(index: number): NaiveVector | undefined {
    return this.#vectors.get(index);
  }

  get touched(): IterableIterator<[number, NaiveVector]> {
    return this.#vectors.entries();
  }

  get anyPending(): boolean {
    return this.#pending > 0;
  }

  /** Takes over an entry as somebody else's function shows it. */
  adopt(index: number, words: readonly number[], pending: boolean): void {
    const v = this.#make(index);
    this.#pending += Number(pending) - Number(v.pending);
    v.words = words.map((word, i) => (word & WRITABLE[i]) >>> 0);
    v.pending = pending;
  }

  /** A byte of the table window. */
  tableByte(at: number): number {
    const v = this.#vectors.get(at >> 4);
    if (!v) return (at & 15) === 12 ? 1 : 0;
    return (v.words[(at >> 2) & 3] >>> (8 * (at & 3))) & 0xff;
  }

  writeTableByte(at: number, value: number): void {
    const index = at >> 4;
    if (index >= this.count) return;
    const v = this.#make(index);
    const word = (at >> 2) & 3;
    const shift = 8 * (at & 3);
    const mask = (WRITABLE[word] & (0xff << shift)) >>> 0;
    v.words[word] = ((v.words[word] & ~mask) | ((value << shift) & mask)) >>> 0;
  }

  /** A byte of the pending bit array: 64 vectors a quadword, bits beyond the table 0. */
  pendingByte(at: number): number {
    let byte = 0;
    if (this.#pending > 0)
      for (let bit = 0; bit < 8; bit++) if (this.#vectors.get(8 * at + bit)?.pending) byte |= 1 << bit;
    return byte;
  }

  /** §6.1.4.5: a signalled vector becomes pending; the caller sends what may leave. */
  signal(index: number): void {
    if (index >= this.count) return;
    const v = this.#make(index);
    if (!v.pending) this.#pending++;
    v.pending = true;
  }

  /** Takes what may leave while the function is open, lowest vector first. */
  takeReady(): NaiveMessage[] {
    const ready: NaiveMessage[] = [];
    if (this.#pending === 0) return ready;
    for (const [vector, v] of this.#vectors) {
      if (!v.pending || v.masked) continue;
      v.pending = false;
      this.#pending--;
      ready.push({ vector, addressLo: v.words[0], addressHi: v.words[1], data: v.words[2] });
    }
    return ready.sort((a, b) => a.vector - b.vector);
  }

  #make(index: number): NaiveVector {
    let v = this.#vectors.get(index);
    if (!v) this.#vectors.set(index, (v = new NaiveVector()));
    return v;
  }
}
