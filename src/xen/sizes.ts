import type { XenProfile } from './profile.ts';

/** What of a host decides how many interrupts there are. */
export interface HostSize {
  /** nr_irqs_gsi: pins of all IO-APICs. */
  gsis: number;
  cpus: number;
  /** `nr_irqs=` of the command line. */
  nrIrqs?: number;
  /** `extra_guest_irqs=domU,dom0`. */
  extraDomU?: number;
  extraDom0?: number;
  /** `dom0_max_vcpus`; default one per CPU. */
  dom0Vcpus?: number;
  dom0Pvh?: boolean;
}

/** The EOI page is one bitmap of 4 KiB, which bounds the pirqs of a PV hardware domain. */
const EOI_PAGE_BITS = 32768;

/** Number of host irqs. arch/x86/io_apic.c: ioapic_init, with a local APIC. */
export function hostIrqs(profile: XenProfile, size: HostSize): number {
  if (size.nrIrqs !== undefined) return Math.max(size.nrIrqs, 16);
  return Math.max(profile.nrIrqs.base + size.cpus * profile.nrIrqs.perCpu, 8 * size.gsis);
}

/** nr_pirqs of a new domain. common/domain.c: domain_create; arch/x86/io_apic.c: arch_hwdom_irqs. */
export function domainPirqs(profile: XenProfile, size: HostSize, hardwareDomain: boolean): number {
  const { gsis } = size;
  const nrIrqs = hostIrqs(profile, size);
  // setup_system_domains: as many as extra_guest_irqs can add
  const most = Math.max(Math.min(nrIrqs, profile.limits.guestPirqs) - gsis, 0);
  if (!hardwareDomain) {
    const extra = size.extraDomU ?? 32;
    return Math.min(gsis + (extra > Math.max(32, most) ? most : extra), nrIrqs);
  }
  if (profile.hwdomPirqs === 'gsi+256') return Math.min(gsis + (size.extraDom0 || 256), nrIrqs);
  if (size.extraDom0) return Math.min(gsis + Math.min(size.extraDom0, most), nrIrqs);
  if (profile.hwdomPirqs === 'cpus' && size.dom0Pvh) return nrIrqs;
  const cpus = profile.hwdomPirqs === 'fls' ? 32 - Math.clz32(size.cpus) : size.cpus;
  const n = Math.min(cpus, size.dom0Vcpus ?? size.cpus);
  return Math.min(gsis + n * profile.nrIrqs.perCpu, nrIrqs, EOI_PAGE_BITS);
}
