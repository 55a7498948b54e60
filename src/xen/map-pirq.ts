import { ERRNO, MAP_PIRQ_TYPE } from './abi/index.ts';
import { ABSENT, type Domain } from './domain.ts';
import { HostFault } from './fault.ts';
import { cleanupMapping, clearMapping, forceUnbind, setSlot } from './guest-irq.ts';
import type { Host } from './host.ts';
import { NO_DEVICE } from './host-device.ts';
import { createIrq, destroyIrq, freeMsi } from './host-irq.ts';
import { IRQ_HANDLER, NO_MSI } from './irq-table.ts';
import { disableMsi, enableMsi, type MsiInfo, setupMsiIrq } from './msi.ts';
import { MSI_TYPE } from './msi-table.ts';

/** Most vectors of a plain MSI capability. */
const MAX_MSI_IRQS = 32;

/** `ret` as a hypercall returns it; `pirq` is meaningful if it is 0. */
export interface Mapped {
  ret: number;
  pirq: number;
}

/**
 * Which pirq an irq shall have: the one asked for, the one it has, or a free one. ≥ 0 or −errno; for MULTI_MSI
 * `info.entry` becomes the rounded count, or how many would have fitted. arch/x86/irq.c: allocate_pirq
 */
function choosePirq(h: Host, d: Domain, wanted: number, irq: number, type: number, info?: MsiInfo): number {
  const current = d.pirqOf(irq);
  if (wanted >= 0) return current && current !== wanted ? -ERRNO.EEXIST : wanted;
  if (current < 0) return -ERRNO.EBUSY;
  if (current > 0) return h.profile.negativePirqIsErrno ? wanted : current;
  const space = h.spaces[d.slot];
  if (type !== MAP_PIRQ_TYPE.multiMsi || !info) {
    const pirq = space.find(type === MAP_PIRQ_TYPE.gsi);
    return pirq < 0 ? -ERRNO.ENOSPC : pirq;
  }
  if (info.entry <= 0 || info.entry > MAX_MSI_IRQS) return -ERRNO.EDOM;
  if (info.entry !== 1 && !h.intremap) return -ERRNO.EOPNOTSUPP;
  while (info.entry & (info.entry - 1)) info.entry += info.entry & -info.entry;
  const base = space.findRun(info.entry);
  if (base >= 0) return base;
  while ((info.entry >>= 1) > 1) if (space.findRun(info.entry) > 0) break;
  return -ERRNO.ENOSPC;
}

/** Maps a GSI for a domain. arch/x86/irq.c: allocate_and_map_gsi_pirq */
export function mapGsi(h: Host, caller: Domain, d: Domain, index: number, wanted: number): Mapped {
  if (index < 0 || index >= h.gsis) return { ret: -ERRNO.EINVAL, pirq: wanted };
  let irq = caller.irqOf(index);
  if (irq <= 0) {
    if (!caller.isHardwareDomain) return { ret: -ERRNO.EINVAL, pirq: wanted };
    irq = index;
  }
  const pirq = choosePirq(h, d, wanted, irq, MAP_PIRQ_TYPE.gsi);
  if (pirq < 0) return { ret: pirq, pirq: wanted };
  const ret = mapPirq(h, caller, d, pirq, irq, MAP_PIRQ_TYPE.gsi);
  return { ret, pirq: ret ? wanted : pirq };
}

/**
 * Maps one message or, for MULTI_MSI, a run of them. `info.entry` may change. A success that mapped nothing because of
 * a conflict leaks the irq made for it. arch/x86/irq.c: allocate_and_map_msi_pirq
 */
export function mapMsi(
  h: Host,
  caller: Domain,
  d: Domain,
  type: number,
  index: number,
  wanted: number,
  info: MsiInfo,
): Mapped {
  const multi = type === MAP_PIRQ_TYPE.multiMsi;
  if (!multi && !info.tableBase) info.entry = 1;
  const made = multi || index === -1;
  const irq = made ? createIrq(h, caller) : index;
  // an irq that could not be made is out of range as well, so its errno is lost
  if (irq < h.gsis || irq >= h.nrIrqs) return { ret: -ERRNO.EINVAL, pirq: wanted };
  info.irq = irq;
  const pirq = choosePirq(h, d, wanted, irq, type, info);
  const ret = pirq < 0 ? pirq : mapPirq(h, caller, d, pirq, irq, type, info);
  if (ret && made) destroyIrq(h, irq);
  return { ret, pirq: ret ? wanted : pirq };
}

/** Gives the pirq a record and the irq a slot; true if the slot is new. arch/x86/irq.c: prepare_domain_irq_pirq */
function prepare(d: Domain, irq: number, pirq: number): boolean {
  const isNew = d.irqPirq[irq] === ABSENT;
  if (isNew) d.irqPirq[irq] = 0;
  d.makeRecord(pirq);
  return isNew;
}

function commit(d: Domain, irq: number, pirq: number): void {
  setSlot(d, irq, pirq);
  d.setIrq(pirq, irq);
}

/** Gives access to an irq; true if the domain had none. */
function grant(d: Domain, irq: number): boolean {
  const isNew = d.irqCaps[irq] === 0;
  d.irqCaps[irq] = 1;
  return isNew;
}

/** Connects pirq and irq of a domain, with the device behind it for an MSI. 0 or −errno. arch/x86/irq.c: map_domain_pirq */
export function mapPirq(
  h: Host,
  caller: Domain,
  d: Domain,
  pirq: number,
  irq: number,
  type: number,
  info?: MsiInfo,
): number {
  if (!caller.mayUseIrq(irq)) return -ERRNO.EPERM;
  if (pirq < 0 || pirq >= d.nrPirqs || irq <= 0 || irq >= h.nrIrqs) return -ERRNO.EINVAL;
  const oldIrq = d.irqOf(pirq);
  const oldPirq = d.pirqOf(irq);
  if ((oldIrq > 0 && oldIrq !== irq) || (oldPirq && oldPirq !== pirq)) return 0; // refused, and yet a success

  const granted = grant(d, irq);
  const prepared = prepare(d, irq, pirq);
  let ret = 0;
  if (info) ret = mapMessages(h, caller, d, pirq, irq, type, info);
  else commit(d, irq, pirq);
  if (ret) {
    if (prepared || !h.profile.failedMapKeepsOlder) cleanupMapping(h, d, irq, pirq);
    if (granted || !h.profile.failedMapKeepsOlder) d.irqCaps[irq] = 0;
  }
  return ret;
}

/** The MSI part of {@link mapPirq}: descriptors, then one irq after the other. */
function mapMessages(
  h: Host,
  caller: Domain,
  d: Domain,
  pirq: number,
  firstIrq: number,
  type: number,
  info: MsiInfo,
): number {
  const { irqs, msis } = h;
  const dev = h.devices.find(info.sbdf, h.profile.msiNeedsOwner ? d.id : undefined);
  if (dev === NO_DEVICE) return -ERRNO.ENODEV;
  const enabled = enableMsi(h, caller, dev, info);
  if (enabled.ret > 0) {
    info.entry = enabled.ret;
    return -ERRNO.ENFILE;
  }
  if (enabled.ret < 0) return enabled.ret;
  const first = enabled.msi;
  if (irqs.handler[firstIrq] !== IRQ_HANDLER.none) {
    disableMsi(h, first);
    msis.irq[first] = -1;
    freeMsi(h, first);
    return -ERRNO.EBUSY;
  }

  const granted: boolean[] = [];
  const prepared: boolean[] = [];
  let irq = firstIrq;
  let vector = 0;
  /** Record of the present vector, −1 while it has none. */
  let record = pirq;
  let ret: number;
  while (!(ret = setupMsiIrq(h, irq, first + vector))) {
    if (type === MAP_PIRQ_TYPE.msi || msis.type[first] !== MSI_TYPE.msi || ++vector === info.entry) break;
    commit(d, irq, record);
    record = -1;
    irq = createIrq(h, caller);
    if (irq < 0) {
      if (h.profile.multiMsiFailure === 'endless-loop')
        throw new HostFault('endless-loop', 'map_domain_pirq: lock of the previous irq is released twice');
      ret = irq;
      break;
    }
    record = pirq + vector;
    prepared[vector] = prepare(d, irq, record);
    msis.irq[first + vector] = irq;
    granted[vector] = grant(d, irq);
    if (irqs.handler[irq] !== IRQ_HANDLER.none) {
      ret = -ERRNO.EBUSY;
      break;
    }
  }
  if (!ret) {
    commit(d, irq, record);
    return 0;
  }

  // The way back; records of vectors that were committed already keep their irq, as in Xen
  disableMsi(h, first);
  if (vector) {
    irqs.handler[msis.irq[first]] = IRQ_HANDLER.none;
    irqs.msi[msis.irq[first]] = NO_MSI;
  }
  while (vector) {
    if (irq >= 0 && granted[vector]) d.irqCaps[irq] = 0;
    if (record >= 0 && prepared[vector]) cleanupMapping(h, d, irq, record);
    record = pirq + --vector;
    irq = d.irqOf(record);
  }
  msis.irq[first] = -1;
  freeMsi(h, first);
  return ret;
}

/**
 * Disconnects a pirq (for plain MSI: all of the group) from its irq. While the domain is a guest of the irq, that is
 * ended by force and the record stays deferred. 0 or −errno. arch/x86/irq.c: unmap_domain_pirq
 */
export function unmapPirq(h: Host, d: Domain, pirq: number): number {
  const { irqs, msis } = h;
  if (pirq < 0 || pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  const baseIrq = d.irqOf(pirq);
  if (baseIrq <= 0) return -ERRNO.EINVAL;
  const first = irqs.msi[baseIrq];
  let count = 1;
  if (first !== NO_MSI && msis.type[first] === MSI_TYPE.msi) {
    if (msis.entry[first]) return -ERRNO.EBUSY;
    count = msis.vectors[first];
  }
  const forced = forceUnbind(h, d, pirq);
  if (first !== NO_MSI) disableMsi(h, first);

  for (let i = 0; i < count; i++) {
    const member = pirq + i;
    const irq = d.irqOf(member);
    if (irq <= 0) continue;
    if (irqs.msi[irq] !== (first === NO_MSI ? NO_MSI : first + i))
      throw new HostFault('bug', `unmap_domain_pirq: pirq ${member} of domain ${d.id} is not vector ${i} of its group`);
    if (forced) {
      d.setIrq(member, -irq);
      setSlot(d, irq, -pirq);
    } else clearMapping(d, irq, member);
    if (first !== NO_MSI) {
      irqs.handler[irq] = IRQ_HANDLER.none;
      irqs.msi[irq] = NO_MSI;
    }
    if (!forced) cleanupMapping(h, d, irq, member);
    d.irqCaps[irq] = 0;
  }
  if (first !== NO_MSI) freeMsi(h, first);
  return 0;
}
