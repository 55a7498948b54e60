import { reg, whole } from '../../core/index.ts';
import { type Capability, peek } from './capability.ts';

/** Multicast, PCIe 5.0 §7.9.11. */
export const MULTICAST: Capability = {
  id: 0x0012,
  extended: true,
  name: 'multicast',
  sizeBytes: () => 0x30,
  registers: (view) => [
    reg('multicast.caps', 4, 2, {
      maxGroup: { at: 0, width: 6, access: 'ro' },
      windowSize: { at: 8, width: 6, access: 'ro' },
      ecrcRegeneration: { at: 15, access: 'ro' },
    }),
    reg('multicast.ctrl', 6, 2, {
      groups: { at: 0, width: 6, access: peek(view, 4, 2) & 0x3f ? 'rw' : 'ro' },
      enable: { at: 15, access: 'rw' },
    }),
    reg('multicast.base', 8, 4, {
      indexPosition: { at: 0, width: 6, access: 'rw' },
      address: { at: 12, width: 20, access: 'rw' },
    }),
    whole('multicast.baseUpper', 0x0c, 4, 'rw'),
    ...['receive', 'receiveUpper', 'blockAll', 'blockAllUpper', 'blockUntranslated', 'blockUntranslatedUpper'].map(
      (name, i) => whole(`multicast.${name}`, 0x10 + 4 * i, 4, 'rw'),
    ),
  ],
};
