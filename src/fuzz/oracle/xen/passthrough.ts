import { ERRNO } from '../../../xen/abi/index.ts';
import { signal } from './events.ts';
import { deliverVirtual, guestEoi, joinIrq, leaveIrq } from './irqs.ts';
import { mapEmulated } from './mapping.ts';
import { Dies, type NaiveDomain, type NaiveXen } from './state.ts';

/* Interrupts of passed-through and emulated devices: drivers/passthrough/x86/hvm.c, arch/x86/hvm/irq.c. */

const MSI = 2;
/** In gflags: bind and unmask at once. */
const UNMASKED = 0x10000;

/** What a binding says; numbers are unsigned. */
export interface Binding {
  pirq: number;
  type: number;
  gvec: number;
  gflags: number;
  hasTable: boolean;
}

/** What both domctls check first, then whether the caller may use the irq. */
function refused(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, pirq: number): number {
  if (!d.hvm) return -ERRNO.EINVAL;
  if (!xen.manages(caller, d)) return -ERRNO.EPERM;
  const irq = d.irqOf(pirq);
  return irq > 0 && caller.access.has(irq) ? 0 : -ERRNO.EPERM;
}

/** XEN_DOMCTL_bind_pt_irq; pt_irq_create_bind for a message. What is bound already is only changed, whoever asks. */
export function bind(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, b: Binding): number {
  const denied = refused(xen, caller, d, b.pirq);
  if (denied) return denied;
  if (b.pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  d.passthrough = true;
  const record = d.record(b.pirq);
  if (b.type !== MSI) return -ERRNO.EOPNOTSUPP;
  const gflags = b.gflags & ~UNMASKED;
  const { message } = xen.irqs.get(record.irq) ?? {};
  if (!record.pt) {
    record.pt = { gvec: b.gvec, gflags };
    let ret = joinIrq(xen, d, b.pirq, false);
    if (!ret && b.hasTable && !message) {
      ret = -ERRNO.EINVAL;
      leaveIrq(xen, d, b.pirq);
    }
    if (ret) {
      record.pt = undefined;
      d.tidy(b.pirq);
      return ret;
    }
  } else if (record.pt.gvec !== b.gvec || record.pt.gflags !== gflags) {
    guestEoi(xen, d, b.pirq);
    record.pt = { gvec: b.gvec, gflags };
  }
  if (!(b.gflags & UNMASKED)) return 0;
  if (!message) throw new Dies('an irq without a message is unmasked');
  message.guestMasked = false;
  return 0;
}

/** XEN_DOMCTL_unbind_pt_irq; pt_irq_destroy_bind for a message, which is left masked. */
export function unbind(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, b: Binding): number {
  const denied = refused(xen, caller, d, b.pirq);
  if (denied) return denied;
  if (b.type !== MSI) return -ERRNO.EOPNOTSUPP;
  const record = d.record(b.pirq);
  const message = xen.irqs.get(record.irq)?.message;
  if (!message) throw new Dies('an irq without a message is masked');
  message.guestMasked = true;
  if (!d.passthrough) return -ERRNO.EINVAL;
  if (!record.pt) return 0;
  leaveIrq(xen, d, b.pirq);
  record.pt = undefined;
  d.tidy(b.pirq);
  return 0;
}

/** hvm_inject_msi: vector 0 names a pirq, anything else goes to the virtual APIC. */
export function inject(xen: NaiveXen, d: NaiveDomain, low: number, high: number, data: number): number {
  const vector = data & 0xff;
  if (vector !== 0) return deliverVirtual(d, vector, (low >>> 12) & 0xff, (data >>> 8) & 7);
  const pirq = ((low >>> 12) & 0xff) + (high >>> 8) * 256;
  if (pirq === 0) return -ERRNO.ERANGE;
  if (pirq >= 2 ** 31) return xen.options.signedPirqs ? -ERRNO.ERANGE : -ERRNO.EINVAL;
  const emuirq = d.pirqs.get(pirq)?.emuirq ?? -1;
  if (emuirq === -1) {
    const ret = mapEmulated(xen, d, pirq, -3);
    if (ret) return ret;
    if (!d.pirqs.has(pirq)) return -ERRNO.EBUSY;
  } else if (emuirq !== -3) return -ERRNO.EINVAL;
  signal(d, pirq);
  return 0;
}

/** PHYSDEVOP_eoi. No emulated level is ever asserted here. */
export function eoi(xen: NaiveXen, d: NaiveDomain, pirq: number): number {
  if (pirq >= d.nrPirqs || !d.pirqs.has(pirq)) return -ERRNO.EINVAL;
  if (!d.hvm || d.irqOf(pirq) > 0) guestEoi(xen, d, pirq);
  return 0;
}
