import { UsageError } from '../core/index.ts';
import type { KernelProfile } from '../guest/kernel-profile.ts';
import { domainPirqs, hostIrqs } from '../xen/sizes.ts';
import {
  type BudgetDevice,
  type BudgetInputs,
  driverAsks,
  gsisFromTheTop,
  hostIrqLimit,
  type Limit,
  routesOverPirqs,
  vectorLimit,
} from './budget-rules.ts';

export { type BudgetDevice, type BudgetInputs, GUEST_GSIS, type Limit } from './budget-rules.ts';

/** What one device ends up with. */
export interface DeviceBudget {
  name: string;
  kind: BudgetDevice['kind'];
  offers: string;
  asks: number;
  /** How `asks` comes about. */
  formula: string;
  mode: 'MSI-X' | 'MSI' | 'INTx' | 'none';
  /** MSI or MSI-X vectors that the driver has enabled. */
  gets: number;
  /** First (highest) and last pirq of them. */
  pirqs?: readonly [number, number];
  /** Numbers that a failed attempt reserved: the guest has no way to give them back. */
  lost: number;
  /** Vectors enabled with no mapping behind them: their interrupts never arrive, and the guest is not told. */
  deaf: number;
  /** I/O queues of an NVMe controller; 0 if its driver gives up. */
  queues?: number;
  starves: boolean;
}

export interface Cure {
  /** Smallest `extra_guest_irqs=` of Xen's command line with which nobody starves. */
  extraGuestIrqs?: number;
  /** `nr_irqs=` that this needs besides. */
  nrIrqs?: number;
  /** Most I/O queues for each NVMe controller with which nobody starves as it is set now. */
  nvmeQueues?: number;
}

export interface Budget {
  /** How the domU's MSIs travel: as pirqs over event channels, or as vectors of its own local APICs. */
  route: 'pirqs' | 'vectors';
  nrIrqs: number;
  nrPirqs: number;
  /** pirqs for MSIs: `first` is handed out first, then downwards to `last`. */
  pool: { size: number; first: number; last: number; takenByGsis: number };
  devices: DeviceBudget[];
  needed: number;
  limits: Limit[];
  /** The limit that is met first as devices are added. */
  stopsFirst: Limit['name'];
  starving: number;
  /** Only if somebody starves; empty if no setting of these helps. */
  cure?: Cure;
}

/**
 * Who gets how many vectors when `devices` are probed one after the other in one domU. The device model is one that gives
 * pirqs back when MSI or MSI-X is disabled (QEMU 2.1 and later), so what a driver enables for its admin phase only is
 * there again for the next enable.
 *
 * @throws UsageError without devices
 */
export function computeBudget(devices: readonly BudgetDevice[], inputs: BudgetInputs): Budget {
  if (devices.length === 0) throw new UsageError('no device to make a budget for');
  const budget = allocate(devices, inputs);
  return budget.starving > 0 ? { ...budget, cure: findCure(devices, inputs, budget) } : budget;
}

function allocate(devices: readonly BudgetDevice[], inputs: BudgetInputs): Budget {
  const { xen, host } = inputs;
  const nrIrqs = hostIrqs(xen, host);
  const nrPirqs = domainPirqs(xen, host, false);
  const route = routesOverPirqs(inputs) ? 'pirqs' : 'vectors';
  const takenByGsis = gsisFromTheTop(devices, inputs);
  const size = Math.max(nrPirqs - host.gsis - takenByGsis, 0);
  const first = nrPirqs - 1 - takenByGsis;

  const needed = devices.reduce((sum, device) => sum + driverAsks(device, inputs).asks, 0);
  const formula = `${nrPirqs} nr_pirqs - ${host.gsis} GSIs - ${takenByGsis} GSIs beyond them`;
  const irqs = hostIrqLimit(inputs, nrIrqs, needed);
  const vectors = vectorLimit(inputs, needed);
  const limits: Limit[] = [{ name: 'domU pirqs', capacity: size, needed, formula }, irqs, vectors];

  const pool: Pool = { next: first, left: size, hostLeft: Math.min(irqs.capacity, vectors.capacity) };
  const results = devices.map((device) => probe(device, inputs, route, pool));
  return {
    route,
    nrIrqs,
    nrPirqs,
    pool: { size, first, last: host.gsis, takenByGsis },
    devices: results,
    needed,
    limits,
    stopsFirst: limits.reduce((least, limit) => (limit.capacity < least.capacity ? limit : least)).name,
    starving: results.filter((d) => d.starves).length,
  };
}

/** Numbers left: the domU's pirqs, of which `next` is the highest, and what the host can still map. */
interface Pool {
  next: number;
  left: number;
  hostLeft: number;
}

/** Takes up to `count` pirqs from the top and answers how many. */
function take(pool: Pool, count: number): number {
  const taken = Math.min(count, pool.left);
  pool.left -= taken;
  pool.next -= taken;
  return taken;
}

interface Enabled {
  mode: DeviceBudget['mode'];
  gets: number;
  /** Vectors of `gets` that have a pirq. */
  numbered: number;
  lost: number;
}

function probe(device: BudgetDevice, inputs: BudgetInputs, route: Budget['route'], pool: Pool): DeviceBudget {
  const { asks, formula } = driverAsks(device, inputs);
  const { mode, gets, numbered, lost } =
    route === 'pirqs' ? enableOverPirqs(device, asks, inputs.kernel, pool) : enableVectors(device, asks, pool);
  // The device model maps what the guest enabled; a host that is out of irqs or vectors refuses (EINVAL).
  const mapped = Math.min(numbered, pool.hostLeft);
  pool.hostLeft -= mapped;
  const deaf = gets - mapped;
  const result: DeviceBudget = {
    name: device.name,
    kind: device.kind,
    offers: offers(device),
    asks,
    formula,
    mode,
    gets,
    lost,
    deaf,
    starves: gets < asks || deaf > 0 || (device.kind === 'nvme' && mode === 'none'),
  };
  if (numbered > 0) result.pirqs = [pool.next + numbered, pool.next + 1];
  if (device.kind === 'nvme') result.queues = queuesOf(result, inputs.kernel);
  return result;
}

/**
 * The guest reserves a pirq for every vector (arch/x86/pci/xen.c xen_hvm_setup_msi_irqs). Up to 5.10 a set-up that ran out
 * after k vectors is tried again with k, later the first error is final; either way the reserved numbers are gone, so the
 * second attempt finds none, nor does plain MSI, which is tried next. INTx is what remains.
 */
function enableOverPirqs(device: BudgetDevice, asks: number, kernel: KernelProfile, pool: Pool): Enabled {
  let lost = 0;
  for (let want = device.msixVectors > 0 ? asks : 0; want > 0; ) {
    const got = take(pool, want);
    if (got === want) return { mode: 'MSI-X', gets: got, numbered: got, lost };
    lost += got;
    want = kernel.partialSuccess ? got : 0;
  }
  if (device.msiMessages > 0 && take(pool, 1) === 1) return { mode: 'MSI', gets: 1, numbered: 1, lost };
  return { mode: device.hasIntx ? 'INTx' : 'none', gets: 0, numbered: 0, lost };
}

/**
 * The guest uses vectors of its own APICs and needs no number; the device model lets Xen choose a pirq for each vector that
 * it maps (hw/xen/xen_pt_msi.c msi_msix_setup), and if there is none only its log tells.
 */
function enableVectors(device: BudgetDevice, asks: number, pool: Pool): Enabled {
  if (asks === 0) return { mode: device.hasIntx ? 'INTx' : 'none', gets: 0, numbered: 0, lost: 0 };
  return { mode: device.msixVectors > 0 ? 'MSI-X' : 'MSI', gets: asks, numbered: take(pool, asks), lost: 0 };
}

function offers(device: BudgetDevice): string {
  const list = [
    device.msixVectors > 0 ? `MSI-X ${device.msixVectors}` : '',
    device.msiMessages > 0 ? `MSI ${device.msiMessages}` : '',
    device.hasIntx ? 'INTx' : '',
  ];
  return list.filter((text) => text !== '').join(', ') || 'nothing';
}

/** I/O queues that an NVMe driver can use: each with a vector, or one that shares the only vector with the admin queue. */
function queuesOf({ mode, gets }: DeviceBudget, kernel: KernelProfile): number {
  if (mode === 'none') return 0;
  return Math.max(kernel.nvmeOwnVectors ? gets - 1 : gets, 1);
}

/** The smallest changes that leave nobody starving, each tried by making the budget again. */
function findCure(devices: readonly BudgetDevice[], inputs: BudgetInputs, budget: Budget): Cure {
  const { host } = inputs;
  const cure: Cure = {};
  const extraGuestIrqs = budget.needed + budget.pool.takenByGsis;
  const nrPirqs = host.gsis + extraGuestIrqs;
  const nrIrqs = nrPirqs > budget.nrIrqs ? { nrIrqs: nrPirqs } : {};
  const raised = { ...inputs, host: { ...host, ...nrIrqs, extraDomU: extraGuestIrqs } };
  if (allocate(devices, raised).starving === 0) Object.assign(cure, { extraGuestIrqs, ...nrIrqs });

  let nvmeQueues = Math.min(inputs.nvmeQueues ?? inputs.cpus, inputs.cpus) - 1;
  while (nvmeQueues > 0 && allocate(devices, { ...inputs, nvmeQueues }).starving > 0) nvmeQueues--;
  return nvmeQueues > 0 ? { ...cure, nvmeQueues } : cure;
}
