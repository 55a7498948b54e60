import { type Canary, canary } from '../canary.ts';

const MSIX = 'xen/device-model/msix.ts';
const CALLS = 'xen/device-model/calls.ts';
const IRQ = 'guest/irq.ts';
const machine = (file: string, name: string, find: string, replace: string): Canary =>
  canary('machine', file, name, find, replace);

/** Planted in the device model, the machine around it and the guest in front of it. */
export const MACHINE_CANARIES: readonly Canary[] = [
  machine(
    MSIX,
    'a freed entry keeps the number of its pirq (QEMU hw/xen/xen_pt_msi.c xen_pt_msix_disable before c976437c7d)',
    '      this.#pirq[entry] = NO_PIRQ;\n      this.#updated[entry] = 0;',
    '      this.#updated[entry] = 0;',
  ),
  machine(
    MSIX,
    'disabling frees all entries but the last',
    'for (let entry = 0; entry < this.entryCount; entry++) {\n      release(',
    'for (let entry = 0; entry < 1; entry++) {\n      release(',
  ),
  machine(
    MSIX,
    'a message that is written again is no change though nothing is mapped (QEMU c976437c7d, third hunk)',
    "isSame && (switches.shadowCompare === 'value' || this.#pirq[entry] !== NO_PIRQ)",
    'isSame',
  ),
  machine(
    MSIX,
    'clearing a mask bit sets nothing up',
    'if (!switches.latchTable && unmasks) this.#update(entry, value);',
    '',
  ),
  machine(
    MSIX,
    'an entry that could not be bound counts as done',
    'if (rc !== 0) this.#pirq[entry] = NO_PIRQ;\n    else this.#updated[entry] = 0;',
    'if (rc !== 0) this.#pirq[entry] = NO_PIRQ;\n    this.#updated[entry] = 0;',
  ),
  machine(
    'xen/device-model/msi.ts',
    'tearing down MSI keeps the number of its pirq',
    'words[WORD.mapped] = 0;\n    words[WORD.pirq] = NO_PIRQ;',
    'words[WORD.mapped] = 0;',
  ),
  machine(
    CALLS,
    'the pirq that was held is bound, not the one in the message (QEMU hw/xen/xen_pt_msi.c msi_msix_setup)',
    'if (held !== NO_PIRQ) return { rc: 0, pirq };',
    'if (held !== NO_PIRQ) return { rc: 0, pirq: held };',
  ),
  machine(CALLS, 'what could not be bound stays mapped', 'if (rc !== 0) toolstack.unmapPirq(held);', ''),
  machine(CALLS, 'a binding is undone without its mapping', '  toolstack.unmapPirq(pirq);\n}', '}'),
  machine(
    CALLS,
    'every entry is mapped as the first',
    '    entry,\n    tableBase,\n  });',
    '    entry: tableBase ? 0 : entry,\n    tableBase,\n  });',
  ),
  machine(
    'xen/abi/pirq-message.ts',
    'the delivery mode of a binding lies one bit low',
    '(((data >>> 8) & 7) << 12)',
    '(((data >>> 8) & 7) << 11)',
  ),
  machine(
    'xen/event-channel.ts',
    'events of pirqs go to the port beside theirs',
    'const port = d.hasRecord(pirq) ? d.evtchn[pirq] : 0;',
    'const port = d.hasRecord(pirq) && d.evtchn[pirq] ? d.evtchn[pirq] + 1 : 0;',
  ),
  machine(
    'pci/message-queue.ts',
    'of two messages the second is lost',
    'if (at === this.#words.length) this.#grow();',
    'if (at > 0) return;',
  ),
  machine(
    'lab/function-bus.ts',
    'the host reaches the memory of the function before',
    'const window = this.#windows[low - 1];',
    'const window = this.#windows[Math.max(0, low - 2)];',
  ),
  machine(
    IRQ,
    'the last handler goes, the port stays',
    '  yield* maskEvent(guest, port);\n  yield* closePort(port);\n',
    '  yield* maskEvent(guest, port);\n',
  ),
  machine(IRQ, 'a started irq stays masked', '  yield* unmaskEvent(guest, port);\n', ''),
  machine(
    'guest/event-bits.ts',
    'an event that came while masked is not raised by unmasking (Linux drivers/xen/events/events_2l.c evtchn_2l_unmask)',
    '  yield* unmaskPort(port);\n',
    '',
  ),
  machine(
    'guest/event-bits.ts',
    'of the ports of a word only the lower half is seen',
    'for (let half = 0; half < 2; half++) {\n    const at = word * 8 + half * 4;',
    'for (let half = 0; half < 1; half++) {\n    const at = word * 8 + half * 4;',
  ),
  machine(
    'guest/msi-setup.ts',
    'descriptors go and leave their irqs',
    "    if (irq) yield* kernel('irq.free', irq);\n",
    '',
  ),
  machine(
    'guest/msix.ts',
    'the function mask stays after an enable',
    "  yield* kernel('device.mode=', bdf, MSI_MODE.msix);\n  yield* changeControl(profile, bdf, MASKALL, 0);",
    "  yield* kernel('device.mode=', bdf, MSI_MODE.msix);",
  ),
  machine(
    'guest/xen-msi.ts',
    'a vector is re-used that nobody else may use (Linux af42b8d12f8a, before c74fd80f2f41)',
    "if (profile.reuse === 'R2') return -1;",
    "if (profile.reuse === 'R2' && entry === 0) return -1;",
  ),
  machine(
    'guest/irq-list.ts',
    'an irq is found by a pirq that it does not carry',
    "this.table.get(irq, 'pirq') === pirq);",
    "this.table.get(irq, 'pirq') >= pirq);",
  ),
  machine(
    'guest/drivers/nvme.ts',
    'every queue is handled on the first vector',
    '  yield* requestIrq(guest, yield* irqVector(bdf, vector), bdf, q);\n  return 0;',
    '  yield* requestIrq(guest, yield* irqVector(bdf, 0), bdf, q);\n  return 0;',
  ),
];
