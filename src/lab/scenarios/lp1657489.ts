import { getKernelProfile, type KernelProfile, WORKLOADS, withSwitches } from '../../guest/index.ts';
import { type DeviceModelProfile, deviceModel } from '../../xen/device-model/index.ts';
import { CASE_WORKLOADS, type WorkloadName } from '../case.ts';

/**
 * Launchpad 1657489 (qemu) and 1656381 (kernel): NVMe drives passed through to HVM guests fail or not, by what the
 * device model does with pirqs on MSI disable and by whether the guest re-uses the pirq it finds in the message.
 * Everything here is said by somebody or measured somewhere; it is compared with what the model finds, and read for
 * nothing else.
 */

/** What becomes of a workload: over all interleavings, or in some. `slow` = up, but by polling. */
export type Verdict = 'works' | 'slow' | 'sometimes slow' | 'fails' | 'sometimes fails';

/** A hypervisor side and a guest side. */
export interface Side {
  deviceModel: DeviceModelProfile;
  kernel: KernelProfile;
}

export interface MatrixRow extends Side {
  /** Number of the row in the report, 0 for a pair that it does not have. */
  case: number;
  /** What the report says of it; undefined for a pair that it does not have. */
  reportSays: 'works' | 'fails' | 'all but one fail' | undefined;
}

const REPORT: Record<string, Pick<MatrixRow, 'case' | 'reportSays'>> = {
  'keeps unpatched': { case: 1, reportSays: 'works' },
  'keeps patched': { case: 2, reportSays: 'fails' },
  'frees unpatched': { case: 3, reportSays: 'all but one fail' },
  'frees patched': { case: 4, reportSays: 'works' },
};

/** Which row of the report a pair belongs to: by what its device model and its kernel do, not by their names. */
export function rowOf(side: Side): MatrixRow {
  const host = side.deviceModel.switches.freeOnDisable ? 'frees' : 'keeps';
  const guest = side.kernel.reuse === 'R2' ? 'patched' : 'unpatched';
  return { ...side, ...REPORT[`${host} ${guest}`] };
}

/**
 * The four rows, and row 1 once more with the rule that makes the report's row 1 true: re-use whenever the message
 * looks like one with a pirq, whoever holds it.
 */
export function defaultRows(): MatrixRow[] {
  const unpatched = getKernelProfile('linux-4.4.0-59');
  const patched = getKernelProfile('linux-4.4.0-61');
  const keeps = deviceModel('qemu-2.0');
  const frees = deviceModel('qemu-2.1');
  return [
    { deviceModel: keeps, kernel: unpatched },
    { deviceModel: keeps, kernel: withSwitches(unpatched, { reuse: 'Rideal' }) },
    { deviceModel: keeps, kernel: patched },
    { deviceModel: frees, kernel: unpatched },
    { deviceModel: frees, kernel: patched },
  ].map(rowOf);
}

/**
 * Verdicts for two or more controllers in every order, with where each comes from, for drivers that wait for their
 * interrupts. Rows by what the device model does on disable and by the re-use rule; sections are those of the reference
 * on Linux guests.
 */
const EXPECTED: Record<string, { source: string; verdicts: Record<WorkloadName, Verdict> }> = {
  'keeps R1': {
    source: '§4.5: the re-enable fails as in case 2; measured on a real Xen',
    verdicts: { 'enable-once': 'works', 'one-disable-many': 'fails', reload: 'fails', 'enable-once-reload': 'fails' },
  },
  'keeps R0': {
    source: '§4.5: true re-use',
    verdicts: { 'enable-once': 'works', 'one-disable-many': 'works', reload: 'works', 'enable-once-reload': 'works' },
  },
  'keeps Rideal': {
    source: '§4.5: true re-use; measured on a real Xen',
    verdicts: { 'enable-once': 'works', 'one-disable-many': 'works', reload: 'works', 'enable-once-reload': 'works' },
  },
  'keeps R2': {
    source: '§4.4: every re-enable fails; measured on a real Xen',
    verdicts: { 'enable-once': 'works', 'one-disable-many': 'fails', reload: 'fails', 'enable-once-reload': 'fails' },
  },
  'frees R1': {
    source: '§4.6 and §4.7: depends on the interleaving',
    verdicts: {
      'enable-once': 'works',
      'one-disable-many': 'sometimes fails',
      reload: 'sometimes fails',
      'enable-once-reload': 'sometimes fails',
    },
  },
  'frees R2': {
    source: '§4.3: any interleaving works; measured on a real Xen',
    verdicts: { 'enable-once': 'works', 'one-disable-many': 'works', reload: 'works', 'enable-once-reload': 'works' },
  },
};

/** A driver that looks into its queues without interrupts comes up all the same: §3.3. */
const WHEN_POLLING: Partial<Record<Verdict, Verdict>> = { fails: 'slow', 'sometimes fails': 'sometimes slow' };

/** What is expected of a pair and a workload; undefined where nobody has said anything. */
export function expectation(side: Side, workload: WorkloadName): { verdict: Verdict; source: string } | undefined {
  const host = side.deviceModel.switches.freeOnDisable ? 'frees' : 'keeps';
  const row = EXPECTED[`${host} ${side.kernel.reuse}`];
  if (!row) return undefined;
  const verdict = row.verdicts[workload];
  const { nvmePollThread, nvmeTimeoutPolls } = WORKLOADS[CASE_WORKLOADS[workload].probe].kernel(side.kernel);
  const isPolling = nvmePollThread || nvmeTimeoutPolls;
  return { verdict: (isPolling && WHEN_POLLING[verdict]) || verdict, source: row.source };
}
