/** Numbers that bound how many interrupts there can be, where a release or the hardware fixes them. */
export interface XenLimits {
  /** Physical CPUs that the hypervisor can be built for. */
  cpus: number;
  /** Pirqs that `extra_guest_irqs` can bring a domain to. */
  guestPirqs: number;
  /** Entries of the IOMMU's interrupt remapping table. */
  remappingEntries: number;
  /** Bits of a port in a FIFO event word: a domain has 2^this event channels at most. */
  eventLinkBits: number;
  /** vCPUs of an HVM domain. */
  hvmVcpus: number;
  /** Functions that can be passed through to an HVM domain. */
  guestFunctions: number;
}

/** Where each number comes from; paths are below xen/ in Xen's tree. */
export const LIMIT_SOURCES: Record<keyof XenLimits, string> = {
  cpus: 'arch/Kconfig: NR_CPUS, range 1 to 4095, 16383 since 4.19; in 4.4 a bound of common/spinlock.c only',
  guestPirqs:
    'common/domain.c: setup_system_domains, bounded by arch_hwdom_irqs, 32768 bits of the EOI page; since 4.17.5, 4.18.3, 4.19',
  remappingEntries:
    'drivers/passthrough/vtd/iommu.h: IREMAP_ENTRY_NR 2^16, VT-d §5.1.2.2; intremap.c: msi_msg_to_remap_entry, -EFAULT beyond',
  eventLinkBits: 'include/public/event_channel.h: EVTCHN_FIFO_LINK_BITS 17',
  hvmVcpus: 'include/public/hvm/hvm_info_table.h: HVM_MAX_VCPUS 128',
  guestFunctions:
    'QEMU hw/i386/pc_piix.c: one bus of 32 devices, of which at least 3 are taken (more with a display or network card); 8 functions each (libxl: vdevfn)',
};

/** Before what {@link LIMIT_SOURCES} dates: of 4.4 to 4.17.4. `nr_irqs` alone bounds pirqs. */
export const OLD_LIMITS: XenLimits = {
  cpus: 4095,
  guestPirqs: Number.POSITIVE_INFINITY,
  remappingEntries: 1 << 16,
  eventLinkBits: 17,
  hvmVcpus: 128,
  guestFunctions: 29 * 8,
};

/** Since 4.19. */
export const RELEASE_LIMITS: XenLimits = { ...OLD_LIMITS, cpus: 16383, guestPirqs: 32768 };

/**
 * Deviation: the numbers of the profile `xen-unbounded`. What depends on their width grows with them: the index of a
 * remapping entry goes on in the upper half of a message's address, and a link takes more bits of an event word, of which
 * the ABI leaves those below 28 unused.
 */
export const LIFTED_LIMITS: XenLimits = {
  cpus: 1 << 16,
  guestPirqs: 1 << 24,
  remappingEntries: 1 << 24,
  eventLinkBits: 24,
  hvmVcpus: 1 << 12,
  guestFunctions: 1 << 14,
};
