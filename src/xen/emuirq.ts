import { ERRNO } from './abi/index.ts';
import { ABSENT, Domain, IRQ_PT, IRQ_UNBOUND } from './domain.ts';
import type { Host } from './host.ts';
import { cleanupCheck } from './pirq-record.ts';

/**
 * Connects a pirq of an HVM domain with an emulated GSI, with "an emulated device's MSI", or with "passed through".
 * A conflict with an existing connection is success without effect; that key IRQ_MSI_EMU is one key for all
 * pirqs, so only one can hold it. 0, -EINVAL. arch/x86/irq.c: map_domain_emuirq_pirq
 */
export function mapEmuirq(h: Host, d: Domain, pirq: number, emuirq: number): number {
  if (!d.isHvm) return -ERRNO.EINVAL;
  if (pirq < 0 || pirq >= d.nrPirqs || emuirq === IRQ_UNBOUND || emuirq >= h.nrIrqs) return -ERRNO.EINVAL;
  const oldEmuirq = d.emuirqOf(pirq);
  const oldPirq = emuirq === IRQ_PT ? IRQ_UNBOUND : d.pirqOfEmuirq(emuirq);
  if ((oldEmuirq !== IRQ_UNBOUND && oldEmuirq !== emuirq) || (oldPirq !== IRQ_UNBOUND && oldPirq !== pirq)) return 0;
  d.makeRecord(pirq);
  if (emuirq !== IRQ_PT) d.emuirqPirq[Domain.emuirqSlot(emuirq)] = pirq;
  d.setEmuirq(pirq, emuirq);
  return 0;
}

/** 0, or -EINVAL if there is nothing to undo. arch/x86/irq.c: unmap_domain_pirq_emuirq */
export function unmapEmuirq(h: Host, d: Domain, pirq: number): number {
  if (!d.isHvm || pirq < 0 || pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  const emuirq = d.emuirqOf(pirq);
  if (emuirq === IRQ_UNBOUND) return -ERRNO.EINVAL;
  d.setEmuirq(pirq, IRQ_UNBOUND);
  cleanupCheck(h, d, pirq);
  if (emuirq !== IRQ_PT) d.emuirqPirq[Domain.emuirqSlot(emuirq)] = ABSENT;
  return 0;
}
