/** Takes a function's messages as they leave. Words are int32: an address above 2^31 as an unsigned number is an object. */
export interface MessageSink {
  message(vector: number, addressLo: number, addressHi: number, data: number): void;
}

/** Words of one message: vector, address low and high, data. */
const WORDS = 4;

/**
 * Messages on their way from a function to whoever made the access, oldest first, in a typed array: neither queueing nor
 * taking one allocates. It is empty between accesses, so it is no state.
 */
export class MessageQueue implements MessageSink {
  #words = new Int32Array(WORDS * 16);
  /** Where the messages end, and where those begin that nobody has begun to take. */
  #end = 0;
  #next = 0;
  /** Calls of {@link drain} that are under way. */
  #draining = 0;

  message(vector: number, addressLo: number, addressHi: number, data: number): void {
    const at = this.#end;
    if (at === this.#words.length) this.#grow();
    const words = this.#words;
    words[at] = vector;
    words[at + 1] = addressLo;
    words[at + 2] = addressHi;
    words[at + 3] = data;
    this.#end = at + WORDS;
  }

  /**
   * Hands `sink` the messages that are waiting now; false if there are none. Those that arrive meanwhile wait for the next
   * call, which what the sink does may make itself.
   */
  drain(sink: MessageSink): boolean {
    const end = this.#end;
    if (this.#next === end) return false;
    let at = this.#next;
    this.#next = end;
    this.#draining++;
    try {
      for (; at < end; at += WORDS) {
        const words = this.#words; // a queue that grows has others
        sink.message(words[at], words[at + 1], words[at + 2], words[at + 3]);
      }
    } finally {
      if (--this.#draining === 0 && this.#next === this.#end) this.#next = this.#end = 0;
    }
    return true;
  }

  #grow(): void {
    const words = new Int32Array(2 * this.#words.length);
    words.set(this.#words);
    this.#words = words;
  }
}
