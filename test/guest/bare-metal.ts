import { readLe, writeLe } from '../../src/core/index.ts';
import type { Access, Answer, Task } from '../../src/guest/access.ts';
import { CONFIG_REGION, handleIdtVector, KernelRecords, runHandlers } from '../../src/guest/index.ts';
import type { DmaMemory, PciFunction } from '../../src/pci/index.ts';

/** Memory from address 0, for guest and devices alike. */
export class Memory implements DmaMemory {
  readonly bytes = new Uint8Array(8 << 20);

  readBytes(address: number, length: number): Uint8Array {
    return this.bytes.slice(address, address + length);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, address);
  }
}

/**
 * A machine without hypervisor: messages arrive as CPU vectors, pins as the irq of their function, and are handled
 * between two accesses.
 */
export class BareMetal {
  readonly records = new KernelRecords({ devices: 4, vectors: 16, queues: 17 });
  readonly functions = new Map<number, PciFunction>();
  readonly memory: Memory;
  /** CPU vectors as they arrived. */
  readonly idtVectors: number[] = [];
  readonly #pins = new Map<number, number>();

  constructor(memory: Memory) {
    this.memory = memory;
  }

  run<T>(task: Task<T>): T {
    let next = task.next();
    while (!next.done) {
      const answer = this.#serve(next.value);
      this.#deliver();
      next = task.next(answer);
    }
    return next.value;
  }

  #deliver(): void {
    for (;;) {
      const effects = [...this.functions.values()].flatMap((fn) => fn.effects.splice(0));
      for (const effect of effects) {
        if (effect.kind === 'intx') this.#pins.set(effect.bdf, effect.level);
        else {
          this.idtVectors.push(effect.data & 0xff);
          this.#runNested(handleIdtVector(effect.data & 0xff));
        }
      }
      if (effects.length === 0) return;
      // A level that nobody lowers would interrupt for ever; here it does once an access.
      for (const [bdf, level] of this.#pins) if (level) this.#runNested(runHandlers(this.records.device(bdf).intxIrq));
    }
  }

  #runNested(task: Task<void>): void {
    let next = task.next();
    while (!next.done) next = task.next(this.#serve(next.value));
  }

  #serve(access: Access): Answer {
    const { bytes } = this.memory;
    switch (access.op) {
      case 'read': {
        const fn = this.functions.get(access.bdf);
        if (!fn) return 2 ** (8 * access.width) - 1;
        if (access.region === CONFIG_REGION) return fn.readConfig(access.offset, access.width);
        return fn.readBar(access.region, access.offset, access.width);
      }
      case 'write': {
        const fn = this.functions.get(access.bdf);
        if (access.region === CONFIG_REGION) fn?.writeConfig(access.offset, access.width, access.value);
        else fn?.writeBar(access.region, access.offset, access.width, access.value);
        return 0;
      }
      case 'load':
        return readLe(bytes, access.address, 4);
      case 'store':
        writeLe(bytes, access.address, 4, access.value);
        return 0;
      case 'update': {
        const old = readLe(bytes, access.address, 4);
        writeLe(bytes, access.address, 4, (old & ~access.clear) | access.set);
        return old;
      }
      case 'kernel':
        return this.records.perform(access.call, access.args);
      case 'wait':
        return this.records.completed(access.bdf, access.queue) ? 0 : 2;
      case 'hypercall':
        throw new Error('a hypercall without a hypervisor');
      default:
        return 0;
    }
  }
}
