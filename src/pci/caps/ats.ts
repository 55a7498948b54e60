import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('ats.caps', 4, 2, {
    queueDepth: { at: 0, width: 5, access: 'ro' },
    pageAligned: { at: 5, access: 'ro' },
    globalInvalidate: { at: 6, access: 'ro' },
    relaxedOrdering: { at: 7, access: 'ro' },
  }),
  reg('ats.ctrl', 6, 2, {
    smallestTranslationUnit: { at: 0, width: 5, access: 'rw' },
    enable: { at: 15, access: 'rw' },
  }),
];

/** Address Translation Services, PCIe 5.0 §10.5.1. */
export const ATS: Capability = {
  id: 0x000f,
  extended: true,
  name: 'ats',
  sizeBytes: () => 8,
  registers: () => REGISTERS,
  /** `hw/pci/pcie.c: pcie_ats_init` */
  qemu: () => ({ 'ats.ctrl': { writable: 0x800f } }),
};
