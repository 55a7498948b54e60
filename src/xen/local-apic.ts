import { type Arena, FreeBitmap } from '../core/index.ts';

/** Request and in-service bits of each CPU's local APIC; task priority is always 0. Intel SDM vol. 3 §11.8. */
export class LocalApics {
  /** Eight words of request bits, then eight of in-service bits, per CPU. */
  readonly #bits: Int32Array;
  /** The CPUs with a request bit. Derived. */
  readonly #requested: FreeBitmap;
  readonly cpus: number;

  constructor(arena: Arena, cpus: number) {
    this.cpus = cpus;
    this.#bits = arena.int32(16 * cpus, 'xen.apic');
    this.#requested = new FreeBitmap(arena, cpus, 'xen.apic.requested');
  }

  /** The lowest CPU from `from` up that has an interrupt requested, whether or not it can accept it; −1 if none has. */
  requested(from = 0): number {
    return this.#requested.lowest(from);
  }

  /** An interrupt message arrives. */
  request(cpu: number, vector: number): void {
    this.#bits[cpu * 16 + (vector >> 5)] |= 1 << (vector & 31);
    this.#requested.set(cpu, true);
  }

  /** Accepts the highest requested vector whose class is above all in service, or −1. */
  accept(cpu: number): number {
    const vector = this.#highest(cpu * 16);
    if (vector < 0 || vector >> 4 <= this.#highest(cpu * 16 + 8) >> 4) return -1;
    this.#bits[cpu * 16 + (vector >> 5)] &= ~(1 << (vector & 31));
    this.#bits[cpu * 16 + 8 + (vector >> 5)] |= 1 << (vector & 31);
    if (this.#highest(cpu * 16) < 0) this.#requested.set(cpu, false);
    return vector;
  }

  /** End of interrupt: the highest vector in service is done. */
  eoi(cpu: number): void {
    const vector = this.#highest(cpu * 16 + 8);
    if (vector >= 0) this.#bits[cpu * 16 + 8 + (vector >> 5)] &= ~(1 << (vector & 31));
  }

  inService(cpu: number, vector: number): boolean {
    return (this.#bits[cpu * 16 + 8 + (vector >> 5)] & (1 << (vector & 31))) !== 0;
  }

  #highest(base: number): number {
    for (let word = 7; word >= 0; word--) {
      const bits = this.#bits[base + word];
      if (bits) return word * 32 + 31 - Math.clz32(bits);
    }
    return -1;
  }
}
