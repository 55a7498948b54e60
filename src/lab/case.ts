import { UsageError } from '../core/index.ts';
import { type Grain, getKernelProfile, type KernelProfile, type Task, unload, WORKLOADS } from '../guest/index.ts';
import { builtinDump, parseDump } from '../pci/dump/index.ts';
import type { FunctionSpec } from '../pci/index.ts';
import { type DeviceModelProfile, deviceModel } from '../xen/device-model/index.ts';
import { getXenProfile, type XenProfile } from '../xen/index.ts';
import { type Exploration, type ExploreOptions, explore, UNSHARDABLE } from './explorer.ts';
import { Machine } from './machine.ts';
import { MAX_TASKS, runDigest } from './schedule.ts';
import { Stepper, type TaskPlan, type TaskPosition } from './stepper.ts';

/** What each controller's driver goes through. */
export type WorkloadName = 'enable-once' | 'one-disable-many' | 'reload' | 'enable-once-reload';

/** `reload` = everything loaded and unloaded once, one controller after another; what is explored is the second load. */
export const CASE_WORKLOADS: Record<WorkloadName, { what: string; probe: string; loadedBefore: boolean }> = {
  'enable-once': { what: 'enable once', probe: 'enable-once', loadedBefore: false },
  'one-disable-many': { what: '1 → disable → N', probe: 'one-disable-many', loadedBefore: false },
  reload: { what: '1 → disable → N, after unload', probe: 'one-disable-many', loadedBefore: true },
  'enable-once-reload': { what: 'enable once, after unload', probe: 'enable-once', loadedBefore: true },
};

/** Where exploration begins: before anything, or with every controller's first enable and disable behind it. */
export type StartPoint = 'start' | 'reenable';

/** One question: these sides, this workload, these steps. */
export interface CaseConfig {
  deviceModel: DeviceModelProfile;
  kernel: KernelProfile;
  xen: XenProfile;
  controllers: number;
  vectors: number;
  workload: WorkloadName;
  steps: Grain;
  from: StartPoint;
  /** The re-enable and everything after it is one step. */
  atomicReenable: boolean;
  /** One controller after another: a single interleaving. */
  sequential: boolean;
  drive: FunctionSpec;
  gsis: number;
  extraGuestIrqs: number;
}

export const DEFAULT_DRIVE = '144d-a826';
/** Up to so many controllers all permutations of their names are written out. */
const MAX_PERMUTED = 6;

/** The usual question, with what is given in its place. */
export function caseConfig(given: Partial<CaseConfig> = {}): CaseConfig {
  return {
    deviceModel: deviceModel('qemu-2.1'),
    kernel: getKernelProfile('linux-4.4.0-59'),
    xen: getXenProfile('xen-4.17'),
    controllers: 3,
    vectors: 4,
    workload: 'one-disable-many',
    steps: 'coarse',
    from: 'start',
    atomicReenable: false,
    sequential: false,
    drive: given.drive ?? builtinDrive(DEFAULT_DRIVE),
    gsis: 24,
    extraGuestIrqs: 32,
    ...given,
  };
}

/** The first function of a dump that comes with the package. */
export function builtinDrive(id: string): FunctionSpec {
  return parseDump(builtinDump(id))[0].spec;
}

/** A case made ready: machine, steps, and the choices made before exploration. */
export interface PreparedCase {
  config: CaseConfig;
  machine: Machine;
  stepper: Stepper;
  prefix: number[];
  /** Identifies the run in schedule strings; controllers' names and places play no part. */
  digest: string;
}

/** @throws UsageError for numbers that cannot be, or a start that the workload does not have */
export function prepareCase(config: CaseConfig): PreparedCase {
  checkConfig(config);
  const { probe, loadedBefore } = CASE_WORKLOADS[config.workload];
  const workload = WORKLOADS[probe];
  const kernel = workload.kernel(config.kernel);
  const machine = new Machine({ ...config, kernel });
  if (loadedBefore) {
    for (const [task, slot] of machine.slots.entries())
      machine.run(task, workload.make(machine.guest, slot.controller, 'first.'));
    for (const [task, slot] of machine.slots.entries())
      machine.run(task, unload(machine.guest, slot.controller, 'first.'));
  }
  machine.takeViolations();
  const names = workload.coarseSteps;
  const after = config.atomicReenable ? names.slice(names.indexOf('reenable') + 1) : [];
  const plans: TaskPlan[] = machine.slots.map((slot) => ({
    make: (): Task<unknown> => workload.make(machine.guest, slot.controller),
    coarseSteps: names.length,
  }));
  const stepper = new Stepper(machine, plans, config.steps, new Set(after));
  return { config, machine, stepper, prefix: prefixOf(config, stepper, machine), digest: digestOf(config) };
}

/**
 * Answers the question over every interleaving, or for `sequential` over the one.
 * @throws UsageError for a shard of fine steps that are merged
 */
export function exploreCase(
  prepared: PreparedCase,
  options: Pick<ExploreOptions, 'maxStates' | 'shard' | 'statesToSplit' | 'isPlain' | 'isMerging' | 'onProgress'> = {},
): Exploration {
  const { config, machine, stepper, prefix } = prepared;
  if (options.shard && config.steps === 'fine' && options.isMerging !== false) throw new UsageError(UNSHARDABLE);
  const start = machine.arena.snapshot();
  const fixed = config.sequential ? sequentialChoices(prepared) : prefix;
  const { loadedBefore } = CASE_WORKLOADS[config.workload];
  const isSymmetric = fixed.length === 0 && !loadedBefore && config.controllers <= MAX_PERMUTED;
  const result = explore(machine, stepper, { ...options, prefix: fixed, isSymmetric });
  if (config.sequential)
    for (const [outcome, choices] of result.witnesses) result.witnesses.set(outcome, [...fixed, ...choices]);
  machine.arena.restore(start);
  return result;
}

/** Steps every task as `choices` say, from the beginning; calls back before each step. */
export function runChoices(
  prepared: PreparedCase,
  choices: readonly number[],
  onStep?: (task: number, name: string) => void,
): TaskPosition[] {
  const { stepper } = prepared;
  const positions = stepper.start();
  for (const task of choices) {
    if (stepper.isDone(task, positions[task]))
      throw new UsageError(`the schedule gives controller ${String.fromCharCode(65 + task)} more steps than it has`);
    onStep?.(task, stepper.stepName(positions[task]));
    positions[task] = stepper.step(task, positions[task]);
  }
  return positions;
}

function checkConfig(config: CaseConfig): void {
  const { controllers, vectors, workload, from, atomicReenable } = config;
  if (!Number.isInteger(controllers) || controllers < 1 || controllers > MAX_TASKS)
    throw new UsageError(`controllers must be 1 to ${MAX_TASKS}, not ${controllers}`);
  if (!Number.isInteger(vectors) || vectors < 1) throw new UsageError(`vectors must be 1 or more, not ${vectors}`);
  const hasReenable = WORKLOADS[CASE_WORKLOADS[workload].probe].coarseSteps.includes('reenable');
  if ((from === 'reenable' || atomicReenable) && !hasReenable)
    throw new UsageError(`workload ${workload} has no re-enable to begin from or to make atomic`);
  if (from === 'reenable' && config.steps === 'fine')
    throw new UsageError('--from reenable goes with coarse or group steps');
}

/** `reenable`: step ① of every controller in order, then step ② of every controller. */
function prefixOf(config: CaseConfig, stepper: Stepper, machine: Machine): number[] {
  if (config.from === 'start') return [];
  const choices: number[] = [];
  const before = machine.arena.snapshot();
  const positions = stepper.start();
  for (const until of ['disable', 'reenable'])
    for (let task = 0; task < config.controllers; task++)
      while (stepper.stepName(positions[task]) !== until && !stepper.isDone(task, positions[task])) {
        positions[task] = stepper.step(task, positions[task]);
        choices.push(task);
      }
  machine.arena.restore(before);
  return choices;
}

/** The choices that run one controller after another, from the beginning. */
export function sequentialChoices({ config, machine, stepper, prefix }: PreparedCase): number[] {
  const choices = [...prefix];
  const before = machine.arena.snapshot();
  const positions = stepper.start();
  for (const task of prefix) positions[task] = stepper.step(task, positions[task]);
  for (let task = 0; task < config.controllers; task++)
    while (!stepper.isDone(task, positions[task])) {
      positions[task] = stepper.step(task, positions[task]);
      choices.push(task);
    }
  machine.arena.restore(before);
  return choices;
}

function digestOf(config: CaseConfig): string {
  const { deviceModel, kernel, xen, drive, ...rest } = config;
  const image = Array.from(drive.image).join();
  return runDigest(JSON.stringify([deviceModel.switches, { ...kernel, name: '' }, { ...xen, name: '' }, image, rest]));
}
