import { DOMCTL, DOMID_SELF, ERRNO, EVTCHNOP, HYPERCALL, PHYSDEVOP } from '../../../xen/abi/index.ts';
import * as events from './events.ts';
import { runHost } from './irqs.ts';
import { getFreePirq, type MapRequest, mapForSelf, mapGsi, mapMessage, unmap, unmapEmulated } from './mapping.ts';
import * as passthrough from './passthrough.ts';
import { type NaiveDomain, type NaiveXen, Unclear } from './state.ts';

/* Hypercalls as bytes of a 64-bit caller; offsets as in Xen's public headers, written once more. */

const INJECT_MSI = 14;
const LAST_DMOP = 21;
const TYPE = { msi: 0, gsi: 1, msiSeg: 3, multiMsi: 4 } as const;

/** The caller's structure: what it says, and what a call changes of it. */
class Struct {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u8(at: number): number {
    return this.#view.getUint8(at);
  }
  u16(at: number): number {
    return this.#view.getUint16(at, true);
  }
  u32(at: number): number {
    return this.#view.getUint32(at, true);
  }
  i32(at: number): number {
    return this.#view.getInt32(at, true);
  }
  set16(at: number, value: number): void {
    this.#view.setUint16(at, value, true);
  }
  set32(at: number, value: number): void {
    this.#view.setInt32(at, value, true);
  }
}

type Op = (xen: NaiveXen, caller: NaiveDomain, s: Struct) => number;

/** A call's structure size and what it does. */
interface Call {
  size: number;
  op: Op;
}

const find = (xen: NaiveXen, caller: NaiveDomain, domid: number) => (domid === DOMID_SELF ? caller : xen.domain(domid));

/** An HVM guest's calls about itself have rules of their own; how it must name itself depends on the release. */
const isSelf = (xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, domid: number) =>
  d.hvm && (xen.options.upTo418 ? domid === DOMID_SELF : d === caller);

const handOut = (s: Struct, at: number, port: number) => {
  if (port < 0) return port;
  s.set32(at, port);
  return 0;
};

const mapPirq: Op = (xen, caller, s) => {
  const domid = s.u16(0);
  const request: MapRequest = {
    type: s.i32(4),
    index: s.i32(8),
    pirq: s.i32(12),
    sbdf: (s.u8(16) << 8) | s.u8(20),
    entry: s.i32(24),
    msix: s.u32(32) !== 0 || s.u32(36) !== 0,
  };
  const wanted = request.pirq;
  const segmented = request.type === TYPE.msiSeg || request.type === TYPE.multiMsi;
  if (request.type === TYPE.msiSeg) request.type = TYPE.msi;
  if (request.type === TYPE.multiMsi && request.msix) return -ERRNO.EINVAL;
  if (segmented) request.sbdf += s.u16(18) * 0x10000;
  const d = find(xen, caller, domid);
  if (!d) {
    if (xen.options.upTo418) s.set32(4, request.type);
    return -ERRNO.ESRCH;
  }
  const self = isSelf(xen, caller, d, domid);
  let ret: number;
  if (self) ret = mapForSelf(xen, d, request);
  else if (!xen.manages(caller, d)) ret = -ERRNO.EPERM;
  else if (request.type === TYPE.gsi) ret = mapGsi(xen, caller, d, request);
  else if (request.type === TYPE.msi || request.type === TYPE.multiMsi) ret = mapMessage(xen, caller, d, request);
  else ret = -ERRNO.EINVAL;
  // the whole structure is written back, on failure too
  s.set32(4, request.type);
  s.set32(12, ret && !self ? wanted : request.pirq);
  if (request.type === TYPE.multiMsi) s.set32(24, request.entry);
  return ret;
};

const unmapPirq: Op = (xen, caller, s) => {
  const [domid, pirq] = [s.u16(0), s.i32(4)];
  const d = find(xen, caller, domid);
  if (!d) return -ERRNO.ESRCH;
  const self = isSelf(xen, caller, d, domid);
  if (!self && !xen.manages(caller, d)) return -ERRNO.EPERM;
  if (d.hvm) unmapEmulated(d, pirq);
  return self ? 0 : unmap(xen, d, pirq);
};

const statusQuery: Op = (xen, d, s) => {
  const pirq = s.i32(0);
  if (pirq < 0 || pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  const irq = d.irqOf(pirq);
  if (d.hvm && irq <= 0 && (d.pirqs.get(pirq)?.emuirq ?? -1) === -1) return -ERRNO.EINVAL;
  s.set32(4, 1 + ((xen.irqs.get(irq)?.action?.guests.length ?? 0) > 1 ? 2 : 0));
  return 0;
};

const status: Op = (xen, caller, s) => {
  const d = find(xen, caller, s.u16(0));
  const port = s.u32(4);
  if (!d) return -ERRNO.ESRCH;
  if (!events.isPort(port)) return -ERRNO.EINVAL;
  if (!events.mayTarget(xen, caller, d)) return -ERRNO.EPERM;
  const channel = d.ports.get(port);
  s.set32(8, channel?.state ?? 0);
  s.set32(12, 0);
  if (channel?.state === events.STATE.pirq) s.set32(16, channel.peer);
  if (channel?.state === events.STATE.unbound || channel?.state === events.STATE.interdomain) s.set16(16, channel.peer);
  if (channel?.state === events.STATE.interdomain) s.set32(20, channel.peerPort);
  return 0;
};

const reset: Op = (xen, caller, s) => {
  const d = find(xen, caller, s.u16(0));
  if (!d) return -ERRNO.ESRCH;
  if (!events.mayTarget(xen, caller, d)) return -ERRNO.EPERM;
  if (d !== caller) return -ERRNO.EINVAL; // it would have to be paused
  events.closeAll(xen, d);
  return 0;
};

const PHYSDEV = new Map<number, Call>([
  [PHYSDEVOP.irqStatusQuery, { size: 8, op: statusQuery }],
  [PHYSDEVOP.eoi, { size: 4, op: (xen, d, s) => passthrough.eoi(xen, d, s.u32(0)) }],
  [PHYSDEVOP.mapPirq, { size: 40, op: mapPirq }],
  [PHYSDEVOP.unmapPirq, { size: 8, op: unmapPirq }],
  [PHYSDEVOP.getFreePirq, { size: 8, op: (xen, d, s) => handOut(s, 4, getFreePirq(xen, d, s.i32(0))) }],
]);

const EVENT = new Map<number, Call>([
  [
    EVTCHNOP.bindInterdomain,
    {
      size: 12,
      op: (xen, d, s) => {
        const remote = find(xen, d, s.u16(0));
        return remote ? handOut(s, 8, events.bindInterdomain(d, remote, s.u32(4))) : -ERRNO.ESRCH;
      },
    },
  ],
  [
    EVTCHNOP.bindPirq,
    { size: 12, op: (xen, d, s) => handOut(s, 8, events.bindPirq(xen, d, s.u32(0), (s.u32(4) & 1) !== 0)) },
  ],
  [EVTCHNOP.close, { size: 4, op: (xen, d, s) => events.close(xen, d, s.u32(0)) }],
  [EVTCHNOP.send, { size: 4, op: (xen, d, s) => events.send(xen, d, s.u32(0)) }],
  [EVTCHNOP.status, { size: 24, op: status }],
  [
    EVTCHNOP.allocUnbound,
    {
      size: 8,
      op: (xen, caller, s) => {
        const d = find(xen, caller, s.u16(0));
        if (!d) return -ERRNO.ESRCH;
        const remote = s.u16(2) === DOMID_SELF ? caller.id : s.u16(2);
        return handOut(s, 4, events.allocUnbound(xen, caller, d, remote));
      },
    },
  ],
  [EVTCHNOP.bindIpi, { size: 8, op: (_xen, d, s) => handOut(s, 4, events.bindIpi(d, s.u32(0))) }],
  [
    EVTCHNOP.unmask,
    {
      size: 4,
      op: (_xen, d, s) => {
        if (!events.isPort(s.u32(0))) return -ERRNO.EINVAL;
        events.unmask(d, s.u32(0));
        return 0;
      },
    },
  ],
  [EVTCHNOP.reset, { size: 2, op: reset }],
]);

/** Commands that exist and are judged, by hypercall; what is not among {@link UNJUDGED} either is unknown to Xen. */
const TABLES = new Map([
  [HYPERCALL.physdevOp, PHYSDEV],
  [HYPERCALL.eventChannelOp, EVENT],
] as [number, Map<number, Call>][]);
const UNJUDGED = new Map<number, (cmd: number) => boolean>([
  [HYPERCALL.physdevOp, (cmd) => cmd >= 4 && cmd <= 32 && ![11, 18, 22].includes(cmd)],
  [HYPERCALL.eventChannelOp, (cmd) => cmd <= 14],
]);

/** Commands that HVM guests may issue. hvm_physdev_op */
const FOR_HVM: readonly number[] = [...PHYSDEV.keys()];

/**
 * One hypercall. Changes `bytes` as Xen writes them back.
 * @returns the result, or undefined for a call that is not judged
 * @throws Dies, Unclear
 */
export function hypercall(
  xen: NaiveXen,
  caller: NaiveDomain,
  nr: number,
  cmd: number,
  bytes: Uint8Array,
): number | undefined {
  const ret = dispatch(xen, caller, nr, cmd, bytes);
  if (ret !== undefined) runHost(xen);
  return ret;
}

function dispatch(xen: NaiveXen, caller: NaiveDomain, nr: number, cmd: number, bytes: Uint8Array): number | undefined {
  if (nr === HYPERCALL.dmOp) return dmOp(xen, caller, cmd, bytes);
  if (nr === HYPERCALL.domctl) return domctl(xen, caller, bytes);
  const table = TABLES.get(nr);
  if (!table) return undefined;
  if (nr === HYPERCALL.physdevOp && caller.hvm && !FOR_HVM.includes(cmd)) return -ERRNO.ENOSYS;
  const call = table.get(cmd);
  if (!call) return UNJUDGED.get(nr)!(cmd) ? undefined : -ERRNO.ENOSYS;
  return bytes.length < call.size ? -ERRNO.EFAULT : call.op(xen, caller, new Struct(bytes));
}

function dmOp(xen: NaiveXen, caller: NaiveDomain, domid: number, bytes: Uint8Array): number | undefined {
  const d = find(xen, caller, domid);
  if (!d) return -ERRNO.ESRCH;
  if (d === caller) return -ERRNO.EPERM;
  if (!d.hvm) return -ERRNO.EINVAL;
  if (!xen.manages(caller, d)) return -ERRNO.EPERM;
  if (bytes.length < 8) return -ERRNO.EFAULT;
  const s = new Struct(bytes);
  if (s.u32(0) !== INJECT_MSI) return s.u32(0) > LAST_DMOP ? -ERRNO.EOPNOTSUPP : undefined;
  if (bytes.length < 24) return -ERRNO.EFAULT;
  if (s.u32(4) !== 0 || s.u32(12) !== 0) return -ERRNO.EINVAL;
  const [low, high, data] = [s.u32(16), s.u32(20), s.u32(8)];
  if (data & 0xff && low & 4) throw new Unclear('logical destinations depend on the guest');
  return passthrough.inject(xen, d, low, high, data);
}

const DOMCTL_BYTES = 144;
const ARGUMENTS_AT = 16;

function domctl(xen: NaiveXen, caller: NaiveDomain, bytes: Uint8Array): number | undefined {
  if (bytes.length < DOMCTL_BYTES) return -ERRNO.EFAULT;
  const s = new Struct(bytes);
  if (s.u32(4) !== xen.options.domctlVersion) return -ERRNO.EACCES;
  const d = xen.domain(s.u16(8));
  if (!d) return caller.id === 0 ? -ERRNO.ESRCH : undefined;
  const at = ARGUMENTS_AT;
  switch (s.u32(0)) {
    case DOMCTL.irqPermission:
      return irqPermission(xen, caller, d, s.u32(at), s.u8(at + 4) !== 0);
    case DOMCTL.bindPtIrq:
    case DOMCTL.unbindPtIrq: {
      const type = s.u32(at + 4);
      if (type !== 2 && type !== 1 && type < 5) return undefined; // INTx is not modelled
      const hasTable = s.u32(at + 16) !== 0 || s.u32(at + 20) !== 0;
      const b = { pirq: s.i32(at), type, gvec: s.u8(at + 8), gflags: s.u32(at + 12), hasTable };
      return (s.u32(0) === DOMCTL.bindPtIrq ? passthrough.bind : passthrough.unbind)(xen, caller, d, b);
    }
    default:
      return undefined;
  }
}

/** XEN_DOMCTL_irq_permission: the irq behind a pirq of the caller's. arch/x86/domctl.c */
function irqPermission(_xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, pirq: number, allow: boolean): number {
  if (pirq >= caller.nrPirqs) return -ERRNO.EINVAL;
  const irq = caller.irqOf(pirq);
  if (caller.id !== 0 || irq === 0 || !caller.access.has(irq)) return -ERRNO.EPERM;
  if (allow) d.access.add(irq);
  else d.access.delete(irq);
  return 0;
}
