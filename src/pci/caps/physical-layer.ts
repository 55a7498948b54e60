import { type Register, reg, whole } from '../../core/index.ts';
import type { Capability } from './capability.ts';
import { lanes } from './secondary-pcie.ts';

const EQUALIZATION = {
  complete: { at: 0, access: 'ro', sticky: true },
  phase1: { at: 1, access: 'ro', sticky: true },
  phase2: { at: 2, access: 'ro', sticky: true },
  phase3: { at: 3, access: 'ro', sticky: true },
  request: { at: 4, access: 'rw1c', sticky: true },
} as const;

const presets = (prefix: string, base: number, count: number): Register[] =>
  Array.from({ length: count }, (_, i) =>
    reg(`${prefix}.lane${i}`, base + i, 1, {
      downstreamPreset: { at: 0, width: 4, access: 'ro' },
      upstreamPreset: { at: 4, width: 4, access: 'ro' },
    }),
  );

/** Physical Layer 16.0 GT/s, PCIe 5.0 §7.7.5. */
export const PHYSICAL_16GT: Capability = {
  id: 0x0026,
  extended: true,
  name: 'phy16',
  sizeBytes: (view) => 0x20 + 4 * Math.ceil(lanes(view) / 4),
  registers: (view) => [
    whole('phy16.caps', 0x04, 4, 'ro'),
    whole('phy16.ctrl', 0x08, 4, 'ro'),
    reg('phy16.status', 0x0c, 4, EQUALIZATION),
    ...['local', 'firstRetimer', 'secondRetimer'].map((name, i) =>
      whole(`phy16.${name}Parity`, 0x10 + 4 * i, 4, 'rw1c', { sticky: true }),
    ),
    ...presets('phy16', 0x20, lanes(view)),
  ],
};

/** Physical Layer 32.0 GT/s, PCIe 5.0 §7.7.6. */
export const PHYSICAL_32GT: Capability = {
  id: 0x002a,
  extended: true,
  name: 'phy32',
  sizeBytes: (view) => 0x20 + 4 * Math.ceil(lanes(view) / 4),
  registers: (view) => [
    reg('phy32.caps', 0x04, 4, {
      bypassToHighest: { at: 0, access: 'ro' },
      noEqualization: { at: 1, access: 'ro' },
      modifiedTs: { at: 8, width: 8, access: 'ro' },
    }),
    reg('phy32.ctrl', 0x08, 4, {
      bypassToHighestDisable: { at: 0, access: 'rw', sticky: true },
      noEqualizationDisable: { at: 1, access: 'rw', sticky: true },
      modifiedTsUsage: { at: 8, width: 3, access: 'rw', sticky: true },
    }),
    reg('phy32.status', 0x0c, 4, {
      ...EQUALIZATION,
      modifiedTsReceived: { at: 5, access: 'ro' },
      received: { at: 6, width: 2, access: 'ro' },
      transmitterPrecoding: { at: 8, access: 'ro' },
      noEqualizationReceived: { at: 9, access: 'ro' },
    }),
    ...['receivedTs1', 'receivedTs2', 'transmittedTs1', 'transmittedTs2'].map((name, i) =>
      whole(`phy32.${name}`, 0x10 + 4 * i, 4, 'ro'),
    ),
    ...presets('phy32', 0x20, lanes(view)),
  ],
};
