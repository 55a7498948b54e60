import { reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';
import { lanes } from './secondary-pcie.ts';

const PORT = [
  reg('margining.portCaps', 4, 2, { driverSoftware: { at: 0, access: 'ro' } }),
  reg('margining.portStatus', 6, 2, {
    ready: { at: 0, access: 'ro' },
    softwareReady: { at: 1, access: 'ro' },
  }),
];

/** Lane Margining at the Receiver, PCIe 5.0 §7.7.7. */
export const LANE_MARGINING: Capability = {
  id: 0x0027,
  extended: true,
  name: 'margining',
  sizeBytes: (view) => 8 + 4 * lanes(view),
  registers: (view) => [
    ...PORT,
    ...Array.from({ length: lanes(view) }, (_, i) => [
      reg(`margining.lane${i}.ctrl`, 8 + 4 * i, 2, {
        receiver: { at: 0, width: 3, access: 'rw' },
        type: { at: 3, width: 3, access: 'rw', reset: 7 },
        usage: { at: 6, access: 'rw' },
        payload: { at: 8, width: 8, access: 'rw', reset: 0x9c },
      }),
      reg(`margining.lane${i}.status`, 10 + 4 * i, 2, {
        receiver: { at: 0, width: 3, access: 'ro' },
        type: { at: 3, width: 3, access: 'ro' },
        usage: { at: 6, access: 'ro' },
        payload: { at: 8, width: 8, access: 'ro' },
      }),
    ]).flat(),
  ],
};
