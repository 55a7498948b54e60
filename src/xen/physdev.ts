import { DOMID_SELF, ERRNO, MAP_PIRQ_TYPE } from './abi/index.ts';
import { type Domain, IRQ_UNBOUND, NR_HVM_DOMU_IRQS, PIRQ_ALLOCATED } from './domain.ts';
import { mapEmuirq, unmapEmuirq } from './emuirq.ts';
import { mayManage, sendGuestPirq } from './event-channel.ts';
import { isMasked, unmaskPort } from './event-port.ts';
import { guestEoi } from './guest-irq.ts';
import { memoryOf } from './guest-memory.ts';
import type { Host } from './host.ts';
import { mapGsi, mapMsi, unmapPirq } from './map-pirq.ts';

const ISA_IRQS = 16;
const PAGE = 4096;

/** PHYSDEVOP_map_pirq without its bytes. `sbdf` = segment << 16 | bus << 8 | devfn. */
export interface MapRequest {
  /** MAP_PIRQ_TYPE msi, gsi or multiMsi. */
  type: number;
  /** GSI; or for an MSI an existing host irq, −1 = make one. */
  index: number;
  /** Negative = any. */
  pirq: number;
  sbdf: number;
  /** MSI-X slot, or number of vectors. */
  entry: number;
  /** Address of the BAR with the MSI-X table, 0 for plain MSI. */
  tableBase: number;
}

/** `index`, `pirq` and `entry` as the call leaves them, on failure too. */
export interface MapResult {
  ret: number;
  index: number;
  pirq: number;
  entry: number;
}

/** True if the call is one of an HVM guest for itself, which has rules of its own. */
function isSelfCall(h: Host, caller: Domain, d: Domain, domid: number): boolean {
  const self = h.profile.selfIsLiteral ? domid === DOMID_SELF : d === caller;
  // before 4.9 there was no such flag: every HVM guest had pirqs
  return self && d.isHvm && usesPirqs(h, d);
}

function usesPirqs(h: Host, d: Domain): boolean {
  return d.hasPirq || h.profile.hvmPhysdevOps === '4.4';
}

/** arch/x86/physdev.c: physdev_map_pirq */
export function physdevMapPirq(h: Host, caller: Domain, d: Domain, domid: number, request: MapRequest): MapResult {
  const result = { ret: 0, index: request.index, pirq: request.pirq, entry: request.entry };
  if (isSelfCall(h, caller, d, domid)) {
    if (!d.callbackVector) return { ...result, ret: -ERRNO.EINVAL };
    return hvmMapPirq(h, d, request.type, result);
  }
  if (!mayManage(caller, d) && !(h.profile.selfMayManage && caller === d)) return { ...result, ret: -ERRNO.EPERM };
  switch (request.type) {
    case MAP_PIRQ_TYPE.gsi:
      return { ...result, ...mapGsi(h, caller, d, request.index, request.pirq) };
    case MAP_PIRQ_TYPE.msi:
    case MAP_PIRQ_TYPE.multiMsi: {
      const info = { sbdf: request.sbdf, irq: -1, entry: request.entry, tableBase: request.tableBase };
      const mapped = mapMsi(h, caller, d, request.type, request.index, request.pirq, info);
      return { ...result, ...mapped, entry: info.entry };
    }
    default:
      return { ...result, ret: -ERRNO.EINVAL };
  }
}

/** An HVM guest maps an emulated GSI for itself. arch/x86/physdev.c: physdev_hvm_map_pirq */
function hvmMapPirq(h: Host, d: Domain, type: number, result: MapResult): MapResult {
  if (type !== MAP_PIRQ_TYPE.gsi || result.index < 0 || result.index >= NR_HVM_DOMU_IRQS)
    return { ...result, ret: -ERRNO.EINVAL };
  const machine = d.dpciRoot ? h.intx.newestPirq(d, result.index) : 0;
  if (machine) return { ...result, index: d.irqOf(machine), pirq: machine };
  let { pirq } = result;
  if (pirq < 0) {
    pirq = h.spaces[d.slot].find(true);
    if (pirq < 0) pirq = -ERRNO.ENOSPC; // stored, so that the next step finds it out of range
  }
  return { ...result, ret: mapEmuirq(h, d, pirq, result.index), pirq };
}

/** arch/x86/physdev.c: physdev_unmap_pirq */
export function physdevUnmapPirq(h: Host, caller: Domain, d: Domain, domid: number, pirq: number): number {
  const self = isSelfCall(h, caller, d, domid);
  if (!self && !mayManage(caller, d) && !(h.profile.selfMayManage && caller === d)) return -ERRNO.EPERM;
  if (d.isHvm && usesPirqs(h, d)) {
    const ret = d.emuirqOf(pirq) === IRQ_UNBOUND ? 0 : unmapEmuirq(h, d, pirq);
    if (self || ret) return ret;
  }
  return unmapPirq(h, d, pirq);
}

/** PHYSDEVOP_get_free_pirq: reserves a pirq for the caller. The pirq, or -ENOSPC. */
export function getFreePirq(h: Host, d: Domain, type: number): number {
  const pirq = h.spaces[d.slot].find(type === MAP_PIRQ_TYPE.gsi);
  if (pirq < 0) return -ERRNO.ENOSPC;
  d.setIrq(pirq, PIRQ_ALLOCATED);
  return pirq;
}

/** PHYSDEVOP_eoi: -EINVAL for a pirq out of range or without a record. */
export function eoi(h: Host, d: Domain, pirq: number): number {
  if (pirq >= d.nrPirqs || !d.hasRecord(pirq)) return -ERRNO.EINVAL;
  if (d.autoUnmask && d.ports.isValid(d.evtchn[pirq]) && d.ports.isUsable(d.evtchn[pirq]))
    unmaskPort(h, d, d.evtchn[pirq]);
  if (!d.isHvm || d.irqOf(pirq) > 0) guestEoi(h, d, pirq);
  const gsi = d.emuirqOf(pirq);
  // a level that is still asserted comes again
  if (d.isHvm && gsi >= ISA_IRQS && d.gsiAsserts[gsi]) sendGuestPirq(h, d, pirq);
  return 0;
}

/** PHYSDEVOP_IRQ_UNMASK_NOTIFY: EOI of all pirqs whose event channels are not masked. */
export function eoiAllUnmasked(h: Host, d: Domain): number {
  for (let pirq = 0; pirq < d.records; pirq++)
    if (d.hasRecord(pirq) && d.isMasked(pirq) && !isMasked(d, d.evtchn[pirq])) guestEoi(h, d, pirq);
  return 0;
}

/** PHYSDEVOP_irq_status_query: -EINVAL; `shared` if other guests use the irq too. */
export function irqStatus(h: Host, d: Domain, pirq: number): { ret: number; shared: boolean } {
  if (pirq < 0 || pirq >= d.nrPirqs) return { ret: -ERRNO.EINVAL, shared: false };
  const irq = d.irqOf(pirq);
  if (d.isHvm && irq <= 0 && d.emuirqOf(pirq) === IRQ_UNBOUND) return { ret: -ERRNO.EINVAL, shared: false };
  return { ret: 0, shared: irq > 0 && h.irqs.hasGuests(irq) && h.irqs.guestCount[irq] > 1 };
}

/** PHYSDEVOP_pirq_eoi_gmfn: -EINVAL (no writable page), -EBUSY (has one already). */
export function registerEoiPage(d: Domain, gfn: bigint, autoUnmask: boolean): number {
  const memory = memoryOf(d);
  if (gfn > 0x7ffffffen) return -ERRNO.EINVAL; // frames are kept as 31-bit numbers: 8 TiB of guest memory
  const address = Number(gfn) * PAGE;
  const page = memory?.read(address, PAGE);
  if (!page || !memory?.write(address, page)) return -ERRNO.EINVAL;
  if (d.eoiPage) return -ERRNO.EBUSY;
  d.eoiPage = Number(gfn) + 1;
  if (autoUnmask) d.autoUnmask = true;
  return 0;
}
