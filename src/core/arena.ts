import { UsageError } from './errors.ts';
import type { Footprint } from './footprint.ts';

/**
 * One block of memory from which a machine takes all its mutable state as typed arrays, so that a snapshot is a copy
 * of one run of bytes and two states are equal exactly if those bytes are.
 *
 * Memory is handed out by a bump pointer and never returned: what is allocated is the machine's shape, fixed while it
 * is built. The block is reserved at once but touched only as it is used, so a generous capacity costs nothing.
 */
export class Arena {
  readonly #buffer: ArrayBuffer;
  readonly #words: Int32Array;
  readonly #labels: { at: number; label: string }[] = [];
  /** Runs of words that count for identity, [from, to); undefined: all. */
  #identity: [number, number][] | undefined;
  readonly #footprint: Footprint | undefined;
  #used = 0;
  /** The words in use; made once, as making a view takes as long as copying 2 KiB. */
  #live: Int32Array;

  /**
   * @param capacityBytes upper bound of all state together, rounded up to 8; more than 4 GiB are possible
   * @param footprint notes every access to the views that are handed out
   */
  constructor(capacityBytes = 1 << 22, footprint?: Footprint) {
    this.#footprint = footprint;
    this.#buffer = new ArrayBuffer(roundUp(capacityBytes));
    this.#words = new Int32Array(this.#buffer);
    this.#live = this.#words.subarray(0, 0);
  }

  get usedBytes(): number {
    return this.#used;
  }

  /** Takes `length` zeroed 32-bit words. `label` names them in {@link explainDifference}. */
  int32(length: number, label: string): Int32Array {
    return this.#watched(new Int32Array(this.#buffer, this.#take(length * 4, label), length));
  }

  /** The bytes of words that {@link int32} has handed out. */
  bytesOf(words: Int32Array): Uint8Array {
    return this.#watched(new Uint8Array(this.#buffer, words.byteOffset, words.byteLength));
  }

  /** Takes `length` zeroed doubles. */
  float64(length: number, label: string): Float64Array {
    return this.#watched(new Float64Array(this.#buffer, this.#take(length * 8, label), length));
  }

  /** Takes `length` zeroed bytes, starting at a multiple of 8. */
  bytes(length: number, label: string): Uint8Array {
    return this.#watched(new Uint8Array(this.#buffer, this.#take(length, label), length));
  }

  /** All state as words, unwatched: for who copies and compares it whole. */
  get words(): Int32Array {
    const words = this.#used / 4;
    if (this.#live.length !== words) this.#live = this.#words.subarray(0, words);
    return this.#live;
  }

  /** The label under which each word was taken, run by run: words [from, to). */
  runs(): { label: string; from: number; to: number }[] {
    return this.#labels.map(({ at, label }, i) => ({
      label,
      from: at / 4,
      to: (this.#labels[i + 1]?.at ?? this.#used) / 4,
    }));
  }

  /** True if word `index` is part of the {@link fingerprint}. */
  isIdentity(index: number): boolean {
    return !this.#identity || this.#identity.some(([from, to]) => index >= from && index < to);
  }

  /** A copy of all state; pass the previous one as `into` to re-use its memory. */
  snapshot(into?: Int32Array): Int32Array {
    const words = this.#used / 4;
    const copy = into && into.length === words ? into : new Int32Array(words);
    copy.set(this.words);
    return copy;
  }

  /** @throws UsageError if the snapshot was taken from an arena of another shape */
  restore(snapshot: Int32Array): void {
    if (snapshot.length !== this.#used / 4)
      throw new UsageError(`snapshot of ${snapshot.length * 4} bytes does not fit a machine of ${this.#used} bytes`);
    this.#words.set(snapshot);
  }

  /**
   * Leaves what `isName` says out of {@link fingerprint}: state that only names things (which vector an irq
   * happens to have) or that other state determines. States that differ in nothing else then have one fingerprint, which
   * is right only if they behave alike but for those names; who calls this must know. Snapshots keep everything.
   */
  excludeFromIdentity(isName: (label: string) => boolean): void {
    const runs: [number, number][] = [];
    for (const [i, { at, label }] of this.#labels.entries()) {
      if (isName(label)) continue;
      const from = at / 4;
      const to = (this.#labels[i + 1]?.at ?? this.#used) / 4;
      const last = runs.at(-1);
      if (last && last[1] === from) last[1] = to;
      else if (from < to) runs.push([from, to]);
    }
    this.#identity = runs;
  }

  /**
   * A fingerprint of 128 bits in the four words of `into`; equal states have equal ones. `extra` counts as if it were
   * part of the state, which is how what {@link excludeFromIdentity} leaves out can be put in another form.
   */
  fingerprint(into: Int32Array, extra?: Int32Array): void {
    beginMix(into);
    for (const [from, to] of this.#identity ?? [[0, this.#used / 4]]) mixWords(into, this.#words, from, to);
    if (extra) mixWords(into, extra, 0, extra.length);
    finishMix(into);
  }

  /** 32 bits of the {@link fingerprint}. */
  hash(): number {
    const print = new Int32Array(4);
    this.fingerprint(print);
    return print[0];
  }

  /** True if the present state is that of `snapshot`, word for word. */
  equals(snapshot: Int32Array): boolean {
    return this.explainDifference(snapshot) === undefined;
  }

  /** Names the first word in which the present state differs from `snapshot`, or undefined if none does. */
  explainDifference(snapshot: Int32Array): string | undefined {
    for (let i = 0; i < snapshot.length; i++) {
      if (this.#words[i] === snapshot[i]) continue;
      const owner = this.#labels.findLast((l) => l.at <= i * 4)!;
      return `${owner.label}+0x${(i * 4 - owner.at).toString(16)}: ${snapshot[i]} then, ${this.#words[i]} now`;
    }
    return undefined;
  }

  #watched<V extends Int32Array | Uint8Array | Float64Array>(view: V): V {
    return this.#footprint ? this.#footprint.wrap(view) : view;
  }

  #take(sizeBytes: number, label: string): number {
    const at = this.#used;
    const end = at + roundUp(sizeBytes);
    if (end > this.#buffer.byteLength)
      throw new UsageError(
        `state of ${end} bytes (at "${label}") exceeds the arena's ${this.#buffer.byteLength}; give it a larger capacity`,
      );
    this.#labels.push({ at, label });
    this.#used = end;
    return at;
  }
}

/** To a multiple of 8. An arena may be larger than 2 GiB, so that byte counts are no int32. */
function roundUp(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

/** A fingerprint of 128 bits of the first `count` words, in the four words of `into`. */
export function fingerprintWords(into: Int32Array, words: Int32Array, count = words.length): void {
  beginMix(into);
  mixWords(into, words, 0, count);
  finishMix(into);
}

function beginMix(into: Int32Array): void {
  into[0] = 0x243f6a88;
  into[1] = 0x85a308d3 | 0;
  into[2] = 0x13198a2e;
  into[3] = 0x03707344;
}

/**
 * Four lanes that each take every fourth word, multiplied and folded (as FNV-1a does with bytes), and are rotated into
 * each other after each run, so that a word counts by its value and its place.
 */
function mixWords(into: Int32Array, words: Int32Array, from: number, to: number): void {
  let a = into[0] ^ (to - from);
  let b = into[1];
  let c = into[2];
  let d = into[3];
  let i = from;
  for (; i + 3 < to; i += 4) {
    a = Math.imul(a ^ words[i], 0x85ebca6b);
    b = Math.imul(b ^ words[i + 1], 0xc2b2ae35);
    c = Math.imul(c ^ words[i + 2], 0x27d4eb2f);
    d = Math.imul(d ^ words[i + 3], 0x165667b1);
    a = (a ^ (a >>> 15)) + b;
    b = (b ^ (b >>> 13)) + c;
    c = (c ^ (c >>> 16)) + d;
    d = (d ^ (d >>> 14)) + a;
  }
  for (; i < to; i++) a = Math.imul(a ^ words[i], 0x9e3779b1) ^ (a >>> 15);
  into[0] = b;
  into[1] = c;
  into[2] = d;
  into[3] = a;
}

/** Every bit of every word comes to depend on all of them. */
function finishMix(into: Int32Array): void {
  for (let round = 0; round < 8; round++) {
    const i = round & 3;
    const x = into[i] ^ into[(i + 3) & 3];
    const y = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    into[i] = y ^ (y >>> 13);
  }
}
