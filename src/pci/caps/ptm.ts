import { reg } from '../../core/index.ts';
import { type Capability, peek } from './capability.ts';

/** Precision Time Measurement, PCIe 5.0 §7.9.16. */
export const PTM: Capability = {
  id: 0x001f,
  extended: true,
  name: 'ptm',
  sizeBytes: () => 12,
  registers: (view) => [
    reg('ptm.caps', 4, 4, {
      requester: { at: 0, access: 'ro' },
      responder: { at: 1, access: 'ro' },
      root: { at: 2, access: 'ro' },
      granularity: { at: 8, width: 8, access: 'ro' },
    }),
    reg('ptm.ctrl', 8, 4, {
      enable: { at: 0, access: 'rw' },
      rootSelect: { at: 1, access: peek(view, 4, 4) & 4 ? 'rw' : 'ro' },
      effectiveGranularity: { at: 8, width: 8, access: 'rw' },
    }),
  ],
};
