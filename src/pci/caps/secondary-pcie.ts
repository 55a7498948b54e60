import { type Register, reg } from '../../core/index.ts';
import { type Capability, type CapabilityView, peek } from './capability.ts';
import { PCIE } from './pcie.ts';

/** Lanes of the function's link, from Link Capabilities; one equalization register each. */
export function lanes(view: CapabilityView): number {
  const express = { ...view, at: view.function.expressAt };
  const width = view.function.expressAt ? (peek(express, PCIE.linkCaps, 4) >> 4) & 0x3f : 1;
  return Math.min(32, Math.max(1, width));
}

const COMMON: readonly Register[] = [
  reg('secondaryPcie.linkControl3', 4, 4, {
    equalize: { at: 0, access: 'ro' },
    equalizationInterrupt: { at: 1, access: 'ro' },
    lowerSkp: { at: 9, width: 7, access: 'ro' },
  }),
  reg('secondaryPcie.laneErrors', 8, 4, { lanes: { at: 0, width: 32, access: 'rw1c', sticky: true } }),
];

const lane = (i: number) =>
  reg(`secondaryPcie.lane${i}`, 12 + 2 * i, 2, {
    downstreamPreset: { at: 0, width: 4, access: 'ro' },
    downstreamHint: { at: 4, width: 3, access: 'ro' },
    upstreamPreset: { at: 8, width: 4, access: 'ro' },
    upstreamHint: { at: 12, width: 3, access: 'ro' },
  });

/** Secondary PCI Express, PCIe 5.0 §7.7.3. */
export const SECONDARY_PCIE: Capability = {
  id: 0x0019,
  extended: true,
  name: 'secondaryPcie',
  sizeBytes: (view) => 12 + 2 * (lanes(view) + (lanes(view) & 1)),
  registers: (view) => [...COMMON, ...Array.from({ length: lanes(view) }, (_, i) => lane(i))],
};
