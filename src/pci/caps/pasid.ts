import { reg } from '../../core/index.ts';
import { type Capability, peek } from './capability.ts';

/** Process Address Space ID, PCIe 5.0 §7.8.8. */
export const PASID: Capability = {
  id: 0x001b,
  extended: true,
  name: 'pasid',
  sizeBytes: () => 8,
  registers: (view) => {
    const caps = peek(view, 4, 2);
    return [
      reg('pasid.caps', 4, 2, {
        execute: { at: 1, access: 'ro' },
        privileged: { at: 2, access: 'ro' },
        width: { at: 8, width: 5, access: 'ro' },
      }),
      reg('pasid.ctrl', 6, 2, {
        enable: { at: 0, access: 'rw' },
        execute: { at: 1, access: caps & 2 ? 'rw' : 'ro' },
        privileged: { at: 2, access: caps & 4 ? 'rw' : 'ro' },
      }),
    ];
  },
};
