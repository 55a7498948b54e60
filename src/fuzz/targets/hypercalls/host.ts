import type { Arena } from '../../../core/index.ts';
import { RecordedDevices } from '../../../harness/replay/xen-devices.ts';
import { Hypervisor } from '../../../xen/index.ts';
import { NaiveDomain, NaiveXen } from '../../oracle/xen/state.ts';

export const HVM = 5;
export const STUB = 6;
export const GSIS = 18;
export const NR_IRQS = 29;
const FIRST_IRQ = 19;
const LEVEL_FROM = 16;

export const DOMAINS = [
  { id: 0, nrPirqs: 40, maxPort: 12 },
  { id: HVM, nrPirqs: 34, maxPort: 12 },
  { id: STUB, nrPirqs: 24, maxPort: 12 },
] as const;

/** The first is the hardware domain's and cannot be masked, the others are the guest's. */
export const DEVICES = [
  { sbdf: 0x300, msi_vectors: 8, maskable: false, msix_entries: 0, bar: 0xf7a3_0000 },
  { sbdf: 0x400, msi_vectors: 4, maskable: true, msix_entries: 8, bar: 0xf7a4_0000 },
  { sbdf: 0x500, msi_vectors: 0, maskable: true, msix_entries: 4, bar: 0xf7a5_0000 },
];

/** Releases, with interrupt remapping and without, with `irq-max-guests=`. */
export const HOSTS = [
  { xen: 'xen-4.17', remapping: true, maxGuests: 4 },
  { xen: 'xen-4.19', remapping: true, maxGuests: 1 },
  { xen: 'xen-4.22', remapping: true, maxGuests: 4 },
  { xen: 'xen-4.22', remapping: false, maxGuests: 4 },
] as const;

/**
 * A host of a few KiB twice: the model and the naive one. A hardware domain, an HVM guest, and the guest's device model
 * domain; few pirqs, irqs and ports, so that they run out.
 */
export function makeHost(
  { xen, remapping, maxGuests }: (typeof HOSTS)[number],
  arena: Arena,
): { xen: Hypervisor; bus: RecordedDevices; naive: NaiveXen } {
  const bus = new RecordedDevices(DEVICES, arena);
  const h = new Hypervisor({
    xen,
    bus,
    arena,
    intremap: remapping,
    gsis: GSIS,
    levelFrom: LEVEL_FROM,
    nrIrqs: NR_IRQS,
    firstIrq: FIRST_IRQ,
    maxDevices: 4,
    maxGuestsPerIrq: maxGuests,
  });
  h.createDomain({ ...DOMAINS[0], kind: 'pv-hwdom', hasMemory: false });
  h.createDomain({ ...DOMAINS[1], kind: 'hvm', hasPirq: true, hasMemory: false });
  h.createDomain({ ...DOMAINS[2], kind: 'pv', target: HVM });
  for (const d of DEVICES) h.addDevice(d.sbdf);
  for (const d of DEVICES.slice(1)) {
    h.as(0).prepareMsix(d.sbdf);
    h.as(0).assignDevice(HVM, d.sbdf);
  }
  const devices = DEVICES.map((d, i) => ({
    sbdf: d.sbdf,
    owner: i === 0 ? 0 : HVM,
    msi: d.msi_vectors,
    maskable: d.maskable,
    msix: d.msix_entries,
  }));
  const options = {
    gsis: GSIS,
    nrIrqs: NR_IRQS,
    firstIrq: FIRST_IRQ,
    levelFrom: LEVEL_FROM,
    remapping,
    upTo418: xen === 'xen-4.17',
    signedPirqs: xen === 'xen-4.17',
    domctlVersion: DOMCTL_VERSION[xen],
    maxGuests,
    devices,
  };
  const domains = DOMAINS.map(
    (d) => new NaiveDomain(d.id, d.id === HVM, d.nrPirqs, d.id === STUB ? HVM : -1, d.maxPort),
  );
  return { xen: h, bus, naive: NaiveXen.fresh(options, domains, (irq) => h.host.irqs.vector[irq]) };
}

/** XEN_DOMCTL_INTERFACE_VERSION of the releases. */
export const DOMCTL_VERSION = { 'xen-4.17': 0x15, 'xen-4.19': 0x17, 'xen-4.22': 0x18 };
