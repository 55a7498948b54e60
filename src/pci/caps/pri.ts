import { reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('pri.ctrl', 4, 2, {
    enable: { at: 0, access: 'rw' },
    reset: { at: 1, access: 'ro' }, // acts when written, reads 0
  }),
  reg('pri.status', 6, 2, {
    responseFailure: { at: 0, access: 'rw1c' },
    unexpectedGroup: { at: 1, access: 'rw1c' },
    stopped: { at: 8, access: 'ro' },
    pasidRequired: { at: 15, access: 'ro' },
  }),
  whole('pri.capacity', 8, 4, 'ro'),
  whole('pri.allocation', 12, 4, 'rw'),
];

/** Page Request Interface, PCIe 5.0 §10.5.2. */
export const PRI: Capability = {
  id: 0x0013,
  extended: true,
  name: 'pri',
  sizeBytes: () => 16,
  registers: () => REGISTERS,
};
