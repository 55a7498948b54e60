import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

/** Offsets and bits of Advanced Features, PCI ECN "Advanced Capabilities for Conventional PCI", PCIe 5.0 §7.9.22. */
export const AF_LAYOUT = { caps: 3, control: 4, status: 5, flrCapable: 2, initiateFlr: 1 } as const;

const REGISTERS = [
  reg('af.length', 2, 1, { length: { at: 0, width: 8, access: 'ro' } }),
  reg('af.caps', AF_LAYOUT.caps, 1, {
    transactionsPending: { at: 0, access: 'ro' },
    flr: { at: 1, access: 'ro' },
  }),
  reg('af.control', AF_LAYOUT.control, 1, { initiateFlr: { at: 0, access: 'ro' } }), // acts when written, reads 0
  reg('af.status', AF_LAYOUT.status, 1, { transactionsPending: { at: 0, access: 'ro' } }),
];

export const AF: Capability = { id: 0x13, name: 'af', sizeBytes: () => 6, registers: () => REGISTERS };
