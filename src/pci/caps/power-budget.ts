import { reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const REGISTERS = [
  whole('powerBudget.select', 4, 1, 'rw'),
  reg('powerBudget.data', 8, 4, {
    basePower: { at: 0, width: 8, access: 'ro' },
    scale: { at: 8, width: 2, access: 'ro' },
    pmSubState: { at: 10, width: 3, access: 'ro' },
    pmState: { at: 13, width: 2, access: 'ro' },
    type: { at: 15, width: 3, access: 'ro' },
    rail: { at: 18, width: 3, access: 'ro' },
  }),
  reg('powerBudget.caps', 12, 1, { systemAllocated: { at: 0, access: 'ro' } }),
];

/** Power Budgeting, PCIe 5.0 §7.8.1. */
export const POWER_BUDGET: Capability = {
  id: 0x0004,
  extended: true,
  name: 'powerBudget',
  sizeBytes: () => 16,
  registers: () => REGISTERS,
};
