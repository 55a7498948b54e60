import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

const latency = (name: string, offset: number) =>
  reg(name, offset, 2, {
    value: { at: 0, width: 10, access: 'rw' },
    scale: { at: 10, width: 3, access: 'rw' },
  });

const REGISTERS = [latency('ltr.maxSnoop', 4), latency('ltr.maxNoSnoop', 6)];

/** Latency Tolerance Reporting, PCIe 5.0 §7.8.2. */
export const LTR: Capability = {
  id: 0x0018,
  extended: true,
  name: 'ltr',
  sizeBytes: () => 8,
  registers: () => REGISTERS,
};
