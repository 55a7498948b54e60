import { UsageError } from '../core/index.ts';
import type { Domain } from './domain.ts';

const ISA_IRQS = 16;

/**
 * The search for free pirqs of one domain, with the numbers that Xen's scans give. Numbers below the GSI count are only
 * given to GSIs, the rest from the top down. arch/x86/irq.c: get_free_pirq, get_free_pirqs
 */
export class PirqSpace {
  readonly #domain: Domain;
  readonly #gsis: number;
  readonly #bottomUp: boolean;

  constructor(domain: Domain, gsis: number, bottomUp: boolean) {
    this.#domain = domain;
    this.#gsis = gsis;
    this.#bottomUp = bottomUp;
  }

  /** See {@link Domain.free}. */
  isFree(pirq: number): boolean {
    return this.#domain.free.isFree(pirq);
  }

  /** A free pirq, now with a record, or −1. Only GSIs (`forGsi`) may get one below the GSI count, from 16 up. */
  find(forGsi: boolean): number {
    const pirq = this.#search(forGsi);
    if (pirq >= 0) this.#domain.makeRecord(pirq);
    return pirq;
  }

  /**
   * The base of the first run of `count` free pirqs found, or −1. Free ones passed over get records as well.
   * @param count 1, 2, 4 … 32
   */
  findRun(count: number): number {
    if (count & (count - 1)) throw new UsageError(`runs are of 1, 2, 4 … 32 pirqs, not ${count}`);
    const base = this.#searchFreeRun(31 - Math.clz32(count));
    const { nrPirqs } = this.#domain;
    if (base < 0) this.#makeRecords(this.#gsis, nrPirqs);
    else if (this.#bottomUp) this.#makeRecords(this.#gsis, base + count);
    else this.#makeRecords(base, nrPirqs);
    return base;
  }

  #search(forGsi: boolean): number {
    if (forGsi) {
      const pirq = this.#domain.free.lowest(ISA_IRQS);
      if (pirq >= 0 && pirq < this.#gsis) return pirq;
    }
    return this.#searchFreeRun(0);
  }

  /** Beyond nrPirqs the bitmap has numbers only if there are more GSIs than that, and then none from the GSI count up. */
  #searchFreeRun(log2: number): number {
    const { free } = this.#domain;
    if (this.#bottomUp) return free.lowest(this.#gsis, log2);
    const base = free.highest(free.size, log2);
    return base >= this.#gsis ? base : -1;
  }

  #makeRecords(from: number, end: number): void {
    const { recordless } = this.#domain;
    for (let pirq = recordless.highest(end); pirq >= from; pirq = recordless.highest(pirq))
      this.#domain.makeRecord(pirq);
  }
}
