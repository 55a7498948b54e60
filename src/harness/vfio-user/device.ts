import type { Arena } from '../../core/index.ts';
import { NvmeFunction } from '../../pci/devices/nvme/index.ts';
import { DOORBELLS } from '../../pci/devices/nvme/registers.ts';
import type { DmaMemory, EmulatedFunction } from '../../pci/index.ts';

/** What a server puts in front of clients. */
export interface VfioDevice {
  readonly fn: EmulatedFunction;
  /** All state of the function, and of nothing else. */
  readonly arena: Arena;
  /** The device's way to memory; the server sets who answers: its client, or nobody. */
  readonly port: { memory: DmaMemory | undefined };
  /** What the device does of itself, beside answering accesses. */
  readonly work?: DeviceWork;
}

export interface DeviceWork {
  /** Carries out one piece of work. @returns false if there was none */
  step(): boolean;
  /** True if a write there may make bytes stale that the device has read for its next step. */
  disturbs(region: number, offset: number): boolean;
}

/** A function's way to memory that can be led to another client. */
export class MemoryPort implements DmaMemory {
  memory: DmaMemory | undefined;

  readBytes(address: number, length: number): Uint8Array {
    return this.memory?.readBytes(address, length) ?? new Uint8Array(0);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    this.memory?.writeBytes(address, bytes);
  }
}

/**
 * Makes a function ready to be served. An NVMe controller must have been made with `defer` and `port` as its memory: its
 * commands are carried out one by one after the doorbell write has been answered.
 */
export function vfioDevice(fn: EmulatedFunction, arena: Arena, port: VfioDevice['port']): VfioDevice {
  if (!(fn instanceof NvmeFunction)) return { fn, arena, port };
  const { controller } = fn;
  return {
    fn,
    arena,
    port,
    work: {
      step: () => controller.step(),
      disturbs: (region, offset) => region !== 0 || offset < DOORBELLS,
    },
  };
}
