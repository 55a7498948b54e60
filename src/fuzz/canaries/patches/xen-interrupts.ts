import { type Canary, canary as plant } from '../canary.ts';

const canary = (file: string, name: string, find: string, replace: string): Canary =>
  plant('hypercalls', file, name, find, replace);

/** Planted in groups of messages, pass-through bindings, EOIs, events and the arguments of hypercalls. */
export const XEN_INTERRUPT_CANARIES: readonly Canary[] = [
  canary(
    'xen/map-pirq.ts',
    'a run is rounded down to a power of two',
    'info.entry += info.entry & -info.entry;',
    'info.entry &= info.entry - 1;',
  ),
  canary(
    'xen/map-pirq.ts',
    'a secondary vector can be unmapped alone',
    'if (msis.entry[first]) return -ERRNO.EBUSY;',
    '',
  ),
  canary(
    'xen/map-pirq.ts',
    'a group keeps its last pirq',
    'for (let i = 0; i < count; i++) {\n    const member',
    'for (let i = 0; i < count - +(count > 2); i++) {\n    const member',
  ),
  canary(
    'xen/map-pirq.ts',
    'a run that failed keeps access to its irqs',
    'if (irq >= 0 && granted[vector]) d.irqCaps[irq] = 0;',
    '',
  ),
  canary(
    'xen/ops/physdev.ts',
    'how many would have fitted is not told',
    'type === MAP_PIRQ_TYPE.multiMsi ? { entry_nr: result.entry } : {}',
    '{}',
  ),
  canary(
    'xen/ops/physdev.ts',
    'the type is written back as it was given',
    'write(a, arg, { type, index, pirq, ...entry })',
    'write(a, arg, { index, pirq, ...entry })',
  ),
  canary(
    'xen/ops/argument.ts',
    'a structure cut short is read on',
    "this.#fault === 'null' || at + size > this.bytes.length) return undefined;\n    return this.bytes.slice(at, at + size);",
    "this.#fault === 'null') return undefined;\n    return Uint8Array.from({ length: size }, (_, i) => this.bytes[at + i] ?? 0);",
  ),
  canary(
    'xen/ops/domctl.ts',
    'any caller may bind any irq',
    'if (!caller.mayUseIrq(d.irqOf(b.pirq))) return -ERRNO.EPERM;\n  return d.iommu ? createBinding',
    'return d.iommu ? createBinding',
  ),
  canary('xen/dpci.ts', 'a binding keeps its old vector', 'if (d.gvec[pirq] !== b.gvec || d.gflags', 'if (d.gflags'),
  canary(
    'xen/dpci.ts',
    'an unbound pirq stays passed through',
    'unbindGuest(h, d, pirq);\n    d.dpciFlags[pirq] = 0;\n    resetSoftirq(h, d, pirq);\n    cleanupCheck',
    'unbindGuest(h, d, pirq);\n    resetSoftirq(h, d, pirq);\n    cleanupCheck',
  ),
  canary(
    'xen/msi.ts',
    'a mask where no message is goes unnoticed',
    "if (msi === NO_MSI)\n    throw new HostFault('wild-pointer', `guest_mask_msi_irq",
    "if (msi === NO_MSI) return;\n  if (msi < 0)\n    throw new HostFault('wild-pointer', `guest_mask_msi_irq",
  ),
  canary(
    'xen/delivery.ts',
    'a passed-through interrupt reaches the virtual APIC, too',
    'if (flags & DPCI.guestMsi) return;',
    '',
  ),
  canary(
    'xen/delivery.ts',
    'an interrupt owes no EOI',
    'd.setMasked(pirq, true);\n        irqs.inFlight[irq]++;',
    'irqs.inFlight[irq]++;',
  ),
  canary(
    'xen/guest-irq.ts',
    'an EOI leaves the guest masked',
    'if (irq <= 0 || !irqs.hasGuests(irq) || !d.isMasked(pirq)) return;\n  d.setMasked(pirq, false);',
    'if (irq <= 0 || !irqs.hasGuests(irq) || !d.isMasked(pirq)) return;',
  ),
  canary(
    'xen/guest-irq.ts',
    'the last EOI is never paid',
    'if (irqs.hasGuests(irq) && irqs.inFlight[irq] === 0) {',
    'if (irq < 0) {',
  ),
  canary(
    'xen/guest-irq.ts',
    'one guest of an irq too many',
    'if (irqs.guestCount[irq] >= limit) return -ERRNO.EBUSY;',
    'if (irqs.guestCount[irq] > limit) return -ERRNO.EBUSY;',
  ),
  canary(
    'xen/local-apic.ts',
    'interrupts nest within a class',
    'if (vector < 0 || vector >> 4 <= this.#highest(cpu * 16 + 8) >> 4)',
    'if (vector < 0 || vector <= this.#highest(cpu * 16 + 8))',
  ),
  canary(
    'xen/event-2l.ts',
    'a masked event tells the guest',
    'if (test(d.sharedInfo, mask, port)) return PENDING.masked;',
    '',
  ),
  canary(
    'xen/event-2l.ts',
    'unmasking a pending event tells nobody',
    'return test(d.sharedInfo, pending, port) ? raiseSelector(d, port, vcpu) : PENDING.masked;',
    'return PENDING.masked;',
  ),
  canary(
    'xen/event-channel.ts',
    'the other end of a closed port stays connected',
    'remote.ports.state[remotePort] = ECS.unbound;',
    '',
  ),
  canary(
    'xen/event-channel.ts',
    'reset leaves the first port open',
    'for (let port = 1; port < d.ports.validPorts; port++) closePort',
    'for (let port = 2; port < d.ports.validPorts; port++) closePort',
  ),
  canary(
    'xen/event-channel.ts',
    'binding an event channel does not unmask the message',
    'if (h.irqs.msi[irq] !== NO_MSI && h.profile.guestMsiStartsMasked) setGuestMask(h, irq, false);',
    '',
  ),
  canary(
    'xen/inject.ts',
    'a message takes the pirq of a passed-through device',
    '} else if (emuirq !== IRQ_MSI_EMU) return -ERRNO.EINVAL;',
    '}',
  ),
];
