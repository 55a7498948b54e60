import { decodePirqMessage, GFLAGS, type MsiMessage, msiGflags } from '../abi/index.ts';
import type { HostFunction } from './host.ts';
import type { Switches } from './profiles.ts';

/** No pirq. hw/xen/xen_pt.h: XEN_PT_UNASSIGNED_PIRQ */
export const NO_PIRQ = -1;

export interface MapPirqMsi {
  /** Host irq to map; −1 lets the hypervisor create one, and the device model asks for nothing else. */
  index: number;
  /** Wanted pirq, signed; negative = any. */
  pirq: number;
  devfn: number;
  bus: number;
  /** Vector table entry; 0 for MSI. */
  entry: number;
  /** Host-physical base of the BAR that holds the vector table; 0 for MSI. */
  tableBase: number;
}

export interface MsiBinding {
  /** Vector, the low byte of the message data. */
  gvec: number;
  /** Signed; negative numbers reach the hypervisor as they are. */
  pirq: number;
  gflags: number;
}

/**
 * What the device model asks of the hypervisor for its domain, named after the functions of libxenctrl. Every result
 * `rc` is 0, or −errno (libxenctrl returns −1 and sets errno; the number is kept here for those who watch).
 */
export interface Toolstack {
  /** xc_physdev_map_pirq_msi; `pirq` in the answer is meaningless if `rc` is not 0. */
  mapPirqMsi(request: MapPirqMsi): { rc: number; pirq: number };
  /** xc_domain_update_msi_irq: binds, or changes a binding. `gtable` = guest-physical vector table, 0 for MSI. */
  updateMsiIrq(request: MsiBinding & { gtable: number }): number;
  /** xc_domain_unbind_msi_irq */
  unbindMsiIrq(request: MsiBinding): number;
  /** xc_physdev_unmap_pirq */
  unmapPirq(pirq: number): number;
  /** xc_domain_unbind_pt_irq of type MSI, used when the vector table moves; takes only the low 8 bits of a pirq. */
  unbindPtIrq(pirq: number): number;
  /**
   * xen_shutdown_fatal_error: the device model gives up and has its domain destroyed. Whoever runs the machine stops
   * it here; the device stays usable, as its code returns.
   */
  fatal(reason: string): void;
}

/** What the MSI and the MSI-X side of one device share. */
export interface Context {
  readonly host: HostFunction;
  readonly toolstack: Toolstack;
  readonly switches: Switches;
}

/**
 * Which pirq a message asks for, and its mapping if none is `held`. A message with vector 0 names a pirq; pirq 0 in it
 * stands for any. With a pirq held the named number is returned all the same: it is what gets bound next.
 * hw/xen/xen_pt_msi.c: msi_msix_setup
 */
export function setUp(
  context: Context,
  { addressLo, addressHi, data }: MsiMessage,
  held: number,
  entry: number,
  tableBase: number,
): { rc: number; pirq: number } {
  let pirq = held;
  if ((data & 0xff) === 0) pirq = decodePirqMessage(addressLo, addressHi, data) | 0 || NO_PIRQ;
  if (held !== NO_PIRQ) return { rc: 0, pirq };
  const { sbdf } = context.host;
  return context.toolstack.mapPirqMsi({
    index: -1,
    pirq,
    devfn: sbdf & 0xff,
    bus: (sbdf >>> 8) & 0xff,
    entry,
    tableBase,
  });
}

/**
 * Binds `pirq` to the message, or updates its binding. On failure `held`, the pirq on record, is unmapped; the caller
 * forgets it. hw/xen/xen_pt_msi.c: msi_msix_update
 */
export function bind(
  context: Context,
  { addressLo, data }: MsiMessage,
  pirq: number,
  held: number,
  gtable: number,
  masked: boolean,
): number {
  const { toolstack, switches } = context;
  const gflags = msiGflags(addressLo, data) | (switches.bindFlagUnmasked && !masked ? GFLAGS.unmasked : 0);
  const rc = toolstack.updateMsiIrq({ gvec: data & 0xff, pirq, gflags, gtable });
  if (rc !== 0) toolstack.unmapPirq(held);
  return rc;
}

/** Unbinds (if `bound`) and unmaps; a failing unbind leaves the mapping. hw/xen/xen_pt_msi.c: msi_msix_disable */
export function release(context: Context, { addressLo, data }: MsiMessage, pirq: number, bound: boolean): void {
  if (pirq === NO_PIRQ) return;
  const { toolstack } = context;
  const binding = { gvec: data & 0xff, pirq, gflags: msiGflags(addressLo, data) };
  if (bound && toolstack.unbindMsiIrq(binding) !== 0) return;
  toolstack.unmapPirq(pirq);
}

/** Clears Enable in the device's own control word. hw/xen/xen_pt_msi.c: msi_msix_enable */
export function clearHostEnable(context: Context, control: number, enable: number): void {
  const value = context.host.readConfig(control, 2);
  context.host.writeConfig(control, 2, value & ~enable);
}
