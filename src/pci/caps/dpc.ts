import { reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  reg('dpc.caps', 4, 2, {
    interruptMessage: { at: 0, width: 5, access: 'ro' },
    rpExtensions: { at: 5, access: 'ro' },
    poisonedEgressBlocking: { at: 6, access: 'ro' },
    softwareTrigger: { at: 7, access: 'ro' },
    rpPioLogSize: { at: 8, width: 4, access: 'ro' },
    dlActiveErrCor: { at: 12, access: 'ro' },
  }),
  reg('dpc.ctrl', 6, 2, {
    triggerEnable: { at: 0, width: 2, access: 'rw' },
    completionControl: { at: 2, access: 'rw' },
    interruptEnable: { at: 3, access: 'rw' },
    errCorEnable: { at: 4, access: 'rw' },
    poisonedEgressBlocking: { at: 5, access: 'rw' },
    softwareTrigger: { at: 6, access: 'ro' }, // acts when written, reads 0
    dlActiveErrCor: { at: 7, access: 'rw' },
  }),
  reg('dpc.status', 8, 2, {
    triggered: { at: 0, access: 'rw1c', sticky: true },
    reason: { at: 1, width: 2, access: 'ro', sticky: true },
    interrupt: { at: 3, access: 'rw1c', sticky: true },
    rpBusy: { at: 4, access: 'ro' },
    reasonExtension: { at: 5, width: 2, access: 'ro', sticky: true },
    firstError: { at: 8, width: 5, access: 'ro', sticky: true },
  }),
  whole('dpc.source', 10, 2, 'ro', { sticky: true }),
];

/** Downstream Port Containment, PCIe 5.0 §7.9.15; the root port's PIO registers are not decoded. */
export const DPC: Capability = {
  id: 0x001d,
  extended: true,
  name: 'dpc',
  sizeBytes: () => 12,
  registers: () => REGISTERS,
};
