import { fromHex, toHex, UsageError } from '../../core/index.ts';
import { formatRet, HYPERCALL } from '../../xen/abi/index.ts';
import {
  type Domain,
  type DomainConfig,
  type Fault,
  getXenProfile,
  HostFault,
  Hypervisor,
  vcpuEvents,
  viewIrqs,
  viewMessages,
  viewPirqs,
  viewPorts,
} from '../../xen/index.ts';
import type { RecordingLine, Replayer, ReplayResult } from './result.ts';
import { type RecordedDevice, RecordedDevices, SENT } from './xen-devices.ts';

interface Header {
  xen: string;
  gsis: number;
  level_from: number;
  nr_irqs: number;
  first_irq: number;
  intremap: boolean;
  domctl_version: number;
  domains: { id: number; kind: string; nr_pirqs: number; has_pirq: boolean; max_port: number; target: number | null }[];
  devices: RecordedDevice[];
}

interface Step {
  call: string;
  d: number;
  cmd: number;
  dom: number;
  in: string;
  out: string;
  ret: number | 'crash';
  fault?: Fault;
  sbdf: number;
  vec: number;
  gsi: number;
  off: number;
  nth: number;
  state?: Record<string, unknown>;
}

const DOMCTLS = ['bind_pt_irq', 'unbind_pt_irq', 'assign_device', 'deassign_device', 'irq_permission'];

/** Which profile a recording's `xen` stands for. */
function profileOf(xen: string): string {
  if (xen.startsWith('4.22')) return 'xen-4.22';
  return xen === '4.17.0' ? 'xen-4.17.0' : xen.startsWith('4.17') ? 'xen-4.17' : `xen-${xen}`;
}

/** Replays recordings of Xen's own code, call by call: results, bytes after the call, and dumps of the state. */
export const XEN_REPLAYER: Replayer = {
  replay(file, rawHeader, lines): ReplayResult {
    const header = checkHeader(file, rawHeader);
    const result: ReplayResult = { file, operations: 0, comparisons: 0, excluded: {}, differences: 0 };
    const compare = (what: string, recorded: unknown, ours: unknown) => {
      result.comparisons++;
      if (recorded === ours) return;
      result.differences++;
      result.first ??= `operation ${result.operations}, ${what}: recorded ${recorded}, ours ${ours}`;
    };
    const bus = new RecordedDevices(header.devices);
    const xen = makeHost(header, bus);
    for (const line of lines) {
      const step = checkStep(file, line);
      if (step.state) {
        compareState(step.state, dump(xen, header), compare);
        continue;
      }
      result.operations++;
      try {
        perform(xen, bus, step, (what, recorded, ours) => compare(`${describe(step)} ${what}`, recorded, ours));
      } catch (fault) {
        if (!(fault instanceof HostFault)) throw fault;
        compare(`${describe(step)} (${fault.message})`, step.ret, 'crash');
        break;
      }
    }
    return result;
  },
};

const HEADER_NUMBERS = ['gsis', 'level_from', 'nr_irqs', 'first_irq', 'domctl_version'];

function checkHeader(file: string, header: Record<string, unknown>): Header {
  const missing = HEADER_NUMBERS.find((name) => typeof header[name] !== 'number');
  if (missing) throw new UsageError(`${file}: the header has no number "${missing}"`);
  for (const name of ['domains', 'devices'])
    if (!Array.isArray(header[name])) throw new UsageError(`${file}: the header has no list "${name}"`);
  if (typeof header.xen !== 'string') throw new UsageError(`${file}: the header does not say which Xen`);
  return header as unknown as Header;
}

/** Calls whose arguments are bytes of a domain. */
const BYTE_CALLS = ['physdev', 'evtchn', 'dm_inject_msi', ...DOMCTLS];

function checkStep(file: string, line: RecordingLine): Step {
  const step = line as unknown as Step;
  if (Array.isArray(line) || typeof line !== 'object' || !(step.state || typeof step.call === 'string'))
    throw new UsageError(`${file}: a line is neither an operation nor a state`);
  if (BYTE_CALLS.includes(step.call) && (typeof step.in !== 'string' || typeof step.d !== 'number'))
    throw new UsageError(`${file}: a ${step.call} call lacks its domain or its bytes`);
  return step;
}

function makeHost(header: Header, bus: RecordedDevices): Hypervisor {
  const xen = new Hypervisor({
    xen: getXenProfile(profileOf(header.xen), { domctlVersion: header.domctl_version }),
    bus,
    gsis: header.gsis,
    levelFrom: header.level_from,
    nrIrqs: header.nr_irqs,
    firstIrq: header.first_irq,
    intremap: header.intremap,
  });
  for (const d of header.domains) {
    const config: DomainConfig = {
      id: d.id,
      kind: d.kind.startsWith('hvm') ? 'hvm' : d.kind === 'pv' ? 'pv' : 'pv-hwdom',
      nrPirqs: d.nr_pirqs,
      hasPirq: d.has_pirq,
      maxPort: d.max_port,
      hasMemory: false,
    };
    if (d.target !== null) config.target = d.target;
    xen.createDomain(config);
  }
  return xen;
}

type Compare = (what: string, recorded: unknown, ours: unknown) => void;

function perform(xen: Hypervisor, bus: RecordedDevices, step: Step, compare: Compare): void {
  switch (step.call) {
    case 'physdev':
      call(xen, HYPERCALL.physdevOp, step.cmd, step, compare);
      return;
    case 'evtchn':
      call(xen, HYPERCALL.eventChannelOp, step.cmd, step, compare);
      return;
    case 'dm_inject_msi':
      call(xen, HYPERCALL.dmOp, step.dom, step, compare);
      return;
    case 'hw_irq':
      compare('result', step.ret, signal(xen, bus, step.sbdf, step.vec));
      return;
    case 'gsi_irq':
      compare('result', step.ret, xen.raiseGsi(step.gsi) ? 2 : 0);
      return;
    case 'tick':
      compare('timers', step.ret, xen.tick());
      return;
    case 'shmem':
      xen.domain(step.d).sharedInfo.set(fromHex(step.in), step.off);
      return;
    case 'iommu_fail':
      xen.failRemapping(step.nth);
      return;
    default:
      if (DOMCTLS.includes(step.call)) call(xen, HYPERCALL.domctl, 0, step, compare);
      else compare('kind of operation', step.call, 'unknown');
  }
}

/**
 * A device signals message `vector`. The recordings' devices send what Xen's newest descriptor for that message says;
 * their own registers only tell whether it is masked and how many plain MSI vectors there are.
 */
function signal(xen: Hypervisor, bus: RecordedDevices, sbdf: number, vector: number): number {
  if (!bus.isPresent(sbdf)) return SENT.noDevice;
  const message = viewMessages(xen.host, sbdf).findLast((m) => m.entry === vector);
  if (!message || (!message.msix && vector >= bus.grantedVectors(sbdf))) return SENT.noMessage;
  if (bus.isMasked(sbdf, message.msix, vector)) return SENT.masked;
  xen.deliverMessage(message.addressLo, message.addressHi, message.data);
  return SENT.sent;
}

function call(xen: Hypervisor, nr: number, cmd: number, step: Step, compare: Compare): void {
  const answer = xen.hypercall(step.d, nr, cmd, fromHex(step.in), step.fault ? { fault: step.fault } : {});
  compare('result', show(step.ret), formatRet(answer.ret));
  if (step.out !== undefined) compare('bytes', step.out, toHex(answer.bytes));
}

function show(ret: number | 'crash'): string {
  return ret === 'crash' ? ret : formatRet(ret);
}

function describe(step: Step): string {
  const detail = step.in === undefined ? JSON.stringify(step) : `d${step.d} cmd ${step.cmd} in ${step.in.slice(0, 96)}`;
  return `${step.call} ${detail}${step.fault ? ` fault ${step.fault}` : ''}`;
}

/** Our state in the recording's form. */
function dump(xen: Hypervisor, header: Header): Record<string, unknown> {
  const doms: Record<string, unknown> = {};
  for (const { id } of header.domains) doms[id] = dumpDomain(xen, xen.domain(id));
  const irqs: Record<string, unknown> = {};
  for (const v of viewIrqs(xen.host)) {
    const entry: Record<string, unknown> = { vector: v.vector, guests: v.guests.length, disabled: +v.disabled };
    if (v.msi)
      Object.assign(entry, {
        sbdf: v.msi.sbdf,
        entry: v.msi.entry,
        msix: +v.msi.msix,
        hm: +v.msi.hostMasked,
        gm: +v.msi.guestMasked,
      });
    irqs[v.irq] = entry;
  }
  return { doms, irqs };
}

function dumpDomain(xen: Hypervisor, d: Domain): Record<string, unknown> {
  const pirqs: Record<string, unknown> = {};
  for (const v of viewPirqs(d)) {
    if (!v.irq && !v.evtchn && !v.masked && v.emuirq === -1 && !v.dpci) continue;
    const entry: Record<string, unknown> = { irq: v.irq, evtchn: v.evtchn };
    if (v.masked) entry.masked = 1;
    if (d.isHvm) entry.emuirq = v.emuirq;
    if (v.dpci) {
      const { flags, gvec, gflags, destVcpu } = v.dpci;
      entry.dpci = { flags, gvec, gflags, dest_vcpu: destVcpu };
    }
    pirqs[v.pirq] = entry;
  }
  const ports: Record<string, unknown> = {};
  for (const v of viewPorts(d)) {
    const entry: Record<string, unknown> = { state: v.state };
    if (v.pirq !== undefined) entry.pirq = v.pirq;
    if (v.pending) entry.pending = 1;
    if (v.masked) entry.masked = 1;
    ports[v.port] = entry;
  }
  const irqPirq: Record<string, number> = {};
  const allowed: number[] = [];
  for (let irq = 0; irq < xen.host.nrIrqs; irq++) {
    if (d.pirqOf(irq)) irqPirq[irq] = d.pirqOf(irq);
    if (irq >= xen.host.gsis && d.irqCaps[irq]) allowed.push(irq);
  }
  const events = vcpuEvents(d, 0);
  const dumped: Record<string, unknown> = { pirqs, irq_pirq: irqPirq };
  if (d.isHvm) {
    const emuirqPirq: Record<string, number> = {};
    for (let emuirq = -3; emuirq < 48; emuirq++) {
      if (emuirq === -2 || emuirq === -1) continue;
      const pirq = d.pirqOfEmuirq(emuirq);
      if (pirq > 0) emuirqPirq[emuirq] = pirq;
    }
    dumped.emuirq_pirq = emuirqPirq;
  }
  Object.assign(dumped, { ports, sel: events.selector.toString(16), upcall: events.upcall, irqs_allowed: allowed });
  if (d.virtualIrr.some((word) => word))
    dumped.virr = [...d.virtualIrr.subarray(0, 8)]
      .reverse()
      .map((word) => (word >>> 0).toString(16).padStart(8, '0'))
      .join('');
  if (d.crashed) dumped.crashed = 1;
  return dumped;
}

/** Compares two dumps leaf by leaf, so that the first difference names its place. */
function compareState(recorded: unknown, ours: unknown, compare: Compare, path = 'state'): void {
  if (isObject(recorded) && isObject(ours)) {
    for (const key of new Set([...Object.keys(recorded), ...Object.keys(ours)]))
      compareState(recorded[key], ours[key], compare, `${path}.${key}`);
  } else compare(path, canonical(recorded), canonical(ours));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function canonical(value: unknown): unknown {
  return typeof value === 'object' ? JSON.stringify(value) : value;
}
