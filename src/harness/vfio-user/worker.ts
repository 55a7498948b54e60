import type { ClientMemory } from './client-memory.ts';
import type { VfioDevice } from './device.ts';
import type { DmaChannel } from './dma-channel.ts';
import type { Interrupts } from './interrupts.ts';

/** Steps of one device in one turn of the event loop. */
const STEPS_PER_TURN = 64;

/**
 * Does a device's own work after the access that set it off has been answered, as the protocol needs it: a client such as
 * QEMU serves DMA messages only while it waits for no reply.
 *
 * A step reads client memory as if it could not wait. Where the bytes have to be fetched by messages, the step runs up to
 * the first that is missing, is undone by restoring the device's state, and is tried again when they are here; between
 * attempts the device is whole and accesses are answered from it. Reads come before anything that a step changes outside
 * its state, so nothing else needs undoing. Interrupts follow the writes that they tell of.
 */
export class Worker {
  readonly #device: VfioDevice;
  readonly #memory: ClientMemory;
  readonly #channel: DmaChannel;
  readonly #interrupts: Interrupts;
  readonly #later: (callback: () => void) => void;
  #snapshot: Int32Array | undefined;
  /** What it waits for: its turn, a fetch, or writes on their way; these let no step begin. */
  #waiting = false;
  #disposed = false;
  /** True until something is written: a step without one before it finds nothing to do. */
  #idle = true;
  /** Counts up when what is being fetched has become stale. */
  #generation = 0;

  /** @param later calls back in another turn of the event loop */
  constructor(
    device: VfioDevice,
    memory: ClientMemory,
    channel: DmaChannel,
    interrupts: Interrupts,
    later: (callback: () => void) => void,
  ) {
    this.#device = device;
    this.#memory = memory;
    this.#channel = channel;
    this.#interrupts = interrupts;
    this.#later = later;
  }

  /** The client wrote something. `disturbs`: such that bytes that were fetched for the next step may be stale. */
  wrote(disturbs: boolean): void {
    this.#idle = false;
    if (!disturbs) return;
    this.#generation++;
    this.#memory.forget();
  }

  /** Goes on until nothing is left to do. Call after accesses. */
  run(): void {
    this.#interrupts.collect();
    if (this.#waiting || this.#disposed) return;
    for (let steps = 0; steps < STEPS_PER_TURN; steps++) {
      if (!this.#settle() || this.#idle || !this.#step()) return;
    }
    this.#waiting = true;
    this.#later(() => this.#resume());
  }

  dispose(): void {
    this.#disposed = true;
  }

  #resume(): void {
    this.#waiting = false;
    this.run();
  }

  /** Sends posted writes and signals interrupts. @returns false if it has to wait for the writes */
  #settle(): boolean {
    const writes = this.#memory.posted;
    if (writes.length === 0) {
      this.#interrupts.deliver();
      return true;
    }
    this.#memory.posted = [];
    let left = writes.length;
    this.#waiting = true;
    for (const { address, bytes } of writes)
      this.#channel.write(address, bytes, () => {
        if (--left === 0) this.#later(() => this.#resume());
      });
    return false;
  }

  /** @returns false if there was nothing to do, or it has to wait for memory */
  #step(): boolean {
    const { work, arena, fn } = this.#device;
    if (!work) return false;
    this.#memory.begin();
    const undoable = this.#memory.map.needsMessages;
    if (undoable) this.#snapshot = arena.snapshot(this.#snapshot);
    const did = work.step();
    const { wanted } = this.#memory;
    if (!wanted) {
      this.#memory.forget();
      this.#interrupts.collect();
      this.#idle = !did;
      return did;
    }
    this.#memory.begin();
    this.#memory.posted = [];
    fn.effects.length = 0; // all were collected before the step
    arena.restore(this.#snapshot!);
    this.#fetch(wanted.address, wanted.length);
    return false;
  }

  #fetch(address: number, length: number): void {
    const generation = this.#generation;
    this.#waiting = true;
    this.#channel.read(address, length, (bytes) => {
      if (generation === this.#generation) this.#memory.fetched(address, length, bytes);
      this.#later(() => this.#resume());
    });
  }
}
