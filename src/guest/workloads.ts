import type { Task } from './access.ts';
import {
  enableVectors,
  type Phase,
  probeWithPin,
  probeWithVector,
  releaseAdminVector,
  remove,
  startAdmin,
  startQueues,
} from './drivers/nvme.ts';
import type { NvmeController } from './drivers/nvme-layout.ts';
import type { Guest } from './guest.ts';
import { CONTROLLER_STATE } from './irq-records.ts';
import { getKernelProfile, type KernelProfile } from './kernel-profile.ts';
import { coarseStep, kernel } from './ops.ts';

/**
 * What a driver does to one controller, as tasks. Each takes `pass`, a prefix for the names of its steps, so that a task
 * made of several still has unique names.
 */
export type Workload = (guest: Guest, controller: NvmeController, pass?: string) => Task<void>;

/** A workload with the names of its coarse steps; all are yielded, also by a driver that has given up. */
export interface WorkloadSpec {
  what: string;
  coarseSteps: readonly string[];
  make: Workload;
  /** The kernel with the driver that has this workload: its own, or else that of the release known for it. */
  kernel(profile: KernelProfile): KernelProfile;
}

type NamedPhase = readonly [name: string, phase: Phase];

const ENABLE_ONCE: readonly NamedPhase[] = [
  ['probe', probeWithPin],
  ['enable', enableVectors],
  ['start-admin', startAdmin],
  ['start-queues', startQueues],
];

const ONE_DISABLE_MANY: readonly NamedPhase[] = [
  ['enable', probeWithVector],
  ['disable', releaseAdminVector],
  ['reenable', enableVectors],
  ['start-admin', startAdmin],
  ['start-queues', startQueues],
];

/** Trusty's probe: the admin phase on the pin, then all vectors, once. */
export const enableOnce: Workload = (guest, controller, pass = '') => runProbe(guest, controller, pass, ENABLE_ONCE);

/** Xenial's probe and that of all later kernels: one vector, disabled again, then all. §3.2 of the reference */
export const oneDisableMany: Workload = (guest, controller, pass = '') =>
  runProbe(guest, controller, pass, ONE_DISABLE_MANY);

/** The probe of the guest's own driver. */
export const probe: Workload = (guest, controller, pass) =>
  (guest.profile.nvmePreEnable === 'never' ? enableOnce : oneDisableMany)(guest, controller, pass);

/** Unloads the driver, whatever became of its probe. */
export function* unload(guest: Guest, controller: NvmeController, pass = ''): Task<void> {
  yield* coarseStep(`${pass}unload`);
  yield* remove(guest, controller, `${pass}unload`);
}

/** Unloads the driver and probes again. */
export function* reload(guest: Guest, controller: NvmeController, pass = 'reload.'): Task<void> {
  yield* unload(guest, controller, pass);
  yield* probe(guest, controller, pass);
}

/** Load, unload, load. */
export function* loadAndReload(guest: Guest, controller: NvmeController, pass = ''): Task<void> {
  yield* probe(guest, controller, pass);
  yield* reload(guest, controller, `${pass}reload.`);
}

const namesOf = (phases: readonly NamedPhase[]) => phases.map(([name]) => name);

/** The workloads by name. */
export const WORKLOADS: Record<string, WorkloadSpec> = {
  'enable-once': {
    what: 'the admin phase on the pin, then all vectors at once (Trusty)',
    coarseSteps: namesOf(ENABLE_ONCE),
    make: enableOnce,
    kernel: (profile) => (profile.nvmePreEnable === 'never' ? profile : withDriverOf(profile, 'linux-3.13')),
  },
  'one-disable-many': {
    what: 'one vector, disabled again, then all (Xenial and later)',
    coarseSteps: namesOf(ONE_DISABLE_MANY),
    make: oneDisableMany,
    kernel: (profile) => (profile.nvmePreEnable !== 'never' ? profile : withDriverOf(profile, 'linux-4.4.0-59')),
  },
};

/** The coarse steps of the probe of a kernel's own driver. */
export function probeSteps(profile: KernelProfile): readonly string[] {
  return WORKLOADS[profile.nvmePreEnable === 'never' ? 'enable-once' : 'one-disable-many'].coarseSteps;
}

/** `profile` with the NVMe driver of another release. */
export function withDriverOf(profile: KernelProfile, release: string): KernelProfile {
  const driver = Object.entries(getKernelProfile(release)).filter(([name]) => name.startsWith('nvme'));
  return { ...profile, ...Object.fromEntries(driver) };
}

function* runProbe(guest: Guest, controller: NvmeController, pass: string, phases: readonly NamedPhase[]): Task<void> {
  for (const [i, [name, phase]] of phases.entries()) {
    yield* coarseStep(pass + name);
    const state = i === 0 ? CONTROLLER_STATE.probing : yield* kernel('controller.state', controller.bdf);
    if (state === CONTROLLER_STATE.probing) yield* phase(guest, controller, pass + name);
  }
}
