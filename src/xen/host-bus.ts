import type { Width } from '../core/index.ts';

/**
 * The hardware side of the hypervisor: how Xen reaches the configuration space and the MSI-X tables of host devices.
 * `sbdf` = segment << 16 | bus << 8 | devfn. Addresses are host-physical, below 2^53.
 */
export interface HostBus {
  /** False if no device answers there. */
  isPresent(sbdf: number): boolean;
  readConfig(sbdf: number, offset: number, width: Width): number;
  writeConfig(sbdf: number, offset: number, width: Width, value: number): void;
  /** Aligned 32-bit accesses to memory BARs, such as an MSI-X table. */
  readMmio(address: number): number;
  writeMmio(address: number, value: number): void;
}
