import type { LibcCall } from './fd-sockets-koffi.ts';

/** The descriptor that ends a wait before its time. */
interface Waker {
  wake(): void;
  drain(): void;
}

/**
 * A wait ends after this long at the latest, so that a process that exits is not held up by the thread in it: Node joins
 * the threads of its pool.
 */
const LONGEST_MS = 1000;

const EBADF = 9;

/** Waits for any number of descriptors with one call of poll(2) on one thread of Node's pool. */
export class Poller {
  readonly #wakeFd: number;
  readonly #poll: LibcCall;
  readonly #waker: Waker;
  readonly #entries = new Map<number, { fd: number; events: number; ready: (revents: number) => void }>();
  /** struct pollfd each: descriptor; events and, in the upper half, what came. Not touched while a wait is under way. */
  #words = new Int32Array(64);
  #waiting = false;
  #woken = false;
  /** True while callbacks run; the wait after them takes up all their changes. */
  #dispatching = false;
  #lastId = 0;

  constructor(wakeFd: number, poll: LibcCall, waker: Waker) {
    this.#wakeFd = wakeFd;
    this.#poll = poll;
    this.#waker = waker;
  }

  add(fd: number, ready: (revents: number) => void): number {
    const id = ++this.#lastId;
    this.#entries.set(id, { fd, events: 0, ready });
    return id;
  }

  set(id: number, events: number): number {
    const entry = this.#entries.get(id);
    if (!entry) return -EBADF;
    if (entry.events !== events) {
      entry.events = events;
      this.#changed();
    }
    return 0;
  }

  remove(id: number): number {
    if (!this.#entries.delete(id)) return -EBADF;
    this.#changed();
    return 0;
  }

  #changed(): void {
    if (this.#dispatching) return;
    if (!this.#waiting) this.#wait();
    else if (!this.#woken) {
      this.#woken = true;
      this.#waker.wake();
    }
  }

  #wait(): void {
    const ids = [...this.#entries].filter(([, entry]) => entry.events !== 0).map(([id]) => id);
    if (ids.length === 0) return; // nothing to wait for keeps no process alive
    if (this.#words.length < 2 * (ids.length + 1)) this.#words = new Int32Array(4 * (ids.length + 1));
    this.#words[0] = this.#wakeFd;
    this.#words[1] = 1;
    ids.forEach((id, i) => {
      const { fd, events } = this.#entries.get(id)!;
      this.#words[2 * i + 2] = fd;
      this.#words[2 * i + 3] = events;
    });
    this.#waiting = true;
    const count = ids.length + 1;
    // what is ready at once costs no change of thread, but still a turn of the event loop
    if (this.#poll(this.#words, count, 0) > 0) setImmediate(() => this.#dispatch(ids));
    else this.#poll.async(this.#words, count, LONGEST_MS, () => this.#dispatch(ids));
  }

  #dispatch(ids: number[]): void {
    const came = ids.map((_, i) => this.#words[2 * i + 3] >>> 16);
    this.#waiting = false;
    if (this.#woken) this.#waker.drain();
    this.#woken = false;
    this.#dispatching = true;
    ids.forEach((id, i) => {
      const entry = this.#entries.get(id); // a callback before this one may have ended it
      if (entry && came[i] & (entry.events | ~5)) entry.ready(came[i]);
    });
    this.#dispatching = false;
    this.#wait();
  }
}
