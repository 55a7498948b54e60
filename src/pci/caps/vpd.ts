import { reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const ADDRESS = reg('vpd.address', 2, 2, {
  address: { at: 0, width: 15, access: 'rw' },
  flag: { at: 15, access: 'rw' }, // 1 written: write data; reads 1 once a read has completed
});

/** Vital Product Data. PCI Local Bus 3.0 appendix I, PCIe 5.0 §7.9.18. */
export const VPD: Capability = {
  id: 0x03,
  name: 'vpd',
  sizeBytes: () => 8,
  registers: () => [ADDRESS, whole('vpd.data', 4, 4, 'rw')],
};
