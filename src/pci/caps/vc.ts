import { type Register, reg } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** PCIe 5.0 §7.9.1.2 to .5. */
const PORT: readonly Register[] = [
  reg('vc.portCaps1', 4, 4, {
    extendedCount: { at: 0, width: 3, access: 'ro' },
    lowPriorityCount: { at: 4, width: 3, access: 'ro' },
    referenceClock: { at: 8, width: 2, access: 'ro' },
    arbitrationEntrySize: { at: 10, width: 2, access: 'ro' },
  }),
  reg('vc.portCaps2', 8, 4, {
    arbitration: { at: 0, width: 8, access: 'ro' },
    tableOffset: { at: 24, width: 8, access: 'ro' },
  }),
  reg('vc.portCtrl', 12, 2, {
    loadTable: { at: 0, access: 'ro' }, // acts when written, reads 0
    arbitrationSelect: { at: 1, width: 3, access: 'rw' },
  }),
  reg('vc.portStatus', 14, 2, { tableStatus: { at: 0, access: 'ro' } }),
];

/** §7.9.1.6 to .8. Traffic class 0 stays with VC 0, which is always enabled. */
function resource(vc: number): Register[] {
  const at = 16 + 12 * vc;
  return [
    reg(`vc${vc}.caps`, at, 4, {
      arbitration: { at: 0, width: 8, access: 'ro' },
      rejectSnoop: { at: 15, access: 'ro' },
      maxTimeSlots: { at: 16, width: 7, access: 'ro' },
      tableOffset: { at: 24, width: 8, access: 'ro' },
    }),
    reg(`vc${vc}.ctrl`, at + 4, 4, {
      trafficClass0: { at: 0, access: 'ro' },
      trafficClasses: { at: 1, width: 7, access: 'rw', reset: vc === 0 ? 0x7f : 0 },
      loadTable: { at: 16, access: 'ro' },
      arbitrationSelect: { at: 17, width: 3, access: 'rw' },
      id: { at: 24, width: 3, access: vc === 0 ? 'ro' : 'rw' },
      enable: { at: 31, access: vc === 0 ? 'ro' : 'rw' },
    }),
    reg(`vc${vc}.status`, at + 10, 2, {
      tableStatus: { at: 0, access: 'ro' },
      negotiationPending: { at: 1, access: 'ro' },
    }),
  ];
}

const count = (view: CapabilityView) => 1 + (peek(view, 4, 4) & 7);

const virtualChannel = (id: number): Capability => ({
  id,
  extended: true,
  name: 'vc',
  sizeBytes: (view) => 16 + 12 * count(view),
  registers: (view) => [...PORT, ...Array.from({ length: count(view) }, (_, vc) => resource(vc)).flat()],
});

/** Virtual Channel, PCIe 5.0 §7.9.1; id 9 is the same beside a Multi-Function one. Arbitration tables are not decoded. */
export const VC = virtualChannel(0x0002);
export const VC_WITH_MFVC = virtualChannel(0x0009);
