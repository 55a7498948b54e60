import { decodePirqMessage, ERRNO } from './abi/index.ts';
import { type Domain, IRQ_MSI_EMU, IRQ_UNBOUND } from './domain.ts';
import { mapEmuirq } from './emuirq.ts';
import { sendGuestPirq } from './event-channel.ts';
import type { Host } from './host.ts';
import { deliverVirtual } from './virtual-apic.ts';

/**
 * An emulated device of the domain sends a message. Vector 0 names a pirq, anything else goes to the virtual APICs.
 * 0, -ERANGE (pirq 0, or ≥ 2^31 where signed), -EINVAL (out of range, not an emulated MSI's, delivery mode), -EBUSY (no
 * record and another pirq is the emulated MSI's), -ESRCH. arch/x86/hvm/irq.c: hvm_inject_msi
 */
export function injectMsi(h: Host, d: Domain, addressLo: number, addressHi: number, data: number): number {
  const vector = data & 0xff;
  const unsignedPirq = decodePirqMessage(addressLo, addressHi, data);
  const signed = h.profile.injectMsi !== 'unsigned';
  const pirq = unsignedPirq | 0;
  if (vector || (h.profile.injectMsi === 'silent' && pirq <= 0))
    return deliverVirtual(h, d, vector, (addressLo >>> 12) & 0xff, (addressLo & 4) !== 0, (data >>> 8) & 7);
  if (unsignedPirq === 0 || (signed && pirq < 0)) return -ERRNO.ERANGE;
  const emuirq = d.emuirqOf(pirq);
  if (emuirq === IRQ_UNBOUND) {
    const ret = mapEmuirq(h, d, pirq, IRQ_MSI_EMU);
    if (ret) return ret;
    if (!d.hasRecord(pirq)) return -ERRNO.EBUSY;
  } else if (emuirq !== IRQ_MSI_EMU) return -ERRNO.EINVAL;
  sendGuestPirq(h, d, pirq);
  return 0;
}
