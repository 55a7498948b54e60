type View = Int32Array | Uint8Array | Float64Array;

const WHOLE_WORD = 0xf;

/**
 * Which words of an arena some code reads and writes: between `begin` and `end` every access to a view made by
 * {@link wrap} is noted. That is slow (a proxy stands in front of each view), so it is for finding out once what a
 * piece of code depends on, not for running it.
 *
 * A word counts as read if what it held before `begin` can matter: bytes read that were not written before, or bytes
 * left alone by a write of others in the same word.
 */
export class Footprint {
  readonly #read: Uint8Array;
  readonly #written: Uint8Array;
  readonly #reads: number[] = [];
  readonly #writes: number[] = [];
  #isActive = false;

  /** @param words how many 32-bit words the arena may have */
  constructor(words: number) {
    this.#read = new Uint8Array(words);
    this.#written = new Uint8Array(words);
  }

  begin(): void {
    for (const word of this.#reads) this.#read[word] = 0;
    for (const word of this.#writes) this.#written[word] = 0;
    this.#reads.length = 0;
    this.#writes.length = 0;
    this.#isActive = true;
  }

  /** Indices of the words read, in the order of first reading, and of those written. Valid until the next `begin`. */
  end(): { reads: readonly number[]; writes: readonly number[] } {
    this.#isActive = false;
    for (const word of this.#writes) this.#noteRead(word, WHOLE_WORD);
    return { reads: this.#reads, writes: this.#writes };
  }

  /** A view that behaves like `view` and whose accesses are noted. Its `buffer` is out of reach. */
  wrap<V extends View>(view: V): V {
    const proxy: V = new Proxy(view, {
      get: (target, key) => {
        if (typeof key === 'string') {
          const index = Number(key);
          if (index >= 0) {
            this.#onAccess('read', target, index, index + 1);
            return target[index];
          }
        }
        return this.#property(proxy, target, key);
      },
      set: (target, key, value) => {
        const index = Number(key);
        target[index] = value;
        this.#onAccess('write', target, index, index + 1);
        return true;
      },
    });
    return proxy;
  }

  #property(proxy: View, target: View, key: string | symbol): unknown {
    switch (key) {
      case 'buffer':
        throw new Error('the buffer of a watched view is out of reach; take another view from the arena');
      case 'subarray':
        return (from?: number, to?: number) => this.wrap(target.subarray(from, to));
      case 'fill':
        return (value: number, from = 0, to = target.length) => {
          target.fill(value, from, to);
          this.#onAccess('write', target, from, to);
          return proxy;
        };
      case 'set':
        return (source: ArrayLike<number>, at = 0) => {
          target.set(source, at);
          this.#onAccess('write', target, at, at + source.length);
        };
      case 'copyWithin':
        return (at: number, from: number, to = target.length) => {
          const end = Math.min(to, from + target.length - at);
          this.#onAccess('read', target, from, end);
          target.copyWithin(at, from, to);
          this.#onAccess('write', target, at, at + end - from);
          return proxy;
        };
    }
    const value = (target as unknown as Record<string | symbol, unknown>)[key];
    if (typeof value !== 'function' || key === 'constructor') return value;
    // any other method looks at all of it and changes nothing
    return (...args: unknown[]) => {
      this.#onAccess('read', target, 0, target.length);
      return value.apply(target, args);
    };
  }

  /** Notes an access to the elements [from, to) of a view. */
  #onAccess(op: 'read' | 'write', view: View, from: number, to: number): void {
    if (!this.#isActive) return;
    const size = view.BYTES_PER_ELEMENT;
    const end = view.byteOffset + Math.min(to, view.length) * size;
    for (let at = view.byteOffset + from * size; at < end; ) {
      const word = at >> 2;
      const next = Math.min(end, (word + 1) << 2);
      if (op === 'read') this.#noteRead(word, lanes(at, next));
      else this.#noteWrite(word, lanes(at, next));
      at = next;
    }
  }

  /** A read counts unless all of its bytes were written before. */
  #noteRead(word: number, bytes: number): void {
    if ((bytes & ~this.#written[word]) === 0 || this.#read[word]) return;
    this.#read[word] = 1;
    this.#reads.push(word);
  }

  #noteWrite(word: number, bytes: number): void {
    if (this.#written[word] === 0) this.#writes.push(word);
    this.#written[word] |= bytes;
  }
}

/** The bytes [from, to) of one word, as bits. */
function lanes(from: number, to: number): number {
  return ((1 << (to - from)) - 1) << (from & 3);
}
