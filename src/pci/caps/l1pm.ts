import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('l1pm.caps', 4, 4, {
    pciPmL12: { at: 0, access: 'ro' },
    pciPmL11: { at: 1, access: 'ro' },
    aspmL12: { at: 2, access: 'ro' },
    aspmL11: { at: 3, access: 'ro' },
    supported: { at: 4, access: 'ro' },
    commonModeRestoreTime: { at: 8, width: 8, access: 'ro' },
    powerOnScale: { at: 16, width: 2, access: 'ro' },
    powerOnValue: { at: 19, width: 5, access: 'ro' },
  }),
  reg('l1pm.ctrl1', 8, 4, {
    pciPmL12: { at: 0, access: 'rw' },
    pciPmL11: { at: 1, access: 'rw' },
    aspmL12: { at: 2, access: 'rw' },
    aspmL11: { at: 3, access: 'rw' },
    commonModeRestoreTime: { at: 8, width: 8, access: 'rw' },
    l12ThresholdValue: { at: 16, width: 10, access: 'rw' },
    l12ThresholdScale: { at: 29, width: 3, access: 'rw' },
  }),
  reg('l1pm.ctrl2', 12, 4, {
    powerOnScale: { at: 0, width: 2, access: 'rw' },
    powerOnValue: { at: 3, width: 5, access: 'rw', reset: 5 },
  }),
];

/** L1 PM Substates, PCIe 5.0 §7.8.3. */
export const L1PM: Capability = {
  id: 0x001e,
  extended: true,
  name: 'l1pm',
  sizeBytes: () => 16,
  registers: () => REGISTERS,
};
