/** One minute of a long run, in bytes. */
export interface HeapMinute {
  /** The least heap in use, so about what is left after a collection. */
  leastUsed: number;
  /** The most resident memory. */
  mostResident: number;
}

const SAMPLE_MS = 500;
const MINUTE_MS = 60_000;

/** What a long run holds in memory, minute by minute. */
export class HeapLog {
  readonly #started = performance.now();
  readonly #minutes: HeapMinute[] = [];
  #next = this.#started;

  /** May be called as often as one likes; looks twice a second. */
  sample(): void {
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + SAMPLE_MS;
    const { heapUsed, rss } = process.memoryUsage();
    const minute = Math.floor((now - this.#started) / MINUTE_MS);
    const { leastUsed, mostResident } = this.#minutes[minute] ?? { leastUsed: heapUsed, mostResident: rss };
    this.#minutes[minute] = { leastUsed: Math.min(leastUsed, heapUsed), mostResident: Math.max(mostResident, rss) };
  }

  /** Minutes in which nothing was looked at are left out. */
  minutes(): HeapMinute[] {
    return this.#minutes.filter((minute) => minute !== undefined);
  }
}
