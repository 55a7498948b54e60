import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('dataLink.caps', 4, 4, {
    localFeatures: { at: 0, width: 23, access: 'ro' },
    exchangeEnable: { at: 31, access: 'ro' },
  }),
  reg('dataLink.status', 8, 4, {
    remoteFeatures: { at: 0, width: 23, access: 'ro' },
    valid: { at: 31, access: 'ro' },
  }),
];

/** Data Link Feature, PCIe 5.0 §7.7.4. */
export const DATA_LINK_FEATURE: Capability = {
  id: 0x0025,
  extended: true,
  name: 'dataLink',
  sizeBytes: () => 12,
  registers: () => REGISTERS,
};
