import type { InterruptMode, NvmeHost } from '../../../../src/pci/devices/nvme/index.ts';
import type { DmaMemory } from '../../../../src/pci/function.ts';

/** Guest RAM from address 0; reads beyond it come back short, writes beyond it vanish. */
export class Ram implements DmaMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(sizeBytes = 4 << 20) {
    this.bytes = new Uint8Array(sizeBytes);
    this.view = new DataView(this.bytes.buffer);
  }

  readBytes(address: number, length: number): Uint8Array {
    return this.bytes.slice(Math.min(address, this.bytes.length), address + length);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    if (address + bytes.length <= this.bytes.length) this.bytes.set(bytes, address);
  }
}

/** A function reduced to what the controller asks of it; notes what is raised. */
export class FakeHost implements NvmeHost {
  readonly dma: Ram;
  mode: InterruptMode = 'msix';
  vectors = 32;
  master = true;
  level = 0;
  readonly raised: number[] = [];
  readonly vendorId = 0x1b36;
  readonly subsystemVendorId = 0x1af4;

  constructor(ram = new Ram()) {
    this.dma = ram;
  }

  busMaster(): boolean {
    return this.master;
  }

  interruptMode(): InterruptMode {
    return this.mode;
  }

  vectorCount(): number {
    return this.mode === 'intx' ? 1 : this.vectors;
  }

  raise(vector: number): void {
    if (this.mode === 'intx') this.level = 1;
    else this.raised.push(vector);
  }

  lower(): void {
    this.level = 0;
  }

  /** Vectors raised since the last call. */
  drain(): number[] {
    return this.raised.splice(0);
  }
}
