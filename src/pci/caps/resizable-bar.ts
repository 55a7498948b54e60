import { type Register, reg } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';

/** Resizable BARs are 1 to 6; the first control register says how many. */
const count = (view: CapabilityView) => Math.min(6, Math.max(1, (peek(view, 8, 4) >> 5) & 7));

function pair(i: number): Register[] {
  return [
    reg(`rebar${i}.caps`, 4 + 8 * i, 4, { sizes: { at: 4, width: 28, access: 'ro' } }),
    reg(`rebar${i}.ctrl`, 8 + 8 * i, 4, {
      bar: { at: 0, width: 3, access: 'ro' },
      count: { at: 5, width: 3, access: 'ro' },
      size: { at: 8, width: 6, access: 'ro' }, // a BAR of the model keeps its size
      moreSizes: { at: 16, width: 16, access: 'ro' },
    }),
  ];
}

/** Resizable BAR, PCIe 5.0 §7.8.6. The size is fixed here, as for a BAR that supports one size. */
export const RESIZABLE_BAR: Capability = {
  id: 0x0015,
  extended: true,
  name: 'rebar',
  sizeBytes: (view) => 4 + 8 * count(view),
  registers: (view) => Array.from({ length: count(view) }, (_, i) => pair(i)).flat(),
};
