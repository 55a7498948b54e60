import { type Domain, IRQ_UNBOUND } from './domain.ts';
import type { Host } from './host.ts';

/**
 * Removes a record that has only default values left, where the release looks for such records: those without an
 * event channel, or, up to 4.17.4, by mistake those with one. arch/x86/irq.c: pirq_cleanup_check
 */
export function cleanupCheck(h: Host, d: Domain, pirq: number): void {
  if (!d.hasRecord(pirq)) return;
  if (d.hasPort(pirq) !== h.profile.cleanupInverted) return;
  if (d.irqOf(pirq) !== 0) return;
  if (d.isHvm && (d.emuirq[pirq] !== IRQ_UNBOUND || d.dpciFlags[pirq] !== 0 || d.dpciScheduled[pirq])) return;
  d.removeRecord(pirq);
}
