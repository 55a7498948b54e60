import { ERRNO } from './abi/index.ts';
import type { Domain } from './domain.ts';
import { ABSENT } from './domain.ts';
import { eoiPageBit } from './eoi-page.ts';
import { HostFault } from './fault.ts';
import type { Host } from './host.ts';
import { disableIrq, shutdownIrq, startupIrq } from './host-irq.ts';
import { ACK, IRQ_ACTION, IRQ_HANDLER, IRQ_STATUS, NO_MSI } from './irq-table.ts';
import { isMaskable } from './msi.ts';
import { fillMessage, writeMessage } from './msi-message.ts';
import { cleanupCheck } from './pirq-record.ts';

/** How interrupts of an irq must be acknowledged. arch/x86/irq.c: irq_acktype */
function ackType(h: Host, irq: number): number {
  switch (h.irqs.handler[irq]) {
    case IRQ_HANDLER.none:
    case IRQ_HANDLER.ioApicEdge:
      return ACK.none;
    case IRQ_HANDLER.ioApicLevel:
      return ACK.eoi;
    default:
      return h.irqs.msi[irq] !== NO_MSI && !isMaskable(h, h.irqs.msi[irq]) ? ACK.eoi : ACK.none;
  }
}

/**
 * The domain becomes a guest of the irq behind a pirq. 0, -EINVAL (no irq), -EBUSY (Xen's own, not shared, too many).
 * arch/x86/irq.c: pirq_guest_bind
 */
export function bindGuest(h: Host, d: Domain, pirq: number, share: boolean): number {
  const { irqs } = h;
  const irq = d.irqOf(pirq);
  if (irq <= 0) return -ERRNO.EINVAL;
  if (!irqs.hasGuests(irq)) {
    if (irqs.action[irq] !== IRQ_ACTION.none) return -ERRNO.EBUSY;
    irqs.clearAction(irq);
    irqs.action[irq] = IRQ_ACTION.guests;
    irqs.shareable[irq] = +share;
    irqs.ackType[irq] = ackType(h, irq);
    irqs.status[irq] |= IRQ_STATUS.guest;
    // vCPUs run on CPU 0; a vector taken elsewhere stays there (Deviation: Xen would move it)
    if (h.irqBalance && irqs.msi[irq] !== NO_MSI && irqs.cpu[irq] === 0) {
      irqs.target[irq] = 0;
      fillMessage(h, irqs.msi[irq], irq);
      writeMessage(h, irqs.msi[irq], false); // Xen ignores a failure here
    }
    irqs.status[irq] &= ~IRQ_STATUS.disabled;
    startupIrq(h, irq);
  } else if (!share || !irqs.shareable[irq]) return -ERRNO.EBUSY;

  const { shared, exclusive } = h.profile.guestsPerIrq;
  const limit = Math.min(share ? shared : exclusive, irqs.maxGuests);
  if (irqs.guestCount[irq] >= limit) return -ERRNO.EBUSY;
  irqs.addGuest(irq, d.slot);
  eoiPageBit(d, pirq, irqs.ackType[irq] !== ACK.none);
  return 0;
}

/** Takes a domain off the irq's guests; the last one shuts it down. arch/x86/irq.c: __pirq_guest_unbind */
function unbindFromIrq(h: Host, d: Domain, pirq: number, irq: number): void {
  const { irqs } = h;
  if (!irqs.hasGuests(irq)) {
    if (!(irqs.status[irq] & IRQ_STATUS.guest))
      throw new HostFault('bug', `__pirq_guest_unbind: pirq ${pirq} of domain ${d.id}: irq ${irq} has no guests`);
    return;
  }
  const index = irqs.indexOfGuest(irq, d.slot);
  if (index < 0) throw new HostFault('bug', `__pirq_guest_unbind: domain ${d.id} is no guest of irq ${irq}`);
  irqs.removeGuest(irq, index);
  if (irqs.ackType[irq] !== ACK.none && d.isMasked(pirq)) {
    d.setMasked(pirq, false);
    if (--irqs.inFlight[irq] === 0 && irqs.guestCount[irq] !== 0) setEoiReadyEverywhere(h, irq);
  }
  if (d.isMasked(pirq)) throw new HostFault('bug', `__pirq_guest_unbind: pirq ${pirq} of domain ${d.id} still masked`);
  if (irqs.guestCount[irq] !== 0) return;
  if (irqs.inFlight[irq] !== 0) throw new HostFault('bug', `__pirq_guest_unbind: irq ${irq} still in flight`);
  disableIrq(h, irq);
  irqs.status[irq] |= IRQ_STATUS.disabled;
  setEoiReadyEverywhere(h, irq);
  irqs.clearAction(irq);
  irqs.status[irq] &= ~(IRQ_STATUS.guest | IRQ_STATUS.inProgress);
  shutdownIrq(h, irq);
}

/**
 * The domain stops handling a pirq. Where its mapping went away before (a deferred record) this ends the teardown.
 * arch/x86/irq.c: pirq_guest_unbind
 */
export function unbindGuest(h: Host, d: Domain, pirq: number): void {
  const irq = d.irqOf(pirq);
  if (irq > 0) {
    unbindFromIrq(h, d, pirq, irq);
    return;
  }
  if (irq === 0) throw new HostFault('bug', `pirq_guest_unbind: pirq ${pirq} of domain ${d.id} has no irq at all`);
  clearMapping(d, -irq, pirq);
  cleanupMapping(h, d, -irq, pirq);
}

/** Unbinds if the domain is a guest of the pirq's irq; true if it was. arch/x86/irq.c: pirq_guest_force_unbind */
export function forceUnbind(h: Host, d: Domain, pirq: number): boolean {
  const irq = d.irqOf(pirq);
  if (irq <= 0) throw new HostFault('bug', `pirq_guest_force_unbind: pirq ${pirq} of domain ${d.id} is not mapped`);
  if (!h.irqs.hasGuests(irq) || h.irqs.indexOfGuest(irq, d.slot) < 0) return false;
  unbindFromIrq(h, d, pirq, irq);
  return true;
}

/** arch/x86/irq.c: clear_domain_irq_pirq */
export function clearMapping(d: Domain, irq: number, pirq: number): void {
  d.setIrq(pirq, 0);
  setSlot(d, irq, 0);
}

/** Writes a slot that must exist. */
export function setSlot(d: Domain, irq: number, value: number): void {
  if (d.irqPirq[irq] === ABSENT)
    throw new HostFault(
      'wild-pointer',
      `domain ${d.id} has no slot for irq ${irq}, which a pirq claims to be mapped to`,
    );
  d.irqPirq[irq] = value;
}

/** arch/x86/irq.c: cleanup_domain_irq_pirq */
export function cleanupMapping(h: Host, d: Domain, irq: number, pirq: number): void {
  cleanupCheck(h, d, pirq);
  d.irqPirq[irq] = ABSENT;
}

/** The guest has dealt with a pirq's interrupt. arch/x86/irq.c: desc_guest_eoi */
export function guestEoi(h: Host, d: Domain, pirq: number): void {
  const { irqs } = h;
  const irq = d.irqOf(pirq);
  if (irq <= 0 || !irqs.hasGuests(irq) || !d.isMasked(pirq)) return;
  d.setMasked(pirq, false);
  if (--irqs.inFlight[irq] !== 0) return;
  irqs.timerArmed[irq] = 0;
  setEoiReadyEverywhere(h, irq);
}

/** On every CPU that owes an EOI for the irq: mark it ready and pay what can be paid. arch/x86/irq.c: set_eoi_ready */
export function setEoiReadyEverywhere(h: Host, irq: number): void {
  const { irqs, eoi } = h;
  const owing = irqs.eoiCpus[irq];
  for (let cpu = 0; owing !== 0 && cpu < h.size.cpus; cpu++) {
    if (!(owing & (1 << (cpu & 31)))) continue;
    if (irqs.hasGuests(irq) && irqs.inFlight[irq] === 0) {
      irqs.eoiCpus[irq] &= ~(1 << (cpu & 31));
      eoi.markReady(cpu, irq);
    }
    flushReadyEoi(h, cpu);
  }
}

/** Pays the EOIs that are ready at the top of a CPU's stack. arch/x86/irq.c: flush_ready_eoi */
export function flushReadyEoi(h: Host, cpu: number): void {
  while (h.eoi.depth(cpu) && h.eoi.topReady(cpu)) {
    const irq = h.eoi.pop(cpu);
    if (hasEnd(h, irq)) h.apics.eoi(cpu);
  }
}

/** Controllers that pay the EOI at the end of an interrupt instead of at its acknowledgement. */
export function hasEnd(h: Host, irq: number): boolean {
  return h.irqs.handler[irq] === IRQ_HANDLER.msiNonMaskable || h.irqs.handler[irq] === IRQ_HANDLER.ioApicLevel;
}
