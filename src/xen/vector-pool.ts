import { type Arena, FreeBitmap } from '../core/index.ts';
import type { VectorLayout } from './profile.ts';

/** Entry of an IDT vector that no irq ever had. */
const NEVER = -0x80000000;
const VECTORS = 256;

/**
 * Which irq owns which IDT vector of which CPU, and the cursor from which the next one is looked for.
 * arch/x86/irq.c: _assign_irq_vector.
 */
export class VectorPool {
  readonly cpus: number;
  /** Every vector is taken on all CPUs at once, as logical destinations need it. */
  readonly #shared: boolean;
  readonly #layout: VectorLayout;
  readonly #reserved = new Uint8Array(VECTORS);
  /** Per CPU and vector: irq, or its complement once the irq has lost the vector. */
  readonly #irq: Int32Array;
  /** Per CPU: vectors that an irq can have and none has; and the CPUs that have such. Derived. */
  readonly #room: Int32Array;
  readonly #roomy: FreeBitmap;
  /** Vector last handed out, and the offset of the present round. */
  readonly #cursor: Int32Array;

  constructor(arena: Arena, layout: VectorLayout, cpus: number, shared = false) {
    this.cpus = cpus;
    this.#shared = shared;
    this.#layout = layout;
    for (const vector of layout.reserved) this.#reserved[vector] = 1;
    this.#irq = arena.int32(VECTORS * cpus, 'xen.vectors').fill(NEVER);
    this.#room = arena.int32(cpus, 'xen.vectorRoom');
    this.#roomy = new FreeBitmap(arena, cpus, 'xen.vectorRoom.cpus');
    for (let cpu = 0; cpu < cpus; cpu++) {
      for (let vector = layout.first; vector <= layout.last; vector++) if (this.#isFit(cpu, vector)) this.#room[cpu]++;
      this.#roomy.set(cpu, this.#room[cpu] > 0);
    }
    this.#cursor = arena.int32(2, 'xen.vectorCursor');
    this.#cursor[0] = layout.first;
  }

  /** The irq of a vector; negative if there is none. */
  irqOf(cpu: number, vector: number): number {
    return this.#irq[cpu * VECTORS + vector];
  }

  /**
   * Takes the next free vector on the lowest CPU that has one, in steps of 8 so that neighbours get
   * different priority classes. The vector at the cursor itself is never tried again.
   * @returns cpu << 8 | vector, or −1 if there is none
   */
  assign(irq: number): number {
    const { first, last } = this.#layout;
    const cpus = this.#shared ? 1 : this.cpus;
    for (let cpu = this.#roomy.lowest(); cpu >= 0 && cpu < cpus; cpu = this.#roomy.lowest(cpu + 1)) {
      let vector = this.#cursor[0];
      let offset = this.#cursor[1];
      for (;;) {
        vector += 8;
        if (vector > last) {
          offset = (offset + 1) % 8;
          vector = first + offset;
        }
        if (vector === this.#cursor[0]) break;
        if (!this.#isFit(cpu, vector) || this.#isTaken(cpu, vector)) continue;
        this.#cursor[0] = vector;
        this.#cursor[1] = offset;
        this.#set(cpu, vector, irq);
        return (cpu << 8) | vector;
      }
    }
    return -1;
  }

  release(irq: number, cpu: number, vector: number): void {
    this.#set(cpu, vector, ~irq);
  }

  /** An irq may have the vector on that CPU. */
  #isFit(cpu: number, vector: number): boolean {
    const { legacy } = this.#layout;
    return !this.#reserved[vector] && !(cpu === 0 && vector >= legacy[0] && vector <= legacy[1]);
  }

  #isTaken(cpu: number, vector: number): boolean {
    if (!this.#shared) return this.#irq[cpu * VECTORS + vector] >= 0;
    for (let c = 0; c < this.cpus; c++) if (this.#irq[c * VECTORS + vector] >= 0) return true;
    return false;
  }

  #set(cpu: number, vector: number, irq: number): void {
    if (!this.#shared) this.#setOn(cpu, vector, irq);
    else for (let c = 0; c < this.cpus; c++) this.#setOn(c, vector, irq);
  }

  #setOn(cpu: number, vector: number, irq: number): void {
    const at = cpu * VECTORS + vector;
    const change = Number(this.#irq[at] >= 0) - Number(irq >= 0);
    this.#irq[at] = irq;
    if (change === 0 || !this.#isFit(cpu, vector)) return;
    this.#room[cpu] += change;
    this.#roomy.set(cpu, this.#room[cpu] > 0);
  }

  /** Places the cursor, as allocations before those of interest would have. */
  setCursor(vector: number, offset: number): void {
    this.#cursor[0] = vector;
    this.#cursor[1] = offset;
  }
}
