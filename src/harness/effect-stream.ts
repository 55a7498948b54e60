/** Hands values to one reader that awaits them, in order; it ends when closed and all were read. */
export class EffectStream<T> implements AsyncIterableIterator<T> {
  readonly #values: T[] = [];
  #wake: (() => void) | undefined;
  #closed = false;
  readonly #closing: (stream: EffectStream<T>) => void;

  /** @param closing is called once when the stream ends, whoever ends it */
  constructor(closing: (stream: EffectStream<T>) => void = () => {}) {
    this.#closing = closing;
  }

  push(value: T): void {
    if (this.#closed) return;
    this.#values.push(value);
    this.#wake?.();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#closing(this);
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    while (this.#values.length === 0) {
      if (this.#closed) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return { done: false, value: this.#values.shift()! };
  }

  /** Called by a loop that leaves early. */
  async return(): Promise<IteratorResult<T, undefined>> {
    this.#values.length = 0;
    this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
