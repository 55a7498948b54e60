import type { KernelProfile } from '../guest/kernel-profile.ts';
import type { XenProfile } from '../xen/profile.ts';
import type { HostSize } from '../xen/sizes.ts';

/** What of a device matters for the number of its interrupts. */
export interface BudgetDevice {
  name: string;
  kind: 'nvme' | 'other';
  /** Entries of its MSI-X table, messages of its MSI capability; 0 without one. */
  msixVectors: number;
  msiMessages: number;
  hasIntx: boolean;
  /** Vectors that its driver asks for, where that is known better than the general rule. */
  asks?: number;
}

export interface BudgetInputs {
  xen: XenProfile;
  kernel: KernelProfile;
  /** The domU routes MSIs over pirqs; default: what the Xen release and the kernel do. */
  hvmPirqs?: boolean;
  /** vCPUs of the domU. */
  cpus: number;
  host: HostSize;
  /** MSIs that the hardware domain and other domains have already. */
  hostMsis?: number;
  /** GSIs that the domU registers for its emulated devices; default {@link GUEST_GSIS}. */
  guestGsis?: number;
  /** I/O queues that an NVMe controller grants at most; default as many as it is asked for. */
  nvmeQueues?: number;
}

/** How many there are of something that MSIs need, and how that comes about. */
export interface Limit {
  name: 'domU pirqs' | 'host irqs' | 'CPU vectors';
  capacity: number;
  /** What the devices ask for together. */
  needed: number;
  formula: string;
}

/** Seen in an HVM guest of today: gsi 9, 8, 12, 1 and 6, and that of Xen's platform device. */
export const GUEST_GSIS = 6;
/** pirqs below this are never handed out. arch/x86/irq.c: get_free_pirq */
const FIRST_DYNAMIC_GSI = 16;
/** Logical destinations of a flat APIC are one bit a CPU. */
const FLAT_CPUS = 8;

/**
 * Whether MSIs travel as pirqs: Xen offers it to HVM guests, the kernel takes it. arch/x86/pci/xen.c pci_xen_hvm_init;
 * since Xen 4.19 only domains with `hvm_pirq=1` are offered it.
 */
export function routesOverPirqs({ xen, kernel, hvmPirqs }: BudgetInputs): boolean {
  return kernel.msiBackend === 'xen-hvm' && (hvmPirqs ?? xen.hvmPirqsByDefault);
}

/**
 * pirqs that GSIs take from the MSIs' range: passed-through INTx lines keep their numbers (one line a device is assumed),
 * the domU's own GSIs fill up the rest from 16 on, what is left over comes from the top. A domU that does not use pirqs
 * has only the passed-through lines.
 */
export function gsisFromTheTop(devices: readonly BudgetDevice[], inputs: BudgetInputs): number {
  if (!routesOverPirqs(inputs)) return 0;
  const slots = Math.max(inputs.host.gsis - FIRST_DYNAMIC_GSI, 0);
  const lines = Math.min(devices.filter((d) => d.hasIntx).length, slots);
  return Math.max((inputs.guestGsis ?? GUEST_GSIS) - (slots - lines), 0);
}

/** create_irq takes one irq above the GSIs for every MSI of the host. arch/x86/irq.c */
export function hostIrqLimit({ host, hostMsis = 0 }: BudgetInputs, nrIrqs: number, needed: number): Limit {
  return {
    name: 'host irqs',
    capacity: Math.max(nrIrqs - host.gsis - hostMsis, 0),
    needed,
    formula: `${nrIrqs} nr_irqs - ${host.gsis} GSIs - ${hostMsis} MSIs of others`,
  };
}

/**
 * Every irq has a vector on one CPU, or in flat mode (up to 8 CPUs, releases that use logical destinations) the same vector
 * on all of them. GSIs are taken to have one each. arch/x86/irq.c: _assign_irq_vector. Not modelled: x2APIC clusters, where
 * the CPUs of a cluster share.
 */
export function vectorLimit({ xen, host, hostMsis = 0 }: BudgetInputs, needed: number): Limit {
  const cpu0 = vectorsOfCpu(xen, true);
  const other = vectorsOfCpu(xen, false);
  const isFlat = xen.hostMessage === 'logical-lowest' && host.cpus <= FLAT_CPUS;
  const all = isFlat ? cpu0 : cpu0 + (host.cpus - 1) * other;
  const term = isFlat ? `${cpu0} for all CPUs together (flat mode)` : `${cpu0} of CPU 0 + ${host.cpus - 1} x ${other}`;
  return {
    name: 'CPU vectors',
    capacity: Math.max(all - host.gsis - hostMsis, 0),
    needed,
    formula: `${term} - ${host.gsis} GSIs - ${hostMsis} MSIs of others`,
  };
}

/** Vectors that a CPU can give to devices. */
function vectorsOfCpu({ vectors }: XenProfile, isCpu0: boolean): number {
  let count = 0;
  for (let v = vectors.first; v <= vectors.last; v++) {
    const isLegacy = isCpu0 && v >= vectors.legacy[0] && v <= vectors.legacy[1];
    if (!isLegacy && !vectors.reserved.includes(v)) count++;
  }
  return count;
}

/**
 * Vectors that the driver asks for. NVMe: one per I/O queue, of which there is one a vCPU, and one for the admin queue
 * where that does not share queue 1's (drivers/nvme/host/pci.c nvme_setup_io_queues). Other drivers: taken to want one a
 * vCPU and one for the rest, which few exceed. Plain MSI: one, whatever is offered (arch/x86/pci/xen.c).
 */
export function driverAsks(device: BudgetDevice, inputs: BudgetInputs): { asks: number; formula: string } {
  const { cpus, kernel, nvmeQueues } = inputs;
  const { kind, msixVectors, msiMessages } = device;
  if (msixVectors === 0)
    return msiMessages > 0 ? { asks: 1, formula: 'one MSI message' } : { asks: 0, formula: 'INTx' };
  if (device.asks !== undefined)
    return {
      asks: Math.min(device.asks, msixVectors),
      formula: `min(${device.asks} as given, ${msixVectors} entries)`,
    };

  const isCapped = kind === 'nvme' && nvmeQueues !== undefined && nvmeQueues < cpus;
  const queues = isCapped ? nvmeQueues : cpus;
  const more = kind === 'nvme' && !kernel.nvmeOwnVectors ? 0 : 1;
  return {
    asks: Math.min(more + queues, msixVectors),
    formula: `min(${more ? '1 + ' : ''}${queues} ${isCapped ? 'queues' : 'vCPUs'}, ${msixVectors} entries)`,
  };
}
