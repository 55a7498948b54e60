import { ERRNO } from './abi/index.ts';
import type { Domain } from './domain.ts';
import { HostFault } from './fault.ts';
import type { Host } from './host.ts';
import {
  IRQ_HANDLER,
  IRQ_RESERVED,
  IRQ_STATUS,
  IRQ_UNUSED,
  IRQ_USED,
  NO_DOMAIN,
  NO_MSI,
  NO_VECTOR,
} from './irq-table.ts';
import { setMask } from './msi.ts';
import { MSI_TYPE } from './msi-table.ts';

/** Takes a vector for an irq that has none. 0 or −ENOSPC. arch/x86/irq.c: assign_irq_vector */
export function assignVector(h: Host, irq: number): number {
  if (h.irqs.vector[irq] !== NO_VECTOR) return 0;
  const taken = h.vectors.assign(irq);
  if (taken < 0) return -ERRNO.ENOSPC;
  h.irqs.vector[irq] = taken & 0xff;
  h.irqs.cpu[irq] = taken >> 8;
  h.irqs.target[irq] = -1;
  h.irqs.setUsed(irq, IRQ_USED);
  return 0;
}

/**
 * Makes a host irq for an MSI: the lowest unused number, a vector, and access for whoever the release grants it to.
 * `creator` undefined: for Xen itself. The irq, or −ENOSPC. arch/x86/irq.c: create_irq
 */
export function createIrq(h: Host, creator: Domain | undefined): number {
  const { irqs } = h;
  const irq = irqs.findUnused();
  if (irq < 0) return -ERRNO.ENOSPC;
  irqs.setUsed(irq, IRQ_RESERVED);
  const ret = assignVector(h, irq);
  if (ret < 0) {
    irqs.setUsed(irq, IRQ_UNUSED);
    return ret;
  }
  if (creator) {
    const d = h.profile.createdIrqAccess === 'caller' ? creator : h.hardwareDomain;
    if (d) {
      d.irqCaps[irq] = 1;
      irqs.creator[irq] = d.id;
    }
  }
  return irq;
}

/** Gives a host irq and its vector up; its number is free at once. arch/x86/irq.c: destroy_irq */
export function destroyIrq(h: Host, irq: number): void {
  const { irqs } = h;
  if (irq < h.gsis || irq >= h.nrIrqs) throw new HostFault('bug', `destroy_irq: ${irq} is no MSI irq`);
  const creator = irqs.creator[irq] === NO_DOMAIN ? undefined : h.domainById(irqs.creator[irq]);
  if (creator) creator.irqCaps[irq] = 0;
  irqs.creator[irq] = NO_DOMAIN;
  irqs.status[irq] &= ~IRQ_STATUS.guest;
  shutdownIrq(h, irq);
  irqs.status[irq] |= IRQ_STATUS.disabled;
  irqs.clearAction(irq);
  irqs.msi[irq] = NO_MSI;
  irqs.handler[irq] = IRQ_HANDLER.none;
  if (irqs.vector[irq] === NO_VECTOR) throw new HostFault('bug', `_clear_irq_vector: irq ${irq} has no vector`);
  h.vectors.release(irq, irqs.cpu[irq], irqs.vector[irq]);
  irqs.vector[irq] = NO_VECTOR;
  irqs.cpu[irq] = 0;
  irqs.target[irq] = -1;
  irqs.setUsed(irq, IRQ_UNUSED);
}

/** The first guest is about to handle the irq. arch/x86/msi.c: startup_msi_irq */
export function startupIrq(h: Host, irq: number): void {
  if (h.irqs.handler[irq] !== IRQ_HANDLER.msiMaskable) return;
  setMask(h, irq, false, h.profile.guestMsiStartsMasked && (h.irqs.status[irq] & IRQ_STATUS.guest) !== 0);
}

/** Nobody handles the irq any more. arch/x86/msi.c: shutdown_msi_irq */
export function shutdownIrq(h: Host, irq: number): void {
  if (h.irqs.handler[irq] !== IRQ_HANDLER.msiMaskable) return;
  if (!setMask(h, irq, true, true)) requireDisabled(h, irq, 'shutdown_msi_irq');
}

/** Xen masks the irq. arch/x86/msi.c: mask_msi_irq */
export function disableIrq(h: Host, irq: number): void {
  if (h.irqs.handler[irq] !== IRQ_HANDLER.msiMaskable) return;
  const guest = h.irqs.msi[irq] !== NO_MSI && h.msis.guestMasked[h.irqs.msi[irq]] !== 0;
  if (!setMask(h, irq, true, guest)) requireDisabled(h, irq, 'mask_msi_irq');
}

function requireDisabled(h: Host, irq: number, where: string): void {
  if (!(h.irqs.status[irq] & IRQ_STATUS.disabled))
    throw new HostFault('bug', `${where}: irq ${irq} could not be masked and is not disabled`);
}

/** Gives up a group of message descriptors and their irqs. arch/x86/msi.c: msi_free_irq */
export function freeMsi(h: Host, first: number): void {
  const { msis } = h;
  const count = msis.type[first] === MSI_TYPE.msix ? 1 : msis.vectors[first];
  for (let i = count - 1; i >= 0; i--) {
    if (msis.irq[first + i] >= 0) destroyIrq(h, msis.irq[first + i]);
    msis.remapped[first + i] = 0;
  }
  msis.unlink(h.devices, first);
  msis.free(first, count);
}
