import { type Register, reg } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** Entries of a steering tag table in the capability itself (location 1), §7.9.13.2. */
function tableEntries(view: CapabilityView): number {
  const caps = peek(view, 4, 4);
  return ((caps >> 9) & 3) === 1 ? ((caps >> 16) & 0x7ff) + 1 : 0;
}

/** TPH Requester, PCIe 5.0 §7.9.13. */
export const TPH: Capability = {
  id: 0x0017,
  extended: true,
  name: 'tph',
  sizeBytes: (view) => 12 + 4 * Math.ceil(tableEntries(view) / 2),
  registers: (view) => {
    const list: Register[] = [
      reg('tph.caps', 4, 4, {
        noSteeringTag: { at: 0, access: 'ro' },
        interruptVector: { at: 1, access: 'ro' },
        deviceSpecific: { at: 2, access: 'ro' },
        extended: { at: 8, access: 'ro' },
        tableLocation: { at: 9, width: 2, access: 'ro' },
        tableSizeField: { at: 16, width: 11, access: 'ro' },
      }),
      reg('tph.ctrl', 8, 4, {
        mode: { at: 0, width: 3, access: 'rw' },
        enable: { at: 8, width: 2, access: 'rw' },
      }),
    ];
    for (let i = 0; i < Math.min(64, tableEntries(view)); i++)
      list.push(reg(`tph.tag${i}`, 12 + 2 * i, 2, { tag: { at: 0, width: 16, access: 'rw' } }));
    return list;
  },
};
