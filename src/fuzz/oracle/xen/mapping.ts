import { ERRNO } from '../../../xen/abi/index.ts';
import { createIrq, destroyIrq, leaveIrq } from './irqs.ts';
import { disable, enable, freeGroup, isOfGroup } from './messages.ts';
import { Dies, type NaiveDomain, type NaiveXen } from './state.ts';

/* Which pirq is which irq: arch/x86/irq.c, arch/x86/physdev.c. */

const GSI = 1;
const MULTI_MSI = 4;
const EMULATED_GSIS = 48;
/** Most vectors of plain MSI. */
const MOST = 32;

/** A map request, of which `pirq` and `entry` may change. */
export interface MapRequest {
  type: number;
  index: number;
  pirq: number;
  sbdf: number;
  entry: number;
  msix: boolean;
}

/** get_free_pirq: GSIs from 16 up, then everything from the top down; what is found gets a record. */
export function freePirq(xen: NaiveXen, d: NaiveDomain, type: number): number {
  const found = type === GSI ? freeGsi(xen, d) : -1;
  return found >= 0 ? found : freeFromTop(xen, d);
}

function freeGsi({ options }: NaiveXen, d: NaiveDomain): number {
  for (let pirq = 16; pirq < options.gsis; pirq++) if (d.isFree(pirq)) return reserve(d, pirq);
  return -1;
}

function freeFromTop({ options }: NaiveXen, d: NaiveDomain): number {
  for (let pirq = d.nrPirqs - 1; pirq >= options.gsis; pirq--) if (d.isFree(pirq)) return reserve(d, pirq);
  return -ERRNO.ENOSPC;
}

function reserve(d: NaiveDomain, pirq: number): number {
  d.record(pirq);
  return pirq;
}

/** get_free_pirqs: the highest run that is long enough; each free one on the way gets a record. The lowest of it, or −1. */
function freeRun({ options }: NaiveXen, d: NaiveDomain, count: number): number {
  let length = 0;
  for (let pirq = d.nrPirqs - 1; pirq >= options.gsis; pirq--) {
    length = d.isFree(pirq) ? length + 1 : 0;
    if (length > 0) reserve(d, pirq);
    if (length === count) return pirq;
  }
  return -1;
}

/** PHYSDEVOP_get_free_pirq: reserves. */
export function getFreePirq(xen: NaiveXen, d: NaiveDomain, type: number): number {
  const pirq = freePirq(xen, d, type);
  if (pirq >= 0) d.record(pirq).irq = -1;
  return pirq;
}

/** allocate_pirq: the one asked for, the one the irq has, or a free one. */
function choose(xen: NaiveXen, d: NaiveDomain, irq: number, request: MapRequest): number {
  const current = d.irqPirq.get(irq) ?? 0;
  if (request.pirq >= 0) return current !== 0 && current !== request.pirq ? -ERRNO.EEXIST : request.pirq;
  if (current !== 0) return current < 0 ? -ERRNO.EBUSY : current;
  if (request.type !== MULTI_MSI) return freePirq(xen, d, request.type);
  if (request.entry <= 0 || request.entry > MOST) return -ERRNO.EDOM;
  if (request.entry !== 1 && !xen.options.remapping) return -ERRNO.EOPNOTSUPP;
  request.entry = 2 ** Math.ceil(Math.log2(request.entry));
  const base = freeRun(xen, d, request.entry);
  if (base >= 0) return base;
  // what would have fitted is told
  do request.entry >>= 1;
  while (request.entry > 1 && freeRun(xen, d, request.entry) < 0);
  return -ERRNO.ENOSPC;
}

/** allocate_and_map_gsi_pirq. */
export function mapGsi(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, request: MapRequest): number {
  const { index } = request;
  if (index < 0 || index >= xen.options.gsis) return -ERRNO.EINVAL;
  let irq = caller.irqOf(index);
  if (irq <= 0) {
    if (caller.id !== 0) return -ERRNO.EINVAL;
    irq = index;
  }
  const pirq = choose(xen, d, irq, request);
  const ret = pirq < 0 ? pirq : connect(xen, caller, d, pirq, irq, request);
  if (ret === 0) request.pirq = pirq;
  return ret;
}

/** allocate_and_map_msi_pirq. An irq that a success which changes nothing was made for is lost. */
export function mapMessage(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, request: MapRequest): number {
  const multi = request.type === MULTI_MSI;
  if (!multi && !request.msix) request.entry = 1;
  const made = multi || request.index === -1;
  const irq = made ? createIrq(xen, caller) : request.index;
  // the errno of a failed creation is no irq either
  if (irq < xen.options.gsis || irq >= xen.options.nrIrqs) return -ERRNO.EINVAL;
  const pirq = choose(xen, d, irq, request);
  const ret = pirq < 0 ? pirq : connect(xen, caller, d, pirq, irq, request);
  if (ret === 0) request.pirq = pirq;
  else if (made) destroyIrq(xen, irq);
  return ret;
}

/** map_domain_pirq. */
function connect(
  xen: NaiveXen,
  caller: NaiveDomain,
  d: NaiveDomain,
  pirq: number,
  irq: number,
  request: MapRequest,
): number {
  if (!caller.access.has(irq)) return -ERRNO.EPERM;
  if (pirq < 0 || pirq >= d.nrPirqs || irq <= 0) return -ERRNO.EINVAL;
  const oldIrq = d.irqOf(pirq);
  const oldPirq = d.irqPirq.get(irq) ?? 0;
  if ((oldIrq > 0 && oldIrq !== irq) || (oldPirq !== 0 && oldPirq !== pirq)) return 0;
  const granted = grant(d, irq);
  const prepared = prepare(d, irq, pirq);
  if (request.type === GSI) {
    commit(d, irq, pirq);
    return 0;
  }
  const ret = connectMessages(xen, caller, d, pirq, irq, request);
  if (ret && prepared) undo(d, irq, pirq);
  if (ret && granted) d.access.delete(irq);
  return ret;
}

function grant(d: NaiveDomain, irq: number): boolean {
  const had = d.access.has(irq);
  d.access.add(irq);
  return !had;
}

function prepare(d: NaiveDomain, irq: number, pirq: number): boolean {
  const had = d.irqPirq.has(irq);
  if (!had) d.irqPirq.set(irq, 0);
  d.record(pirq);
  return !had;
}

function undo(d: NaiveDomain, irq: number, pirq: number): void {
  d.tidy(pirq);
  d.irqPirq.delete(irq);
}

function commit(d: NaiveDomain, irq: number, pirq: number): void {
  setSlot(d, irq, pirq);
  d.record(pirq).irq = irq;
}

/** A slot that does not exist is written through a null pointer. */
function setSlot(d: NaiveDomain, irq: number, value: number): void {
  if (!d.irqPirq.has(irq)) throw new Dies('an irq that the domain has no slot for');
  d.irqPirq.set(irq, value);
}

/** clear_domain_irq_pirq and cleanup: the irq is none of the domain's any more. */
export function dropMapping(d: NaiveDomain, irq: number): void {
  setSlot(d, irq, 0);
  d.irqPirq.delete(irq);
}

/** The messages of a device, one irq after the other; when no irq is left what was committed keeps its irq. */
function connectMessages(
  xen: NaiveXen,
  caller: NaiveDomain,
  d: NaiveDomain,
  base: number,
  firstIrq: number,
  request: MapRequest,
): number {
  const ret = enable(xen, d, firstIrq, request);
  if (ret) return ret;
  const irqs = [firstIrq];
  const fresh: boolean[] = [];
  const granted: boolean[] = [];
  const count = request.msix ? 1 : request.entry;
  for (let k = 1; k < count; k++) {
    commit(d, irqs[k - 1], base + k - 1);
    const irq = createIrq(xen, caller);
    if (irq < 0) {
      for (let j = k - 1; j > 0; j--) {
        if (granted[j]) d.access.delete(irqs[j]);
        if (fresh[j]) undo(d, irqs[j], base + j);
      }
      disable(xen, firstIrq);
      // the first one's irq is its caller's to destroy
      for (const irq of irqs.slice(1)) destroyIrq(xen, irq);
      return -ERRNO.ENOSPC;
    }
    irqs.push(irq);
    fresh[k] = prepare(d, irq, base + k);
    granted[k] = grant(d, irq);
    xen.irqs.get(irq)!.message = { ...xen.irqs.get(firstIrq)!.message!, entry: k };
  }
  commit(d, irqs[count - 1], base + count - 1);
  return 0;
}

/** unmap_domain_pirq: all of a plain group; while the domain handles the base, what is unmapped stays deferred. */
export function unmap(xen: NaiveXen, d: NaiveDomain, pirq: number): number {
  const baseIrq = d.irqOf(pirq);
  if (pirq < 0 || pirq >= d.nrPirqs || baseIrq <= 0) return -ERRNO.EINVAL;
  const message = xen.irqs.get(baseIrq)?.message;
  const plain = message !== undefined && !message.msix;
  if (plain && message.entry > 0) return -ERRNO.EBUSY;
  const count = plain ? message.count : 1;
  const forced = xen.irqs.get(baseIrq)?.action?.guests.includes(d.id) ?? false;
  if (forced) leaveIrq(xen, d, pirq);
  if (message) disable(xen, baseIrq);
  for (let i = 0; i < count; i++) {
    const irq = d.irqOf(pirq + i);
    if (irq <= 0) continue;
    if (message ? !isOfGroup(xen, irq, message.base, i) : xen.irqs.get(irq)?.message)
      throw new Dies('a pirq of another group is in the way');
    if (forced) {
      setSlot(d, irq, -pirq);
      d.record(pirq + i).irq = -irq;
    } else {
      setSlot(d, irq, 0);
      d.record(pirq + i).irq = 0;
      undo(d, irq, pirq + i);
    }
    d.access.delete(irq);
  }
  if (message) freeGroup(xen, message.base);
  return 0;
}

/** physdev_hvm_map_pirq: an HVM guest maps an emulated GSI. A failed search is found to be out of range only then. */
export function mapForSelf(xen: NaiveXen, d: NaiveDomain, request: MapRequest): number {
  if (request.type !== GSI || request.index < 0 || request.index >= EMULATED_GSIS) return -ERRNO.EINVAL;
  if (request.pirq < 0) request.pirq = freePirq(xen, d, GSI);
  return mapEmulated(xen, d, request.pirq, request.index);
}

/** map_domain_emuirq_pirq: a conflict is success without effect. */
export function mapEmulated(xen: NaiveXen, d: NaiveDomain, pirq: number, emuirq: number): number {
  if (pirq < 0 || pirq >= d.nrPirqs || emuirq >= xen.options.nrIrqs) return -ERRNO.EINVAL;
  const old = d.pirqs.get(pirq)?.emuirq ?? -1;
  const holder = emuirq === -2 ? undefined : d.emuPirq.get(emuirq);
  if ((old !== -1 && old !== emuirq) || (holder !== undefined && holder !== pirq)) return 0;
  if (emuirq !== -2) d.emuPirq.set(emuirq, pirq);
  d.record(pirq).emuirq = emuirq;
  return 0;
}

export function unmapEmulated(d: NaiveDomain, pirq: number): void {
  const r = d.pirqs.get(pirq);
  if (!r || r.emuirq === -1) return;
  if (r.emuirq !== -2) d.emuPirq.delete(r.emuirq);
  r.emuirq = -1;
  d.tidy(pirq);
}
