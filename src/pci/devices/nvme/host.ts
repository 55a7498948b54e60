import type { DmaMemory } from '../../function.ts';

/** How a function signals at present: MSI-X if enabled, else MSI, else INTx. PCIe 5.0 §6.1.4. */
export type InterruptMode = 'msix' | 'msi' | 'intx';

/** What a controller needs of the PCI function it sits in. */
export interface NvmeHost {
  readonly dma: DmaMemory;
  /** Command register, Bus Master Enable. */
  busMaster(): boolean;
  interruptMode(): InterruptMode;
  /** Vectors usable in the present mode: MSI-X table entries, granted MSI messages, or 1. */
  vectorCount(): number;
  /** MSI-X or MSI: sends the vector's message; INTx: asserts the line (`vector` does not matter). */
  raise(vector: number): void;
  /** INTx deasserts. */
  lower(): void;
  /** Vendor and Subsystem Vendor ID, which Identify Controller repeats. */
  readonly vendorId: number;
  readonly subsystemVendorId: number;
}

/** Reads and writes host memory for a controller; a transfer that cannot be done yields undefined or false. */
export class HostMemory {
  readonly #host: NvmeHost;

  constructor(host: NvmeHost) {
    this.#host = host;
  }

  /** Undefined without bus mastering, beyond 2^53, or if the memory returned less than was asked for. */
  read(address: number, length: number): Uint8Array | undefined {
    if (!this.#reachable(address, length)) return undefined;
    const bytes = this.#host.dma.readBytes(address, length);
    return bytes.length === length ? bytes : undefined;
  }

  write(address: number, bytes: Uint8Array): boolean {
    if (!this.#reachable(address, bytes.length)) return false;
    this.#host.dma.writeBytes(address, bytes);
    return true;
  }

  #reachable(address: number, length: number): boolean {
    return address + length <= Number.MAX_SAFE_INTEGER && this.#host.busMaster();
  }
}
