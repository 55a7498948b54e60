import type { Arena } from '../core/index.ts';

const DEPTH = 208;
const WORDS = 3;

/**
 * Per CPU, the interrupts that still owe the local APIC an EOI, lowest vector first; only ready ones at the top can be
 * paid. arch/x86/irq.c: struct pending_eoi
 */
export class EoiStack {
  /** Per CPU: stack pointer, then irq, vector and ready flag of each element. */
  readonly #words: Int32Array;
  readonly #stride: number;

  constructor(arena: Arena, cpus: number) {
    // an element per priority class is enough: nothing nests deeper than the APIC allows
    this.#stride = 1 + WORDS * Math.min(DEPTH, 16);
    this.#words = arena.int32(this.#stride * cpus, 'xen.eoi');
  }

  depth(cpu: number): number {
    return this.#words[cpu * this.#stride];
  }

  topVector(cpu: number): number {
    return this.#words[this.#at(cpu, this.depth(cpu) - 1) + 1];
  }

  topReady(cpu: number): boolean {
    return this.#words[this.#at(cpu, this.depth(cpu) - 1) + 2] !== 0;
  }

  push(cpu: number, irq: number, vector: number): void {
    this.#set(cpu, this.#words[cpu * this.#stride]++, irq, vector, 0);
  }

  /** Takes the top element and returns its irq. */
  pop(cpu: number): number {
    const at = this.#at(cpu, --this.#words[cpu * this.#stride]);
    const irq = this.#words[at];
    this.#words.fill(0, at, at + WORDS);
    return irq;
  }

  /** Puts a ready element below all of higher vectors. */
  insertReady(cpu: number, irq: number, vector: number): void {
    let at = this.#words[cpu * this.#stride]++;
    for (; at > 0 && this.#words[this.#at(cpu, at - 1) + 1] > vector; at--)
      this.#words.copyWithin(this.#at(cpu, at), this.#at(cpu, at - 1), this.#at(cpu, at));
    this.#set(cpu, at, irq, vector, 1);
  }

  markReady(cpu: number, irq: number): void {
    for (let i = this.depth(cpu) - 1; i >= 0; i--)
      if (this.#words[this.#at(cpu, i)] === irq) {
        this.#words[this.#at(cpu, i) + 2] = 1;
        return;
      }
  }

  #at(cpu: number, index: number): number {
    return cpu * this.#stride + 1 + index * WORDS;
  }

  #set(cpu: number, index: number, irq: number, vector: number, ready: number): void {
    const at = this.#at(cpu, index);
    this.#words[at] = irq;
    this.#words[at + 1] = vector;
    this.#words[at + 2] = ready;
  }
}
