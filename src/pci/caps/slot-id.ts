import { reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const SLOT = reg('slotId.expansionSlot', 2, 1, {
  slots: { at: 0, width: 5, access: 'ro' },
  firstInChassis: { at: 5, access: 'ro' },
});

/** Slot Identification. PCI-to-PCI Bridge 1.2 §13. */
export const SLOT_ID: Capability = {
  id: 0x04,
  name: 'slotId',
  sizeBytes: () => 4,
  registers: () => [SLOT, whole('slotId.chassis', 3, 1, 'rw', { sticky: true })],
  qemu: () => ({ 'slotId.chassis': { writable: 0xff } }),
};
