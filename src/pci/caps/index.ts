import { readLe } from '../../core/index.ts';
import { ACS } from './acs.ts';
import { AER } from './aer.ts';
import { AF } from './af.ts';
import { ARI } from './ari.ts';
import { ATS } from './ats.ts';
import type { Capability } from './capability.ts';
import { DATA_LINK_FEATURE } from './data-link-feature.ts';
import { DPC } from './dpc.ts';
import { DSN } from './dsn.ts';
import { EA } from './ea.ts';
import { L1PM } from './l1pm.ts';
import { LANE_MARGINING } from './lane-margining.ts';
import { LTR } from './ltr.ts';
import { MSI } from './msi.ts';
import { MSIX } from './msix.ts';
import { MULTICAST } from './multicast.ts';
import { PASID } from './pasid.ts';
import { PCI_EXPRESS } from './pcie.ts';
import { PCIX } from './pcix.ts';
import { PHYSICAL_16GT, PHYSICAL_32GT } from './physical-layer.ts';
import { PM } from './pm.ts';
import { POWER_BUDGET } from './power-budget.ts';
import { PRI } from './pri.ts';
import { PTM } from './ptm.ts';
import { RESIZABLE_BAR } from './resizable-bar.ts';
import { SATA } from './sata.ts';
import { SECONDARY_PCIE } from './secondary-pcie.ts';
import { SHPC } from './shpc.ts';
import { SLOT_ID } from './slot-id.ts';
import { SRIOV } from './sriov.ts';
import { SSVID } from './ssvid.ts';
import { TPH } from './tph.ts';
import { VC, VC_WITH_MFVC } from './vc.ts';
import { VENDOR } from './virtio.ts';
import { VPD } from './vpd.ts';
import { DVSEC, VSEC } from './vsec.ts';

const CONVENTIONAL: readonly Capability[] = [
  PM,
  VPD,
  SLOT_ID,
  MSI,
  PCIX,
  VENDOR,
  SHPC,
  SSVID,
  PCI_EXPRESS,
  MSIX,
  SATA,
  AF,
  EA,
];
const EXTENDED: readonly Capability[] = [
  AER,
  ACS,
  ARI,
  ATS,
  DATA_LINK_FEATURE,
  DPC,
  DSN,
  L1PM,
  LANE_MARGINING,
  LTR,
  MULTICAST,
  PASID,
  PHYSICAL_16GT,
  PHYSICAL_32GT,
  POWER_BUDGET,
  PRI,
  PTM,
  RESIZABLE_BAR,
  SECONDARY_PCIE,
  SRIOV,
  TPH,
  VC,
  VC_WITH_MFVC,
  DVSEC,
  VSEC,
];

const BY_ID = new Map(CONVENTIONAL.map((c) => [c.id, c]));
const BY_EXTENDED_ID = new Map(EXTENDED.map((c) => [c.id, c]));

/** A capability that no table describes: its header alone, read-only. */
const unknown = (id: number, extended: boolean): Capability => ({
  id,
  ...(extended ? { extended } : {}),
  name: `${extended ? 'ext' : 'cap'}${id.toString(16).padStart(extended ? 4 : 2, '0')}`,
  sizeBytes: () => (extended ? 4 : 2),
  registers: () => [],
});

export interface FoundCapability {
  readonly id: number;
  readonly at: number;
  readonly extended: boolean;
  readonly definition: Capability;
}

/**
 * The conventional capabilities in list order, PCI Local Bus 3.0 §6.7: from the pointer at 0x34 if Status says there
 * is a list. Ends at a pointer below 0x40, one seen before (a loop), an id of 0xff or the image's end.
 */
export function conventionalCapabilities(image: Uint8Array): FoundCapability[] {
  const found: FoundCapability[] = [];
  if (!(image[0x06] & 0x10)) return found;
  const seen = new Set<number>();
  const pointer = (image[0x0e] & 0x7f) === 2 ? 0x14 : 0x34;
  for (let at = image[pointer] & 0xfc; at >= 0x40 && at + 1 < image.length && !seen.has(at); ) {
    const id = image[at];
    if (id === 0xff) break;
    seen.add(at);
    found.push({ id, at, extended: false, definition: BY_ID.get(id) ?? unknown(id, false) });
    at = image[at + 1] & 0xfc;
  }
  return found;
}

/** The extended capabilities in list order, PCIe 5.0 §7.6.3. An all-zero or all-ones header at 0x100 means none. */
export function extendedCapabilities(image: Uint8Array): FoundCapability[] {
  const found: FoundCapability[] = [];
  const seen = new Set<number>();
  for (let at = 0x100; at >= 0x100 && at + 4 <= image.length && !seen.has(at); ) {
    const header = readLe(image, at, 4);
    if (header === 0 || header === 0xffffffff) break;
    seen.add(at);
    const id = header & 0xffff;
    if (id !== 0) found.push({ id, at, extended: true, definition: BY_EXTENDED_ID.get(id) ?? unknown(id, true) });
    at = (header >>> 20) & 0xffc;
  }
  return found;
}
