import { type Arena, UsageError } from '../core/index.ts';

/**
 * Words of a device's record: number of its first vector, how many may send (all, or 0 while it is not open), how many it
 * has, its first pending word.
 */
const RECORD = { base: 0, open: 1, count: 2, pending: 3, words: 4 } as const;

/** What {@link VectorTables.raise} answers when no message leaves. */
export const HELD = -1;

/**
 * The MSI-X vector tables of many devices, back to back in flat arrays, so that a signal touches one record, one entry
 * and whatever its owner keeps in `route`. Words are int32: unsigned only at the API's edge. About 20.6 bytes a vector.
 */
export class VectorTables {
  /** Entries as the guest sees them: address low, address high, data, vector control. PCIe 5.0 §7.7.2.5 to .8. */
  readonly words: Int32Array;
  /** One bit a vector, for each device as many whole quadwords as its PBA has. */
  readonly pending: Int32Array;
  /** A word a vector: where its message goes, 0 if that must be found out. See {@link setRoute}. */
  readonly #route: Int32Array;
  readonly #records: Int32Array;
  /** Devices, vectors and pending words given out. */
  readonly #given: Int32Array;

  /** Room for `devices` devices with `vectors` vectors together. */
  constructor(arena: Arena, devices: number, vectors: number, label: string) {
    this.words = arena.int32(4 * vectors, `${label}.table`);
    this.pending = arena.int32(2 * Math.ceil((vectors + 63 * devices) / 64), `${label}.pba`);
    this.#route = arena.int32(vectors, `${label}.route`);
    this.#records = arena.int32(RECORD.words * devices, `${label}.devices`);
    this.#given = arena.int32(3, `${label}.given`);
  }

  /** Bytes of an arena for `devices` devices with `vectors` vectors together. */
  static bytes(devices: number, vectors: number): number {
    return 20 * vectors + 8 * Math.ceil((vectors + 63 * devices) / 64) + 16 * devices + 5 * 8;
  }

  get devices(): number {
    return this.#given[0];
  }

  /** Adds a device; its number. @throws UsageError if there is no room for it */
  add(count: number): number {
    const [device, base, pending] = this.#given;
    if (RECORD.words * device >= this.#records.length || 4 * (base + count) > this.words.length)
      throw new UsageError(`vector tables of ${this.words.length / 4} vectors have no room for ${count} more`);
    this.#records.set([base, 0, count, pending], RECORD.words * device);
    this.#given[0] = device + 1;
    this.#given[1] = base + count;
    this.#given[2] = pending + 2 * Math.ceil(count / 64);
    this.reset(device);
    return device;
  }

  /** Number of a device's first vector: its entry is at 4 × that in `words`. */
  base(device: number): number {
    return this.#records[RECORD.words * device + RECORD.base];
  }

  count(device: number): number {
    return this.#records[RECORD.words * device + RECORD.count];
  }

  /** Where a device's pending bits begin. */
  pendingAt(device: number): number {
    return this.#records[RECORD.words * device + RECORD.pending];
  }

  /** Whether a device's MSI-X is enabled and its function mask clear. */
  setOpen(device: number, open: boolean): void {
    this.#records[RECORD.words * device + RECORD.open] = open ? this.count(device) : 0;
  }

  isOpen(device: number): boolean {
    return this.#records[RECORD.words * device + RECORD.open] !== 0;
  }

  /**
   * Where the message of a vector goes that leaves if the device signals it now, as {@link setRoute} was told; 0 if that
   * is unknown or nothing leaves, which {@link raise} then finds out.
   */
  routeOf(device: number, vector: number): number {
    const records = this.#records;
    const at = device << 2;
    if (vector >= records[at + RECORD.open]) return 0;
    return this.#route[records[at + RECORD.base] + vector];
  }

  /**
   * Whoever takes the messages keeps what it found out of one, by the vector's number; not 0. Lasts until the entry is
   * written or the device reset; when the way changes beyond the entry, it is up to the taker to {@link forgetRoute}.
   * A masked vector keeps none, so that a route is leave to send.
   */
  setRoute(number: number, target: number): void {
    if ((this.words[4 * number + 3] & 1) === 0) this.#route[number] = target;
  }

  forgetRoute(number: number): void {
    this.#route[number] = 0;
  }

  /**
   * A device signals one of its vectors: the number of the vector whose message leaves now, or {@link HELD} if a mask
   * makes it pending or there is no such vector. Allocates nothing.
   */
  raise(device: number, vector: number): number {
    const records = this.#records;
    const at = device << 2;
    if (vector < records[at + RECORD.open]) {
      const number = records[at + RECORD.base] + vector;
      if ((this.words[4 * number + 3] & 1) === 0) return number;
    } else if (vector >= records[at + RECORD.count]) return HELD;
    this.pending[records[at + RECORD.pending] + (vector >> 5)] |= 1 << (vector & 31);
    return HELD;
  }

  /**
   * Stores the bits `mask` of one dword of a device's table. The number of the vector whose held message leaves
   * because the write unmasks it, or {@link HELD}. `dword` < 4 × count.
   */
  write(device: number, dword: number, mask: number, value: number): number {
    const records = this.#records;
    const { words } = this;
    const base = records[(device << 2) + RECORD.base];
    const at = (base << 2) + dword;
    const old = words[at];
    const now = (old & ~mask) | (value & mask);
    words[at] = now;
    const vector = dword >> 2;
    this.#route[base + vector] = 0;
    if ((dword & 3) !== 3 || (old & 1) === 0 || (now & 1) !== 0) return HELD;
    if (records[(device << 2) + RECORD.open] === 0) return HELD;
    const word = records[(device << 2) + RECORD.pending] + (vector >> 5);
    const bit = 1 << (vector & 31);
    if ((this.pending[word] & bit) === 0) return HELD;
    this.pending[word] &= ~bit;
    return base + vector;
  }

  /** Every entry of a device masked and zero, nothing pending. PCIe 5.0 §7.7.2.8: the mask bit's default is 1. */
  reset(device: number): void {
    const base = this.base(device);
    const count = this.count(device);
    this.words.fill(0, 4 * base, 4 * (base + count));
    for (let i = base; i < base + count; i++) this.words[4 * i + 3] = 1;
    this.#route.fill(0, base, base + count);
    const pending = this.pendingAt(device);
    this.pending.fill(0, pending, pending + 2 * Math.ceil(count / 64));
  }
}

/** One device's part of {@link VectorTables}: its entries and pending bits, by its own vector numbers. */
export class VectorTable {
  readonly tables: VectorTables;
  /** The device's number in `tables`. */
  readonly device: number;
  readonly count: number;
  /** Number of the device's first vector in `tables`. */
  readonly base: number;
  /** Views of the device's entries and pending bits; entries are written by {@link write} only. */
  readonly words: Int32Array;
  readonly pending: Int32Array;

  /** @param count 1 … 2048 */
  constructor(tables: VectorTables, count: number) {
    this.tables = tables;
    this.device = tables.add(count);
    this.count = count;
    this.base = tables.base(this.device);
    this.words = tables.words.subarray(4 * this.base, 4 * (this.base + count));
    const pending = tables.pendingAt(this.device);
    this.pending = tables.pending.subarray(pending, pending + 2 * Math.ceil(count / 64));
  }

  reset(): void {
    this.tables.reset(this.device);
  }

  masked(vector: number): boolean {
    return (this.words[4 * vector + 3] & 1) !== 0;
  }

  isPending(vector: number): boolean {
    return ((this.pending[vector >> 5] >>> (vector & 31)) & 1) !== 0;
  }

  clearPending(vector: number): void {
    this.pending[vector >> 5] &= ~(1 << (vector & 31));
  }
}
