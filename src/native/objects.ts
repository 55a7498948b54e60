import { UsageError } from '../core/index.ts';
import type { Calls } from './bindings.ts';

/** A result at or below this is a broken contract (PQ_EHANDLE and its like), not an answer of the model. */
const CONTRACT = -1000;
const CONTRACT_TEXT: Record<number, string> = {
  [-1000]: 'the object was destroyed',
  [-1001]: 'an argument is out of range',
  [-1002]: 'no memory, or too many objects',
};

/** @throws UsageError for results that no model gives */
export function checked(result: number): number {
  if (result <= CONTRACT) throw new UsageError(`native library: ${CONTRACT_TEXT[result] ?? result}`);
  return result;
}

/** What is recorded of one pirq. */
export interface NativeRecord {
  /** False if the tree holds no record; the others are its defaults then. */
  exists: boolean;
  irq: number;
  emuirq: number;
  port: number;
}

/**
 * A domain's pirqs in C: linear scans over records in a radix tree. Results are values or −errno; a pirq, count or port
 * beyond what the library takes throws UsageError. Call {@link destroy} at the end.
 */
export class NativePirqSpace {
  readonly #c: Calls;
  readonly #handle: number;
  readonly #words = new Int32Array(4);

  constructor(calls: Calls, nrIrqsGsi: number, nrPirqs: number, isHvm: boolean) {
    this.#c = calls;
    this.#handle = checked(calls.space_create(nrIrqsGsi, nrPirqs, Number(isHvm)));
  }

  destroy(): void {
    checked(this.#c.space_destroy(this.#handle));
  }

  /** Where a search of `type` ends; nothing is reserved. −ENOSPC. */
  getFree(type: number): number {
    return checked(this.#c.space_get_free(this.#handle, type));
  }

  /** Base of the highest run of `count` (1–32) free pirqs. −ENOSPC. */
  getFreeRun(count: number): number {
    return checked(this.#c.space_get_free_run(this.#handle, count));
  }

  /** allocate_pirq: `count` is what comes back in `entry_nr`. */
  allocate(irq: number, pirq: number, type: number, remapping: boolean, count: number): { ret: number; count: number } {
    this.#words[0] = count;
    const ret = checked(this.#c.space_allocate(this.#handle, irq, pirq, type, Number(remapping), this.#words));
    return { ret, count: this.#words[0] };
  }

  /** PHYSDEVOP_get_free_pirq: finds and reserves. */
  reserve(type: number): number {
    return checked(this.#c.space_reserve(this.#handle, type));
  }

  map(pirq: number, irq: number): number {
    return checked(this.#c.space_map(this.#handle, pirq, irq));
  }

  /** `forced`: while still bound, which leaves the pirqs deferred. */
  unmap(pirq: number, count = 1, forced = false): number {
    return checked(this.#c.space_unmap(this.#handle, pirq, count, Number(forced)));
  }

  /** Ends a forced unmap. */
  complete(pirq: number): number {
    return checked(this.#c.space_complete(this.#handle, pirq));
  }

  mapEmuirq(pirq: number, emuirq: number): number {
    return checked(this.#c.space_map_emuirq(this.#handle, pirq, emuirq));
  }

  unmapEmuirq(pirq: number): number {
    return checked(this.#c.space_unmap_emuirq(this.#handle, pirq));
  }

  /** Port 0 takes the binding away. */
  setPort(pirq: number, port: number): number {
    return checked(this.#c.space_set_port(this.#handle, pirq, port));
  }

  get(pirq: number): NativeRecord {
    checked(this.#c.space_get(this.#handle, pirq, this.#words));
    const [exists, irq, emuirq, port] = this.#words;
    return { exists: exists === 1, irq, emuirq, port };
  }

  /** 0 unknown, p mapped, −p deferred. */
  pirqOfIrq(irq: number): number {
    checked(this.#c.space_pirq_of_irq(this.#handle, irq, this.#words));
    return this.#words[0];
  }

  /** Records in the tree. */
  get records(): number {
    return checked(this.#c.space_records(this.#handle));
  }

  /** Maps the `count` highest free pirqs, pirq p to irq p + 1; answers how many there were. */
  fill(count: number): number {
    return checked(this.#c.space_fill(this.#handle, count));
  }

  /** Batch: `steps` times unmap one of the `span` highest, then map the highest free. Answers the checksum (unsigned). */
  churn(seed: number, steps: number, span: number): number {
    checked(this.#c.space_churn(this.#handle, seed, steps, span, this.#words));
    return this.#words[0] >>> 0;
  }

  /** Batch: `slots` owners take and give back runs of 1, 2, 4 … 32. Answers the checksum (unsigned). */
  churnRuns(seed: number, steps: number, slots: number): number {
    checked(this.#c.space_churn_runs(this.#handle, seed, steps, slots, this.#words));
    return this.#words[0] >>> 0;
  }
}

export interface NativeMsixOptions {
  /** Bits of Message Address that take a written value; default all but 1:0. */
  addressWritable?: number;
  /** Bits of Vector Control that take a written value; default bit 0. */
  controlWritable?: number;
  /** A vector raised while MSI-X is off stays pending instead of being lost. */
  pendsDisabled?: boolean;
}

export interface NativeMessage {
  vector: number;
  addressLo: number;
  addressHi: number;
  data: number;
}

/** An MSI-X vector table in C, one struct per entry. Accesses are 1, 2, 4 or 8 bytes, aligned, inside the table. */
export class NativeMsixTable {
  readonly #c: Calls;
  readonly #handle: number;
  readonly #words: Int32Array;

  constructor(calls: Calls, vectors: number, options: NativeMsixOptions = {}) {
    this.#c = calls;
    const { addressWritable = 0xfffffffc, controlWritable = 1, pendsDisabled = false } = options;
    this.#handle = checked(calls.msix_create(vectors, addressWritable, controlWritable, Number(pendsDisabled)));
    this.#words = new Int32Array(4 * vectors);
  }

  destroy(): void {
    checked(this.#c.msix_destroy(this.#handle));
  }

  reset(): void {
    checked(this.#c.msix_reset(this.#handle));
  }

  /** The low and, of eight bytes, the high word; unsigned. */
  read(offset: number, width: 1 | 2 | 4 | 8): { low: number; high: number } {
    checked(this.#c.msix_read(this.#handle, offset, width, this.#words));
    return { low: this.#words[0] >>> 0, high: this.#words[1] >>> 0 };
  }

  /** Answers the messages that the write sent. */
  write(offset: number, width: 1 | 2 | 4 | 8, low: number, high = 0): NativeMessage[] {
    return this.#sent(this.#c.msix_write(this.#handle, offset, width, low, high));
  }

  /** Message Control: bit 15 enable, bit 14 function mask. Answers the messages that it let go, by vector. */
  setControl(control: number): NativeMessage[] {
    return this.#sent(this.#c.msix_set_control(this.#handle, control));
  }

  raise(vector: number): NativeMessage[] {
    return this.#sent(this.#c.msix_raise(this.#handle, vector));
  }

  isPending(vector: number): boolean {
    return checked(this.#c.msix_pending(this.#handle, vector)) === 1;
  }

  /** Batch: raises `steps` random vectors. Answers the checksum of what was sent (unsigned). */
  deliverMany(seed: number, steps: number): number {
    checked(this.#c.msix_deliver_many(this.#handle, seed, steps, this.#words));
    return this.#words[0] >>> 0;
  }

  /** Batch: mask, raise, unmask a random vector, `steps` times. Answers the checksum of what was sent (unsigned). */
  maskMany(seed: number, steps: number): number {
    checked(this.#c.msix_mask_many(this.#handle, seed, steps, this.#words));
    return this.#words[0] >>> 0;
  }

  #sent(result: number): NativeMessage[] {
    const count = checked(result);
    if (count === 0) return [];
    checked(this.#c.msix_messages(this.#handle, this.#words, this.#words.length / 4));
    return Array.from({ length: count }, (_, i) => {
      const [vector, addressLo, addressHi, data] = this.#words.subarray(4 * i, 4 * i + 4);
      return { vector, addressLo: addressLo >>> 0, addressHi: addressHi >>> 0, data: data >>> 0 };
    });
  }
}
