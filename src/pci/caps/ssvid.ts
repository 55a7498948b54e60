import { whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

/** Subsystem ids of a bridge. PCI-to-PCI Bridge 1.2 §3.2.5.13, PCIe 5.0 §7.9.23. */
export const SSVID: Capability = {
  id: 0x0d,
  name: 'ssvid',
  sizeBytes: () => 8,
  registers: () => [whole('ssvid.vendor', 4, 2, 'ro'), whole('ssvid.id', 6, 2, 'ro')],
};
