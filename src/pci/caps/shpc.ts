import { whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';

/**
 * Standard Hot-Plug Controller, SHPC 1.0 §4.3: a dword select that makes the data window show one dword of the
 * controller's registers.
 */
export const SHPC: Capability = {
  id: 0x0c,
  name: 'shpc',
  sizeBytes: () => 8,
  registers: () => [
    whole('shpc.select', 2, 1, 'rw'),
    whole('shpc.pending', 3, 1, 'ro'),
    whole('shpc.data', 4, 4, 'ro'),
  ],
  qemu: () => ({ 'shpc.select': { writable: 0xff } }),
};
