import { UsageError } from '../core/index.ts';
import { LIFTED_LIMITS, OLD_LIMITS, RELEASE_LIMITS, type XenLimits } from './limits.ts';

/** How vectors are laid out and which are never handed out. arch/x86/include/asm/irq-vectors.h, irq.c: init_irq_data */
export interface VectorLayout {
  first: number;
  last: number;
  /** PIC vectors, not used on CPU 0 where they lie within the dynamic range. */
  legacy: readonly [number, number];
  reserved: readonly number[];
}

/** One Xen release as far as interrupts of guests are concerned. Every switch has its source in {@link SWITCH_SOURCES}. */
export interface XenProfile {
  name: string;
  domctlVersion: number;
  /** Layout of bind_pt_irq and irq_permission. */
  domctlLayout: '4.4' | '4.9' | '4.10';
  /** When a domctl's caller is checked: before anything else, or where the command itself does it. */
  domctlPermission: 'first' | 'per-command';
  /** A domctl for an unknown domain is -EPERM, not -ESRCH, for an unprivileged caller. */
  domctlHidesDomains: boolean;
  /** bind_pt_irq takes every type but MSI for an INTx. */
  ptIrqTypes: 'checked' | 'msi-or-intx';
  vectors: VectorLayout;
  /** nr_irqs = max(base + CPUs × perCpu, 8 × GSIs) unless given. */
  nrIrqs: { base: number; perCpu: number };
  hwdomPirqs: 'gsi+256' | 'fls' | 'cpus';
  /** New HVM domains route interrupts over pirqs unless told otherwise. */
  hvmPirqsByDefault: boolean;
  hvmPhysdevOps: '4.4' | '4.9' | '4.20';
  /** "The caller maps for itself" is decided by the literal DOMID_SELF, not by comparing domains. */
  selfIsLiteral: boolean;
  /** Any domain may manage its own pirqs. */
  selfMayManage: boolean;
  /** map_pirq for an unknown domain writes its argument back. */
  esrchWritesBack: boolean;
  /** map with pirq < 0 of an irq that is mapped already fails with that negative number as errno. */
  negativePirqIsErrno: boolean;
  msiNeedsOwner: boolean;
  /** A second plain-MSI enable with the same irq. */
  redundantMsi: 'eexist' | 'existing';
  createdIrqAccess: 'caller' | 'hardware-domain';
  /** An irq that cannot be created for vector k ≥ 1 ends in a lock that is never free again. */
  multiMsiFailure: 'rollback' | 'endless-loop';
  /** A failed map leaves alone what was mapped and granted before. */
  failedMapKeepsOlder: boolean;
  /** pirq_cleanup_check runs for records with an event channel instead of those without. */
  cleanupInverted: boolean;
  guestsPerIrq: { shared: number; exclusive: number };
  guestMsiStartsMasked: boolean;
  remaskOnUnbind: boolean;
  unmaskedFlag: boolean;
  injectMsi: 'silent' | 'signed' | 'unsigned';
  msiInjection: 'hvmop' | 'dmop';
  hvmPirqsFeature: 'every-hvm' | 'has-pirq';
  /** MSI messages of a host with up to eight CPUs: logical destination and lowest priority, or physical and fixed. */
  hostMessage: 'logical-lowest' | 'physical-fixed';
  msixTable: 'prepared' | 'caller';
  /** Setting an affinity that needs no other remapping entry leaves the device's registers alone. */
  skipsUnforcedMessage: boolean;
  /** Global virqs go to their handler domain only. */
  globalVirqOwner: boolean;
  /** A device taken from a domain belongs to nobody until it is assigned again. */
  quarantine: boolean;
  pciDeviceReset: boolean;
  /** Where a pirq for an MSI is looked for first. Xen: top-down; the other way is a laboratory switch. */
  allocationDirection: 'top-down' | 'bottom-up';
  limits: XenLimits;
}

/** Where each switch comes from; paths are below xen/ in Xen's tree. */
export const SWITCH_SOURCES: Record<Exclude<keyof XenProfile, 'name'>, string> = {
  domctlVersion: 'include/public/domctl.h: XEN_DOMCTL_INTERFACE_VERSION',
  domctlLayout: 'include/public/domctl.h: xen_domctl_bind_pt_irq (4.10), xen_domctl_irq_permission (4.9)',
  domctlPermission: 'common/domctl.c: do_domctl; XSA-492, in 4.17.7',
  domctlHidesDomains: 'common/domctl.c: do_domctl (4.22)',
  ptIrqTypes: 'drivers/passthrough/io.c: pt_irq_create_bind (-EOPNOTSUPP since 4.8)',
  vectors:
    'arch/x86/include/asm/irq-vectors.h; arch/x86/irq.c: init_irq_data; XSA-356; HPET vector since 4.19.4, 4.20.2, 4.21, given back where it broadcasts nothing',
  nrIrqs: 'arch/x86/io_apic.c: init_ioapic_mappings / ioapic_init',
  hwdomPirqs:
    'common/domain.c: domain_create; arch/x86/io_apic.c: arch_hwdom_irqs (every CPU counts since 4.18.4, 4.19.1)',
  hvmPirqsByDefault: 'tools/libs/light/libxl_x86.c: hvm_pirq off by default since 4.19',
  hvmPhysdevOps: 'arch/x86/hvm/hypercall.c: hvm_physdev_op (4.4: arch/x86/hvm/hvm.c)',
  selfIsLiteral: 'arch/x86/physdev.c: physdev_map_pirq (domains are compared since 4.19)',
  selfMayManage: 'include/xsm/dummy.h: xsm_map_domain_pirq; XSA-237',
  esrchWritesBack: 'arch/x86/physdev.c: do_physdev_op, map_pirq (since 4.19 the domain is looked up before)',
  negativePirqIsErrno: 'arch/x86/irq.c: allocate_pirq, 4.10 to 4.17.4 and 4.18.2',
  msiNeedsOwner: 'arch/x86/irq.c: map_domain_pirq; XSA-237',
  redundantMsi: 'arch/x86/msi.c: __pci_enable_msi; XSA-237',
  createdIrqAccess: 'arch/x86/irq.c: create_irq (caller since 4.13)',
  multiMsiFailure: 'arch/x86/irq.c: map_domain_pirq; XSA-458, fixed in 4.17.5; harmless before ticket locks (4.6)',
  failedMapKeepsOlder: 'arch/x86/irq.c: map_domain_pirq; XSA-237 and follow-up',
  cleanupInverted: 'include/xen/irq.h: pirq_cleanup_check, fixed in 4.17.5, 4.18.3, 4.19',
  guestsPerIrq: 'arch/x86/irq.c: IRQ_MAX_GUESTS 7; irq-max-guests since 4.15',
  guestMsiStartsMasked: 'arch/x86/msi.c: startup_msi_irq (4.6)',
  remaskOnUnbind: 'drivers/passthrough/io.c: pt_irq_destroy_bind (4.11)',
  unmaskedFlag: 'include/public/domctl.h: XEN_DOMCTL_VMSI_X86_UNMASKED (4.10)',
  injectMsi: 'arch/x86/hvm/irq.c: hvm_inject_msi (result since 4.5, unsigned pirq since 4.18)',
  msiInjection: 'include/public/hvm/hvm_op.h to 4.8, hvm/dm_op.h since 4.9',
  hvmPirqsFeature: 'common/kernel.c: XENVER_get_features',
  hostMessage: 'arch/x86/msi.c: msi_compose_msg; asm-x86/genapic.h: flat mode is the default for few CPUs',
  msixTable: 'arch/x86/msi.c: msix_capability_init; XSA-337',
  skipsUnforcedMessage: 'arch/x86/msi.c: write_msi_msg (force, 4.21)',
  globalVirqOwner: 'common/event_channel.c: evtchn_bind_virq (4.21)',
  quarantine: 'drivers/passthrough/pci.c: deassign_device; XSA-302 (4.13)',
  pciDeviceReset: 'drivers/pci/physdev.c: PHYSDEVOP_pci_device_reset (4.20)',
  allocationDirection: 'arch/x86/irq.c: get_free_pirq scans downwards in every release',
  limits: 'limits.ts names the source of each',
};

const V4_22: XenProfile = {
  name: 'xen-4.22',
  domctlVersion: 0x18,
  domctlLayout: '4.10',
  domctlPermission: 'per-command',
  domctlHidesDomains: true,
  ptIrqTypes: 'checked',
  vectors: { first: 0x20, last: 0xef, legacy: [0x20, 0x2f], reserved: [0x20, 0x21, 0x22, 0x30, 0x80, 0x82] },
  nrIrqs: { base: 0, perCpu: 208 },
  hwdomPirqs: 'cpus',
  hvmPirqsByDefault: false,
  hvmPhysdevOps: '4.20',
  selfIsLiteral: false,
  selfMayManage: false,
  esrchWritesBack: false,
  negativePirqIsErrno: false,
  msiNeedsOwner: true,
  redundantMsi: 'eexist',
  createdIrqAccess: 'caller',
  multiMsiFailure: 'rollback',
  failedMapKeepsOlder: true,
  cleanupInverted: false,
  guestsPerIrq: { shared: 32, exclusive: 1 },
  guestMsiStartsMasked: true,
  remaskOnUnbind: true,
  unmaskedFlag: true,
  injectMsi: 'unsigned',
  msiInjection: 'dmop',
  hvmPirqsFeature: 'has-pirq',
  hostMessage: 'physical-fixed',
  msixTable: 'prepared',
  skipsUnforcedMessage: true,
  globalVirqOwner: true,
  quarantine: true,
  pciDeviceReset: true,
  allocationDirection: 'top-down',
  limits: RELEASE_LIMITS,
};

const V4_19: XenProfile = {
  ...V4_22,
  name: 'xen-4.19',
  domctlVersion: 0x17,
  domctlHidesDomains: false,
  hvmPhysdevOps: '4.9',
  hostMessage: 'logical-lowest',
  skipsUnforcedMessage: false,
  globalVirqOwner: false,
  pciDeviceReset: false,
};

const V4_17: XenProfile = {
  ...V4_19,
  name: 'xen-4.17',
  domctlVersion: 0x15,
  vectors: { ...V4_19.vectors, reserved: [0x20, 0x21, 0x22, 0x80, 0x82] },
  hwdomPirqs: 'fls',
  hvmPirqsByDefault: true,
  selfIsLiteral: true,
  esrchWritesBack: true,
  injectMsi: 'signed',
  limits: { ...OLD_LIMITS, guestPirqs: RELEASE_LIMITS.guestPirqs },
};

const V4_17_0: XenProfile = {
  ...V4_17,
  name: 'xen-4.17.0',
  domctlPermission: 'first',
  negativePirqIsErrno: true,
  multiMsiFailure: 'endless-loop',
  cleanupInverted: true,
  limits: OLD_LIMITS,
};

/** 4.8.3 and later point releases, which carry XSA-237. */
const V4_8: XenProfile = {
  ...V4_17_0,
  name: 'xen-4.8',
  domctlVersion: 0xc,
  domctlLayout: '4.4',
  vectors: { first: 0x20, last: 0xdf, legacy: [0xe0, 0xef], reserved: [0x20, 0x80, 0x82] },
  nrIrqs: { base: 16, perCpu: 192 },
  hvmPhysdevOps: '4.4',
  negativePirqIsErrno: false,
  createdIrqAccess: 'hardware-domain',
  guestsPerIrq: { shared: 7, exclusive: 7 },
  remaskOnUnbind: false,
  unmaskedFlag: false,
  msiInjection: 'hvmop',
  hvmPirqsFeature: 'every-hvm',
  msixTable: 'caller',
  quarantine: false,
};

/** 4.4.4, the last point release. */
const V4_4: XenProfile = {
  ...V4_8,
  name: 'xen-4.4',
  domctlVersion: 9,
  ptIrqTypes: 'msi-or-intx',
  hwdomPirqs: 'gsi+256',
  selfMayManage: true,
  msiNeedsOwner: false,
  redundantMsi: 'existing',
  multiMsiFailure: 'rollback',
  failedMapKeepsOlder: false,
  guestMsiStartsMasked: false,
  injectMsi: 'silent',
};

const RELEASES = [V4_4, V4_8, V4_17_0, V4_17, V4_19, V4_22];

/** No release: 4.22 with its limits lifted, and with pirqs offered to HVM domains as up to 4.17. */
const UNBOUNDED: XenProfile = {
  ...V4_22,
  name: 'xen-unbounded',
  hvmPirqsByDefault: true,
  limits: LIFTED_LIMITS,
};

const PROFILES = new Map([...RELEASES, UNBOUNDED].map((p) => [p.name, p]));

/** The releases; `xen-unbounded` is known besides. */
export function xenProfileNames(): string[] {
  return RELEASES.map((p) => p.name);
}

/**
 * A release, or `xen-unbounded`, by name, optionally with switches changed.
 * @throws UsageError naming the known profiles
 */
export function getXenProfile(name: string, changes: Partial<XenProfile> = {}): XenProfile {
  const profile = PROFILES.get(name);
  if (!profile) throw new UsageError(`unknown Xen profile "${name}"; known: ${[...PROFILES.keys()].join(', ')}`);
  return { ...profile, ...changes };
}
