import { type Domain, IRQ_UNBOUND } from '../../src/xen/domain.ts';

const ISA_IRQS = 16;

/**
 * The search for free pirqs as the hypervisor writes it down: one record after the other. The reference of PirqSpace,
 * and what it is measured against. arch/x86/irq.c: get_free_pirq, get_free_pirqs
 */
export class PlainPirqSpace {
  readonly #domain: Domain;
  readonly #gsis: number;
  readonly #bottomUp: boolean;

  constructor(domain: Domain, gsis: number, bottomUp: boolean) {
    this.#domain = domain;
    this.#gsis = gsis;
    this.#bottomUp = bottomUp;
  }

  isFree(pirq: number): boolean {
    const d = this.#domain;
    return !d.hasRecord(pirq) || (d.irqOf(pirq) === 0 && (!d.isHvm || d.emuirq[pirq] === IRQ_UNBOUND));
  }

  find(forGsi: boolean): number {
    if (forGsi) for (let pirq = ISA_IRQS; pirq < this.#gsis; pirq++) if (this.#claim(pirq)) return pirq;
    if (this.#bottomUp) {
      for (let pirq = this.#gsis; pirq < this.#domain.nrPirqs; pirq++) if (this.#claim(pirq)) return pirq;
    } else for (let pirq = this.#domain.nrPirqs - 1; pirq >= this.#gsis; pirq--) if (this.#claim(pirq)) return pirq;
    return -1;
  }

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
