import { type Register, reg, whole } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** Bytes before the first entry: bridges have a dword of fixed bus numbers there. PCIe 5.0 §7.8.5.1, .2. */
const first = (view: CapabilityView) => (view.function.headerType === 1 ? 8 : 4);

function entries(view: CapabilityView): { offset: number; dwords: number }[] {
  const list: { offset: number; dwords: number }[] = [];
  let offset = first(view);
  for (let n = peek(view, 2, 1) & 0x3f; n > 0 && view.at + offset < 0x100; n--) {
    const dwords = 1 + (peek(view, offset, 1) & 7);
    list.push({ offset, dwords });
    offset += 4 * dwords;
  }
  return list;
}

/** Enhanced Allocation, PCIe 5.0 §7.8.5: fixed resources, read-only here. */
export const EA: Capability = {
  id: 0x14,
  name: 'ea',
  sizeBytes: (view) => {
    const last = entries(view).at(-1);
    return last ? last.offset + 4 * last.dwords : first(view);
  },
  registers: (view) => {
    const list: Register[] = [reg('ea.entries', 2, 2, { count: { at: 0, width: 6, access: 'ro' } })];
    if (first(view) === 8) list.push(whole('ea.fixedBusNumbers', 4, 4, 'ro'));
    entries(view).forEach((e, i) => {
      list.push(
        reg(`ea.entry${i}`, e.offset, 4, {
          sizeDwords: { at: 0, width: 3, access: 'ro' },
          bei: { at: 4, width: 4, access: 'ro' },
          primaryProperties: { at: 8, width: 8, access: 'ro' },
          secondaryProperties: { at: 16, width: 8, access: 'ro' },
          writable: { at: 30, access: 'ro' },
          enable: { at: 31, access: 'ro' },
        }),
      );
      for (let d = 1; d < e.dwords; d++) list.push(whole(`ea.entry${i}.${d}`, e.offset + 4 * d, 4, 'ro'));
    });
    return list;
  },
};
