import { type Register, reg } from '../../core/index.ts';
import type { Capability } from './capability.ts';

/** Device, PCI-X 2.0 §7.2. */
const DEVICE: readonly Register[] = [
  reg('pcix.command', 2, 2, {
    dataParityRecovery: { at: 0, access: 'rw' },
    relaxedOrdering: { at: 1, access: 'rw', reset: 1 },
    maxReadByteCount: { at: 2, width: 2, access: 'rw' },
    maxOutstandingSplits: { at: 4, width: 3, access: 'rw', reset: 3 },
    version: { at: 12, width: 2, access: 'ro' },
  }),
  reg('pcix.status', 4, 4, {
    functionNumber: { at: 0, width: 3, access: 'ro' },
    deviceNumber: { at: 3, width: 5, access: 'ro' },
    busNumber: { at: 8, width: 8, access: 'ro' },
    bit64: { at: 16, access: 'ro' },
    mhz133: { at: 17, access: 'ro' },
    splitDiscarded: { at: 18, access: 'rw1c' },
    unexpectedSplit: { at: 19, access: 'rw1c' },
    complexity: { at: 20, access: 'ro' },
    maxReadByteCount: { at: 21, width: 2, access: 'ro' },
    maxOutstandingSplits: { at: 23, width: 3, access: 'ro' },
    maxCumulativeRead: { at: 26, width: 3, access: 'ro' },
    splitError: { at: 29, access: 'rw1c' },
    mhz266: { at: 30, access: 'ro' },
    mhz533: { at: 31, access: 'ro' },
  }),
];

/** Bridge, PCI-X 2.0 §8.6. */
const BRIDGE: readonly Register[] = [
  reg('pcix.secondaryStatus', 2, 2, {
    bit64: { at: 0, access: 'ro' },
    mhz133: { at: 1, access: 'ro' },
    splitDiscarded: { at: 2, access: 'rw1c' },
    unexpectedSplit: { at: 3, access: 'rw1c' },
    splitOverrun: { at: 4, access: 'rw1c' },
    splitDelayed: { at: 5, access: 'rw1c' },
    clockFrequency: { at: 6, width: 4, access: 'ro' },
    version: { at: 12, width: 2, access: 'ro' },
    mhz266: { at: 14, access: 'ro' },
    mhz533: { at: 15, access: 'ro' },
  }),
  reg('pcix.bridgeStatus', 4, 4, {
    functionNumber: { at: 0, width: 3, access: 'ro' },
    deviceNumber: { at: 3, width: 5, access: 'ro' },
    busNumber: { at: 8, width: 8, access: 'ro' },
    bit64: { at: 16, access: 'ro' },
    mhz133: { at: 17, access: 'ro' },
    splitDiscarded: { at: 18, access: 'rw1c' },
    unexpectedSplit: { at: 19, access: 'rw1c' },
    splitOverrun: { at: 20, access: 'rw1c' },
    splitDelayed: { at: 21, access: 'rw1c' },
  }),
  ...[
    ['pcix.upstreamSplit', 8],
    ['pcix.downstreamSplit', 12],
  ].map(([name, offset]) =>
    reg(name as string, offset as number, 4, {
      capacity: { at: 0, width: 16, access: 'ro' },
      limit: { at: 16, width: 16, access: 'rw' },
    }),
  ),
];

export const PCIX: Capability = {
  id: 0x07,
  name: 'pcix',
  sizeBytes: ({ function: { headerType } }) => (headerType === 1 ? 16 : 8),
  registers: ({ function: { headerType } }) => (headerType === 1 ? BRIDGE : DEVICE),
};
