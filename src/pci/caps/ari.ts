import { reg } from '../../core/index.ts';
import { type Capability, peek } from './capability.ts';

/** Alternative Routing-ID Interpretation, PCIe 5.0 §7.8.7. */
export const ARI: Capability = {
  id: 0x000e,
  extended: true,
  name: 'ari',
  sizeBytes: () => 8,
  registers: (view) => {
    const caps = peek(view, 4, 2);
    return [
      reg('ari.caps', 4, 2, {
        mfvcGroups: { at: 0, access: 'ro' },
        acsGroups: { at: 1, access: 'ro' },
        nextFunction: { at: 8, width: 8, access: 'ro' },
      }),
      reg('ari.ctrl', 6, 2, {
        mfvcGroups: { at: 0, access: caps & 1 ? 'rw' : 'ro' },
        acsGroups: { at: 1, access: caps & 2 ? 'rw' : 'ro' },
        functionGroup: { at: 4, width: 3, access: caps & 3 ? 'rw' : 'ro' },
      }),
    ];
  },
};
