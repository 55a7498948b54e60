import { type Domain, IRQ_UNBOUND } from './domain.ts';

const ISA_IRQS = 16;

/**
 * The search for free pirqs of one domain. Numbers below the GSI count are only given to GSIs, the rest from the top
 * down. This is the plain scan; anything that gives the same numbers may replace it. arch/x86/irq.c: get_free_pirq
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

  /** Neither mapped nor reserved nor deferred nor an emulated irq's. An event channel does not count. */
  isFree(pirq: number): boolean {
    const d = this.#domain;
    return d.exists[pirq] === 0 || (d.irq[pirq] === 0 && (!d.isHvm || d.emuirq[pirq] === IRQ_UNBOUND));
  }

  /** A free pirq, now with a record, or −1. Only GSIs (`forGsi`) may get one below the GSI count, from 16 up. */
  find(forGsi: boolean): number {
    if (forGsi) for (let pirq = ISA_IRQS; pirq < this.#gsis; pirq++) if (this.#claim(pirq)) return pirq;
    if (this.#bottomUp) {
      for (let pirq = this.#gsis; pirq < this.#domain.nrPirqs; pirq++) if (this.#claim(pirq)) return pirq;
    } else for (let pirq = this.#domain.nrPirqs - 1; pirq >= this.#gsis; pirq--) if (this.#claim(pirq)) return pirq;
    return -1;
  }

  /** The base of the first run of `count` free pirqs found, or −1. Free ones passed over get records as well. */
  findRun(count: number): number {
    let run = 0;
    if (this.#bottomUp) {
      for (let pirq = this.#gsis; pirq < this.#domain.nrPirqs; pirq++) {
        run = this.#claim(pirq) ? run + 1 : 0;
        if (run === count) return pirq - count + 1;
      }
    } else
      for (let pirq = this.#domain.nrPirqs - 1; pirq >= this.#gsis; pirq--) {
        run = this.#claim(pirq) ? run + 1 : 0;
        if (run === count) return pirq;
      }
    return -1;
  }

  #claim(pirq: number): boolean {
    if (!this.isFree(pirq)) return false;
    this.#domain.makeRecord(pirq);
    return true;
  }
}
