import type { BarSpec } from '../../pci/spec.ts';

/** A base address region of a host function and where the host has placed it. */
export interface HostRegion extends BarSpec {
  /** Host-physical address, below 2^53; 0 = not placed, which the device model takes as absent. */
  base: number;
}

/**
 * The physical function behind a pass-through device, as the device model reaches it: configuration space through the
 * host kernel, the vector table through a read-only mapping.
 */
export interface HostFunction {
  /** Segment << 16 | bus << 8 | device << 3 | function, on the host. */
  readonly sbdf: number;
  readonly regions: readonly HostRegion[];
  /** `length` bytes (1 to 4, any alignment) at `offset`, little-endian, unsigned. */
  readConfig(offset: number, length: number): number;
  /** Like {@link readConfig}; a length of 3 occurs. */
  writeConfig(offset: number, length: number, value: number): void;
  /** Unsigned 32-bit word of the function's vector table (or behind it), by its host-physical address. */
  readMemory(address: number): number;
}
