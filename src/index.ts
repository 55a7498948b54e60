/**
 * Fake PCI devices with MSI and MSI-X, Xen's interrupt machinery behind them and a Linux-like guest in front.
 *
 * {@link Session} drives devices directly; {@link PcMachine} puts them behind ports, ECAM and RAM; `xen`, `guest` and
 * `lab` are the parts below, each with its own names.
 *
 * @module pirqlab
 */
export * from './core/index.ts';
export * as guest from './guest/index.ts';
export * from './harness/index.ts';
export * as lab from './lab/index.ts';
export * as nvme from './pci/devices/nvme/index.ts';
export { createNvmeFunction, MemoryNamespace, type Namespace, NvmeFunction } from './pci/devices/nvme/index.ts';
export * from './pci/dump/index.ts';
export * from './pci/index.ts';
export * as xen from './xen/index.ts';
