import { ERRNO, GFLAGS, PT_IRQ_TYPE } from './abi/index.ts';
import { type Domain, DPCI } from './domain.ts';
import { bindGuest, guestEoi, unbindGuest } from './guest-irq.ts';
import { dpciWork, type Host } from './host.ts';
import { NO_MSI } from './irq-table.ts';
import { setGuestMask } from './msi.ts';
import { cleanupCheck } from './pirq-record.ts';
import { destVcpu } from './virtual-apic.ts';

/** What bind_pt_irq and unbind_pt_irq say. `pirq` is signed as in C. */
export interface PtBinding {
  pirq: number;
  type: number;
  gvec: number;
  gflags: number;
  /** True if a guest-physical MSI-X table is given. */
  hasTable: boolean;
  /** INTx: bus, device, pin. */
  bus: number;
  device: number;
  intx: number;
}

/**
 * Connects a mapped pirq with the guest's view of its interrupt. For an MSI that is bound already this only changes
 * vector and flags, whichever device asked. 0 or −errno. drivers/passthrough/x86/hvm.c: pt_irq_create_bind
 */
export function createBinding(h: Host, d: Domain, b: PtBinding): number {
  if (b.pirq < 0 || b.pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  d.dpciRoot = true;
  d.makeRecord(b.pirq);
  switch (b.type) {
    case PT_IRQ_TYPE.msi:
      return bindMsi(h, d, b);
    case PT_IRQ_TYPE.pci:
    case PT_IRQ_TYPE.msiTranslate:
      return bindIntx(h, d, b);
    default:
      return h.profile.ptIrqTypes === 'checked' ? -ERRNO.EOPNOTSUPP : bindIntx(h, d, b);
  }
}

function bindMsi(h: Host, d: Domain, b: PtBinding): number {
  const { pirq } = b;
  const gflags = h.profile.unmaskedFlag ? b.gflags & ~GFLAGS.unmasked : b.gflags;
  const type = DPCI.machMsi | DPCI.guestMsi;
  if (!(d.dpciFlags[pirq] & DPCI.mapped)) {
    d.dpciFlags[pirq] = DPCI.mapped | type;
    d.gvec[pirq] = b.gvec;
    d.gflags[pirq] = gflags;
    let ret = bindGuest(h, d, pirq, false);
    if (!ret && b.hasTable) {
      ret = !d.msixTables ? -ERRNO.ENODEV : h.irqs.msi[d.irqOf(pirq)] === NO_MSI ? -ERRNO.EINVAL : 0;
      if (ret) {
        unbindGuest(h, d, pirq);
        resetSoftirq(h, d, pirq);
      }
    }
    if (ret) {
      d.gflags[pirq] = d.gvec[pirq] = d.dpciFlags[pirq] = 0;
      cleanupCheck(h, d, pirq);
      return ret;
    }
  } else {
    if ((d.dpciFlags[pirq] & type) !== type) return -ERRNO.EBUSY;
    if (d.gvec[pirq] !== b.gvec || d.gflags[pirq] !== (gflags | 0)) {
      guestEoi(h, d, pirq);
      d.gvec[pirq] = b.gvec;
      d.gflags[pirq] = gflags;
    }
  }
  d.destVcpu[pirq] = destVcpu(d, d.gflags[pirq] & GFLAGS.destId, (d.gflags[pirq] & GFLAGS.destMode) !== 0);
  if (h.profile.unmaskedFlag && b.gflags & GFLAGS.unmasked) {
    const irq = d.irqOf(pirq);
    if (irq <= 0) {
      destroyBinding(h, d, b);
      return -ERRNO.EINVAL;
    }
    setGuestMask(h, irq, false);
  }
  return 0;
}

function bindIntx(h: Host, d: Domain, b: PtBinding): number {
  const { pirq } = b;
  const { intx } = h;
  if (!intx.add(d, pirq, b.bus, b.device, b.intx)) return -ERRNO.ENOMEM;
  if (d.dpciFlags[pirq] & DPCI.mapped) return 0;
  const translate = b.type === PT_IRQ_TYPE.msiTranslate;
  d.dpciFlags[pirq] = DPCI.mapped | DPCI.guestPci | (translate ? DPCI.machMsi | DPCI.translate : DPCI.machPci);
  const ret = bindGuest(h, d, pirq, !translate);
  if (ret) {
    intx.removeLast(d, pirq);
    d.dpciFlags[pirq] = 0;
    cleanupCheck(h, d, pirq);
  }
  return ret;
}

/** Undoes {@link createBinding}. 0 or −errno. drivers/passthrough/x86/hvm.c: pt_irq_destroy_bind */
export function destroyBinding(h: Host, d: Domain, b: PtBinding): number {
  const { pirq } = b;
  switch (b.type) {
    case PT_IRQ_TYPE.pci:
    case PT_IRQ_TYPE.msiTranslate:
      break;
    case PT_IRQ_TYPE.msi:
      if (h.profile.remaskOnUnbind) {
        const irq = d.irqOf(pirq);
        if (irq <= 0) return -ERRNO.EINVAL;
        setGuestMask(h, irq, true);
      }
      break;
    default:
      if (h.profile.ptIrqTypes === 'checked') return -ERRNO.EOPNOTSUPP;
  }
  if (!d.dpciRoot) return -ERRNO.EINVAL;
  const mapped = d.hasRecord(pirq) && (d.dpciFlags[pirq] & DPCI.mapped) !== 0;
  if (b.type !== PT_IRQ_TYPE.msi) {
    if (!h.intx.removeRoute(d, pirq, b.bus, b.device, b.intx)) return -ERRNO.EINVAL;
    if (mapped) h.intx.removeLinks(d, pirq, b.bus, b.device, b.intx);
  }
  if (mapped && !h.intx.hasLinks(d, pirq)) {
    unbindGuest(h, d, pirq);
    d.dpciFlags[pirq] = 0;
    resetSoftirq(h, d, pirq);
    cleanupCheck(h, d, pirq);
  }
  return 0;
}

/** Takes a queued softirq back. drivers/passthrough/x86/hvm.c: pt_pirq_softirq_reset */
function resetSoftirq(h: Host, d: Domain, pirq: number): void {
  d.dpciScheduled[pirq] = d.dpciMasked[pirq] = 0;
  h.softirqs.remove(dpciWork(d.slot, pirq));
}

/** Destruction: the domain stops being a guest of all its bound irqs. drivers/passthrough/x86/hvm.c: arch_pci_clean_pirqs */
export function cleanBindings(h: Host, d: Domain): void {
  if (!d.isHvm || !d.dpciRoot) return;
  for (let pirq = 0; pirq < d.records; pirq++) {
    if (!d.hasRecord(pirq) || !(d.dpciFlags[pirq] & DPCI.mapped)) continue;
    unbindGuest(h, d, pirq);
    h.intx.removeAllLinks(d, pirq);
    d.dpciFlags[pirq] = 0;
    resetSoftirq(h, d, pirq);
  }
  h.intx.clear(d);
  d.dpciRoot = false;
}
