import { ERRNO } from '../../../xen/abi/index.ts';
import { destroyIrq, isMaskable } from './irqs.ts';
import type { MapRequest } from './mapping.ts';
import { Dies, type NaiveDomain, type NaiveXen, Unclear } from './state.ts';

/* Messages of devices: arch/x86/msi.c. */

/** Messages of a device that a group or a slot has, by kind. */
function messagesOf(xen: NaiveXen, sbdf: number, msix: boolean) {
  return [...xen.irqs].filter(([, irq]) => irq.message?.sbdf === sbdf && irq.message.msix === msix);
}

/** pci_enable_msi and what stands before it in map_domain_pirq: gives the irq the message. */
export function enable(xen: NaiveXen, d: NaiveDomain, irq: number, request: MapRequest): number {
  const { sbdf, msix } = request;
  const device = xen.options.devices.find((v) => v.sbdf === sbdf && v.owner === d.id);
  if (!device) return -ERRNO.ENODEV;
  // of a group only the first irq is looked at
  if (!msix && messagesOf(xen, sbdf, false).some(([, { message }]) => message!.base === irq)) return -ERRNO.EEXIST;
  const others = messagesOf(xen, sbdf, !msix);
  if (msix) {
    if (device.msix === 0) return -ERRNO.ENODEV;
    if (request.entry >>> 0 >= device.msix) return -ERRNO.EINVAL;
    if (messagesOf(xen, sbdf, true).some(([number]) => number === irq)) return -ERRNO.EEXIST;
    const uses = xen.msixUses.get(sbdf) ?? 1;
    if (others.length || uses === 0) xen.mixed.add(sbdf);
    if (uses === 0) return -ERRNO.ENODATA;
    xen.msixUses.set(sbdf, uses + 1);
  } else {
    // MSI-X is switched off, and so gives up a use, before plain MSI is looked for
    if (others.length) {
      xen.mixed.add(sbdf);
      dropUse(xen, sbdf);
    }
    if (device.msi === 0) return -ERRNO.ENODEV;
    if (request.entry >>> 0 > device.msi) {
      request.entry = device.msi;
      return -ERRNO.ENFILE;
    }
    if (request.entry === 0) throw new Dies('a message of a group without vectors');
    if (request.entry & (request.entry - 1)) xen.mixed.add(sbdf);
  }
  const same = messagesOf(xen, sbdf, msix);
  if (msix ? same.some(([, { message }]) => message!.entry === request.entry) : same.length) xen.mixed.add(sbdf);
  const holder = xen.irqs.get(irq);
  if (!holder) throw new Unclear('a message for an irq that is not in use');
  if (holder.message) {
    // the irq is another device's: the new message is torn down
    xen.mixed.add(sbdf);
    if (msix) dropUse(xen, sbdf);
    return -ERRNO.EBUSY;
  }
  holder.message = {
    sbdf,
    msix,
    entry: msix ? request.entry : 0,
    base: irq,
    count: msix ? 1 : request.entry,
    hostMasked: isMaskable(xen, request),
    guestMasked: msix,
  };
  return 0;
}

/** pci_disable_msi: a table entry given up is a use less. */
export function disable(xen: NaiveXen, irq: number): void {
  const { sbdf, msix } = xen.irqs.get(irq)!.message!;
  if (msix) dropUse(xen, sbdf);
}

/** _pci_cleanup_msix: the last use forgets the table. */
function dropUse(xen: NaiveXen, sbdf: number): void {
  xen.msixUses.set(sbdf, Math.max(0, (xen.msixUses.get(sbdf) ?? 1) - 1));
}

/** True if an irq has vector `entry` of the group that begins at irq `base`; a single slot is a group of its own. */
export function isOfGroup(xen: NaiveXen, irq: number, base: number, entry: number): boolean {
  const message = xen.irqs.get(irq)?.message;
  return message !== undefined && message.base === base && (message.msix || message.entry === entry);
}

/** msi_free_irq: all irqs of the group. */
export function freeGroup(xen: NaiveXen, base: number): void {
  for (const [irq, { message }] of [...xen.irqs]) if (message?.base === base) destroyIrq(xen, irq);
}

/** What a device's attempt to send message `vector` comes to. */
export type Sent = 'unpredicted' | 'no message' | 'masked' | 'sent';

/** A device sends. Whether it may is up to its mask bits, and so to Xen and to who handles the irq. */
export function sendMessage(xen: NaiveXen, sbdf: number, vector: number): Sent {
  if (xen.mixed.has(sbdf)) return 'unpredicted';
  const found = [...xen.irqs].find(([, { message }]) => message?.sbdf === sbdf && message.entry === vector);
  if (!found) return 'no message';
  const [irq, { message }] = found;
  if (isMaskable(xen, message!) && (message!.hostMasked || message!.guestMasked)) return 'masked';
  xen.requested.add(xen.vectorOf(irq));
  return 'sent';
}
