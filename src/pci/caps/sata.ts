import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('sata.revision', 2, 2, {
    minor: { at: 0, width: 4, access: 'ro' },
    major: { at: 4, width: 4, access: 'ro' },
  }),
  reg('sata.location', 4, 4, {
    bar: { at: 0, width: 4, access: 'ro' },
    offset: { at: 4, width: 20, access: 'ro' },
  }),
];

/** Serial ATA data and index registers. AHCI 1.3.1 §2.7; lspci and QEMU (`hw/ide/ich.c`) know the same layout. */
export const SATA: Capability = { id: 0x12, name: 'sata', sizeBytes: () => 8, registers: () => REGISTERS };
