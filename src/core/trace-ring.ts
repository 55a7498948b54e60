import { UsageError } from './errors.ts';

/** Words of one entry. */
const ENTRY = 4;

/**
 * The last 2^log2 entries of a trace, four 32-bit words each; what the words say is the writer's business. Writing
 * allocates nothing. A trace is no state: it is not in the arena, and a restored snapshot leaves it as it is.
 */
export class TraceRing {
  readonly #words: Int32Array;
  readonly #mask: number;
  #written = 0;

  /** @param log2 0 … 24 */
  constructor(log2: number) {
    if (log2 < 0 || log2 > 24) throw new UsageError(`a trace ring of 2^${log2} entries`);
    this.#words = new Int32Array(ENTRY << log2);
    this.#mask = (ENTRY << log2) - 1;
  }

  /** Entries ever written, the overwritten ones included. */
  get written(): number {
    return this.#written;
  }

  push(a: number, b: number, c: number, d: number): void {
    const words = this.#words;
    const at = (this.#written * ENTRY) & this.#mask;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    this.#written++;
  }

  /** The entries still held, oldest first; the words are int32. */
  *entries(): Generator<readonly [number, number, number, number]> {
    const held = Math.min(this.#written, (this.#mask + 1) / ENTRY);
    for (let n = this.#written - held; n < this.#written; n++) {
      const at = (n * ENTRY) & this.#mask;
      const w = this.#words;
      yield [w[at], w[at + 1], w[at + 2], w[at + 3]];
    }
  }
}
