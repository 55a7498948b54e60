import { UsageError } from '../core/index.ts';
import { PIRQ_DATA } from '../xen/abi/index.ts';

/**
 * How the Xen MSI set-up decides to re-use the pirq found in the device's message: `R0` if a map that is never cleared
 * ever knew the pirq, `R1` if a live irq record carries it, `R2` never, `Rideal` always.
 */
export type ReuseRule = 'R0' | 'R1' | 'R2' | 'Rideal';

/** Everything in which the modelled kernels differ. Names starting with `nvme` belong to the driver. */
export interface KernelProfile {
  readonly name: string;
  readonly msiBackend: 'xen-hvm' | 'apic';
  readonly reuse: ReuseRule;
  readonly reuseEndsSetup: boolean;
  readonly reuseRewrites: boolean;
  readonly messageData: number;
  readonly msiEnableShape: 'old' | 'new';
  readonly msixControlKept: boolean;
  readonly addr64Check: 'none' | 'quirk' | 'capability';
  readonly writesMasks: boolean;
  readonly partialSuccess: boolean;
  readonly nvmePreEnable: 'never' | 'without-intx' | 'always';
  readonly nvmeOwnVectors: boolean;
  readonly nvmePollThread: boolean;
  readonly nvmeTimeoutPolls: boolean;
  readonly nvmeChecksStatus: boolean;
  readonly nvmeEnablesTwice: boolean;
  readonly nvmeIdentifyFirst: boolean;
  readonly nvmeFreesFirst: boolean;
  readonly nvmeAdminDepth: number;
  readonly nvmeIoDepth: number;
  readonly nvmeConcurrentProbe: boolean;
}

export type SwitchName = Exclude<keyof KernelProfile, 'name'>;

interface SwitchSpec {
  what: string;
  /** The values a switch may take: a list, or any boolean, or any number of a range. */
  accepts: readonly (string | number)[] | 'boolean' | readonly [min: number, max: number, unit: 'range'];
  /** Source file and function; section numbers are those of the reference on Linux guests. */
  source: string;
}

/** What each switch means and where it was read. */
export const SWITCHES: Record<SwitchName, SwitchSpec> = {
  msiBackend: {
    what: 'where MSI vectors come from: pirqs of the hypervisor, or CPU vectors as on bare metal',
    accepts: ['xen-hvm', 'apic'],
    source: '§2.1 arch/x86/pci/xen.c pci_xen_hvm_init; arch/x86/kernel/apic/io_apic.c native_setup_msi_irqs',
  },
  reuse: {
    what: 'when a pirq found in the device is used again',
    accepts: ['R0', 'R1', 'R2', 'Rideal'],
    source:
      '§2.4 arch/x86/pci/xen.c xen_hvm_setup_msi_irqs: R0 af42b8d12f8a, R1 from 69c358ce377e, R2 from c74fd80f2f41',
  },
  reuseEndsSetup: {
    what: 'the first re-used vector ends the set-up of the function',
    accepts: 'boolean',
    source: '§2.4 arch/x86/pci/xen.c as of af42b8d12f8a (2010-12)',
  },
  reuseRewrites: {
    what: 'a re-used pirq is written into the device again, though it is there already',
    accepts: 'boolean',
    source:
      'no kernel; how rule R1 was first emulated on a 6.1 guest (reference of observed facts, case 3, first load)',
  },
  messageData: {
    what: 'data word of a pirq message',
    accepts: Object.values(PIRQ_DATA),
    source: '§2.5 arch/x86/pci/xen.c xen_msi_compose_msg; 0x0700 since 5.11, seen on 6.1',
  },
  msiEnableShape: {
    what: 'order of enabling MSI-X: messages before the enable bit (old) or after it, under the function mask (new)',
    accepts: ['old', 'new'],
    source: '§1.3–1.4 drivers/pci/msi.c msix_capability_init; new: drivers/pci/msi/msi.c of 5.17',
  },
  msixControlKept: {
    what: 'MSI-X control is read once and the value kept through the enable sequence',
    accepts: 'boolean',
    source: '§1.4 drivers/pci/msi.c msix_capability_init of 3.12; 4.4 has pci_msix_clear_and_set_ctrl',
  },
  addr64Check: {
    what: 'which functions refuse a 64-bit message address: none, quirky ones, or all without the capability bit',
    accepts: ['none', 'quirk', 'capability'],
    source: '§1.3 step 6 msi_verify_entries; no_64bit_msi set from the capability since 2053230af1cf (5.11)',
  },
  writesMasks: {
    what: 'mask bits in the device are written',
    accepts: 'boolean',
    source: '§2.9 pci_msi_ignore_mask; HVM with pirqs since 7e0815b3e099 (2022-04)',
  },
  partialSuccess: {
    what: 'a set-up that ran out of irqs after k vectors is tried again with k',
    accepts: 'boolean',
    source: '§1.4 drivers/pci/msi.c msix_capability_init out_avail, up to 5.10',
  },
  nvmePreEnable: {
    what: 'one vector is enabled for the admin phase and disabled again before the I/O vectors',
    accepts: ['never', 'without-intx', 'always'],
    source: '§3.2 drivers/block/nvme-core.c nvme_dev_map (3.12); drivers/nvme/host/pci.c nvme_pci_enable (Xenial)',
  },
  nvmeOwnVectors: {
    what: 'I/O queue i has vector i, not i − 1 (which shares vector 0 with the admin queue)',
    accepts: 'boolean',
    source: '§3.2 drivers/nvme/host/pci.c nvme_create_queue; own vectors since about 4.17',
  },
  nvmePollThread: {
    what: 'a thread looks into every completion queue once a second',
    accepts: 'boolean',
    source: '§3.2 nvme_kthread, up to 4.4',
  },
  nvmeTimeoutPolls: {
    what: 'the timeout handler looks into the completion queue before it gives up',
    accepts: 'boolean',
    source: '§3.3 drivers/nvme/host/pci.c nvme_timeout, since 4.12',
  },
  nvmeChecksStatus: {
    what: 'CSTS and VS are read before the controller is used',
    accepts: 'boolean',
    source: '§3.1 drivers/nvme/host/pci.c nvme_pci_enable, since 4.4',
  },
  nvmeEnablesTwice: {
    what: 'CC is written without EN, CAP read again, then CC written with EN',
    accepts: 'boolean',
    source: '§3.1 drivers/nvme/host/core.c nvme_enable_ctrl of about 6.0 and later',
  },
  nvmeIdentifyFirst: {
    what: 'identify controller belongs to the admin phase, not to the time after the I/O queues',
    accepts: 'boolean',
    source: '§3.2 drivers/nvme/host/core.c nvme_init_identify, since Xenial 4.4',
  },
  nvmeFreesFirst: {
    what: 'on removal the handlers are given back before the queues are deleted and the controller is shut down',
    accepts: 'boolean',
    source: 'drivers/nvme/host/pci.c nvme_dev_disable: nvme_suspend_queue first up to 4.19, last in 5.15',
  },
  nvmeAdminDepth: {
    what: 'entries of the admin queues',
    accepts: [2, 4096, 'range'],
    source: '§3.1 NVME_AQ_DEPTH: 64 (3.12), 256 (4.4), 32 (recent)',
  },
  nvmeIoDepth: {
    what: 'entries of an I/O queue, if the controller allows as many',
    accepts: [2, 65536, 'range'],
    source: 'drivers/nvme/host/pci.c io_queue_depth; drivers/block/nvme-core.c NVME_Q_DEPTH: 1024',
  },
  nvmeConcurrentProbe: {
    what: 'controllers are set up by work items of their own, at the same time',
    accepts: 'boolean',
    source: '§3.2 nvme_probe, nvme_reset_work',
  },
};

const LINUX_3_13: KernelProfile = {
  name: 'linux-3.13',
  msiBackend: 'xen-hvm',
  reuse: 'R1',
  reuseEndsSetup: false,
  reuseRewrites: false,
  messageData: PIRQ_DATA['linux-5.10'],
  msiEnableShape: 'old',
  msixControlKept: true,
  addr64Check: 'none',
  writesMasks: true,
  partialSuccess: true,
  nvmePreEnable: 'never',
  nvmeOwnVectors: false,
  nvmePollThread: true,
  nvmeTimeoutPolls: false,
  nvmeChecksStatus: false,
  nvmeEnablesTwice: false,
  nvmeIdentifyFirst: false,
  nvmeFreesFirst: true,
  nvmeAdminDepth: 64,
  nvmeIoDepth: 1024,
  nvmeConcurrentProbe: false,
};

const LINUX_4_4_59: KernelProfile = {
  ...LINUX_3_13,
  name: 'linux-4.4.0-59',
  msixControlKept: false,
  addr64Check: 'quirk',
  nvmePreEnable: 'always',
  nvmePollThread: false,
  nvmeChecksStatus: true,
  nvmeIdentifyFirst: true,
  nvmeAdminDepth: 256,
  nvmeConcurrentProbe: true,
};

const LINUX_6_1: KernelProfile = {
  ...LINUX_4_4_59,
  name: 'linux-6.1',
  reuse: 'R2',
  messageData: PIRQ_DATA['linux-5.11'],
  msiEnableShape: 'new',
  addr64Check: 'capability',
  writesMasks: false,
  partialSuccess: false,
  nvmeOwnVectors: true,
  nvmeTimeoutPolls: true,
  nvmeEnablesTwice: true,
  nvmeFreesFirst: false,
  nvmeAdminDepth: 32,
};

/** The kernels by name: Trusty's, Xenial's before and after the fix, and one of today. */
export const KERNEL_PROFILES: readonly KernelProfile[] = [
  LINUX_3_13,
  LINUX_4_4_59,
  { ...LINUX_4_4_59, name: 'linux-4.4.0-61', reuse: 'R2' },
  LINUX_6_1,
];

/** @throws UsageError for an unknown name, listing those that exist */
export function getKernelProfile(name: string): KernelProfile {
  const profile = KERNEL_PROFILES.find((p) => p.name === name);
  if (!profile)
    throw new UsageError(`unknown kernel "${name}"; there are ${KERNEL_PROFILES.map((p) => p.name).join(', ')}`);
  return profile;
}

/**
 * A profile with some switches changed; values may be given as text (`'R0'`, `'true'`, `'0x4300'`).
 *
 * @throws UsageError for an unknown switch or a value that it does not take
 */
export function withSwitches(
  profile: KernelProfile,
  switches: Partial<Record<SwitchName, string | number | boolean>> | Record<string, string | number | boolean>,
): KernelProfile {
  const changes: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(switches)) {
    if (!Object.hasOwn(SWITCHES, name))
      throw new UsageError(`unknown kernel switch "${name}"; there are ${Object.keys(SWITCHES).join(', ')}`);
    changes[name] = parseSwitch(name as SwitchName, value as string | number | boolean);
  }
  return { ...profile, ...changes };
}

/** The same kernel without a hypervisor: CPU vectors in the messages, and mask bits are the kernel's to write. */
export function onBareMetal(profile: KernelProfile): KernelProfile {
  return { ...profile, msiBackend: 'apic', writesMasks: true };
}

function parseSwitch(name: SwitchName, value: string | number | boolean): string | number | boolean {
  const { accepts } = SWITCHES[name];
  if (accepts === 'boolean') {
    if (String(value) === 'true' || String(value) === 'false') return String(value) === 'true';
    throw new UsageError(`kernel switch ${name} takes true or false, not "${value}"`);
  }
  const number = typeof value === 'boolean' || value === '' ? Number.NaN : Number(value);
  if (accepts[2] === 'range') {
    const [min, max] = accepts as readonly [number, number, 'range'];
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    throw new UsageError(`kernel switch ${name} takes a number from ${min} to ${max}, not "${value}"`);
  }
  const known = (accepts as readonly (string | number)[]).find((a) => a === value || a === number);
  if (known !== undefined) return known;
  const list = accepts.map((a) => (typeof a === 'number' ? `0x${a.toString(16).padStart(4, '0')}` : a)).join(', ');
  throw new UsageError(`kernel switch ${name} takes ${list}, not "${value}"`);
}
