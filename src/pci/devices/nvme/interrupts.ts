import type { Context } from './context.ts';
import { cqAt } from './queues.ts';
import { INTMS, word } from './registers.ts';
import { CQ } from './state.ts';

/**
 * Turns what an access changed in the completion queues into interrupts, once the access has had all its effects.
 *
 * MSI-X (NVMe 1.4 §7.5.2): one message per vector whose queues got entries. INTx and MSI (§7.5.1): an interrupt status
 * bit per vector is set while one of its queues holds entries that the host has not taken and INTMS does not mask it.
 * INTx is asserted while bit 0 is set; a message is sent when a bit becomes set, and again when the host has taken some
 * but not all entries of a vector.
 *
 * Interrupt coalescing: entries posted by one access share a message; there is no further delay whatever the
 * aggregation threshold and time are, which §5.21.1.8 leaves to the controller.
 */
export class InterruptLogic {
  readonly #ctx: Context;
  /** Vectors with new entries in this access; empty between accesses, so no state. */
  readonly #posted: number[] = [];
  #statusBefore = 0;
  #acknowledged = 0;

  constructor(ctx: Context) {
    this.#ctx = ctx;
  }

  /** Call before an access has any effect. */
  begin(): void {
    this.#statusBefore = this.#ctx.host.interruptMode() === 'msix' ? 0 : this.#status();
  }

  /** An entry was posted to completion queue `id`. */
  posted(id: number): void {
    const { cqs } = this.#ctx.state;
    const vector = cqs[cqAt(id) + CQ.VECTOR];
    if (cqs[cqAt(id) + CQ.INTERRUPTS] && !this.#posted.includes(vector)) this.#posted.push(vector);
  }

  /** The host took entries of completion queue `id`. */
  acknowledged(id: number): void {
    this.#acknowledged |= 1 << this.#statusBit(this.#ctx.state.cqs[cqAt(id) + CQ.VECTOR]);
  }

  /** Call when the access has had all its effects. */
  end(): void {
    const { host } = this.#ctx;
    const mode = host.interruptMode();
    if (mode === 'msix') {
      for (const vector of this.#posted) host.raise(vector);
    } else {
      const now = this.#status();
      if (mode === 'msi') {
        let send = now & (~this.#statusBefore | this.#acknowledged);
        for (; send !== 0; send &= send - 1) host.raise(31 - Math.clz32(send & -send));
      } else if ((now !== 0) !== (this.#statusBefore !== 0)) this.driveIntx();
    }
    this.#posted.length = 0;
    this.#acknowledged = 0;
  }

  /** Sets INTx to the level that the interrupt status calls for. */
  driveIntx(): void {
    const { host } = this.#ctx;
    if (host.interruptMode() !== 'intx') return;
    if (this.#status() !== 0) host.raise(0);
    else host.lower();
  }

  /** With one vector all queues share bit 0, whatever vector they were created with under MSI-X. */
  #statusBit(vector: number): number {
    return vector < Math.min(this.#ctx.host.vectorCount(), 32) ? vector : 0;
  }

  /** The interrupt status register, derived: unmasked vectors with entries that the host has not taken. */
  #status(): number {
    const { cqs, registers } = this.#ctx.state;
    let pending = 0;
    for (let q = 0; q < cqs.length; q += CQ.WORDS)
      if (cqs[q + CQ.INTERRUPTS] && cqs[q + CQ.HEAD] !== cqs[q + CQ.TAIL])
        pending |= 1 << this.#statusBit(cqs[q + CQ.VECTOR]);
    return pending & ~registers[word(INTMS)];
  }
}
