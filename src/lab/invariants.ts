import { IRQ_TYPE, type IrqRecord, type KernelRecords, MSI_MODE } from '../guest/index.ts';
import { decodePirqMessage, type MsiMessage } from '../xen/abi/index.ts';
import { type Domain, IRQ_PT, PIRQ_ALLOCATED } from '../xen/index.ts';
import { GUEST_DOMAIN, type Machine, type Slot } from './machine.ts';

const COMMAND = 0x04;
const INTX_DISABLE = 0x400;
const MSIX_ENABLE = 0x8000;
const MSI_ENABLE = 1;
const MSI_ADDRESS_64 = 0x80;

/** A vector that is enabled, has a Linux irq, and somebody has requested it. */
interface Live {
  slot: Slot;
  entry: number;
  record: IrqRecord;
  message: MsiMessage;
  /** pirq that the message in the device names. */
  pirq: number;
}

interface View {
  machine: Machine;
  /** The kernel's records of the functions, slot by slot. */
  devices: ReturnType<KernelRecords['device']>[];
  domain: Domain;
  live: Live[];
  /** Irq records that carry a pirq. */
  records: IrqRecord[];
}

/** What each number means; the order and the wording of the ideas are those of docs/invariants.md. */
export const INVARIANTS: Record<string, string> = {
  I1: 'no two live vectors name the same pirq',
  I2: 'no two irq records carry the same pirq',
  I3: 'the message in the device names the pirq of the irq record',
  I4: 'the pirq of a live vector is mapped on the host, for this very device and entry',
  I5: 'pirqs, event channel ports and irqs are tied one to one',
  I6: 'a requested irq has a port',
  I7: 'the pirq of a live vector is routed to an event channel',
  I8: 'an interrupt reaches the handler of its vector',
  I9: 'no handler is called for another device’s interrupt',
  I10: 'after a disable nothing of the device is left that should be gone',
  I11: 'an access to one device leaves the interrupts of others alone',
  I12: 'no number is reserved without a user',
  I13: 'when no driver is loaded all numbers are free again',
  I14: 'messages change only while they cannot be sent',
  I15: 'the pin is disabled exactly while messages are enabled, and not both kinds of messages are',
  I16: 'a guest with pirqs is granted one MSI vector',
  I17: 'a function that takes 32-bit addresses only has no pirq above 255',
  I18: 'the kernel’s copy of a live vector’s message is what the device has',
  I19: 'mask bits are written only by kernels that write them',
  I20: 'every interrupt that a driver waits for arrives',
  I21: 'each event of a pirq that needs it gets exactly one EOI',
};

const CHECKS: Record<string, (view: View) => boolean> = {
  I1: ({ live }) => isDistinct(live.map((v) => v.pirq)),
  I2: ({ records }) => isDistinct(records.map((r) => r.pirq)),
  I3: ({ live }) => live.every((v) => v.pirq === v.record.pirq),
  I4: ({ machine, domain, live }) => live.every((v) => isMappedFor(machine, domain, v)),
  I5: arePortsConsistent,
  I6: ({ live }) => live.every((v) => v.record.port !== 0),
  I7: ({ domain, live }) => live.every((v) => domain.emuirqOf(v.pirq) === IRQ_PT),
  I10: isGoneAfterDisable,
  I12: areReservationsUsed,
  I13: isAllFreeAtRest,
  I15: ({ machine, devices }) => machine.slots.every((slot, i) => isPinConsistent(slot, devices[i])),
  I16: ({ machine }) => machine.slots.every((slot) => !slot.model.msi || (slot.model.msi.flags & 0x70) === 0),
  I17: ({ machine, records }) => records.every((r) => r.pirq < 256 || takes64Bits(machine, r)),
  I18: ({ machine, live }) => live.every((v) => isCachedMessage(machine, v)),
};

const NAMES = Object.keys(CHECKS);

/** Numbers of the invariants that the present state breaks. No side effects. */
export function checkInvariants(machine: Machine): string[] {
  const domain = machine.hypervisor.domain(GUEST_DOMAIN);
  const records = machine.records.irqs().filter((r) => r.type === IRQ_TYPE.pirq);
  const devices = machine.slots.map((slot) => machine.records.device(slot.guestBdf));
  const view: View = { machine, devices, domain, live: liveVectors(machine, devices, records), records };
  return NAMES.filter((name) => !CHECKS[name](view));
}

function liveVectors(machine: Machine, devices: View['devices'], records: readonly IrqRecord[]): Live[] {
  const live: Live[] = [];
  for (const record of records) {
    if (!machine.records.hasHandlers(record.irq)) continue;
    const index = machine.slots.findIndex((s) => s.guestBdf === record.bdf);
    if (index < 0) continue;
    const slot = machine.slots[index];
    const message = deviceMessage(devices[index].mode, slot, record.entry);
    if (!message) continue;
    const pirq = decodePirqMessage(message.addressLo, message.addressHi, message.data);
    live.push({ slot, entry: record.entry, record, message, pirq });
  }
  return live;
}

/** The message that the guest has put in front of a vector, while messages are enabled. */
function deviceMessage(mode: number, slot: Slot, entry: number): MsiMessage | undefined {
  const { msix, msi } = slot.model;
  if (mode === MSI_MODE.msix && msix?.enabled) return msix.entryMessage(entry);
  if (mode === MSI_MODE.msi && msi && msi.flags & MSI_ENABLE) return msi.message;
  return undefined;
}

function isDistinct(values: readonly number[]): boolean {
  return new Set(values).size === values.length;
}

function isMappedFor(machine: Machine, domain: Domain, { slot, entry, pirq }: Live): boolean {
  const { irqs, msis, devices } = machine.hypervisor.host;
  const irq = domain.irqOf(pirq);
  if (irq <= 0 || irqs.msi[irq] < 0) return false;
  const msi = irqs.msi[irq];
  return devices.sbdf[msis.dev[msi]] === slot.fn.bdf && msis.entry[msi] === entry;
}

function arePortsConsistent({ machine, domain, records }: View): boolean {
  const ports = records.filter((r) => r.port !== 0);
  if (!isDistinct(ports.map((r) => r.port))) return false;
  return ports.every((r) => machine.records.irqOfPort(r.port) === r.irq && domain.evtchn[r.pirq] === r.port);
}

function isGoneAfterDisable({ machine, devices, records }: View): boolean {
  const frees = machine.options.deviceModel.switches.freeOnDisable;
  for (const [i, slot] of machine.slots.entries()) {
    const { mode, vectors } = devices[i];
    // descriptors are still there between the write that disables and the end of the guest's own clean-up
    if (mode !== MSI_MODE.none || vectors !== 0) continue;
    if (records.some((r) => r.bdf === slot.guestBdf)) return false;
    const { msix } = slot.model;
    for (let entry = 0; frees && msix && entry < machine.options.vectors; entry++)
      if (msix.entryPirq(entry) >= 0) return false;
  }
  return true;
}

/** A number that get_free_pirq gave away waits for its mapping, and somebody in the guest must know it. */
function areReservationsUsed({ machine, domain, records, live }: View): boolean {
  const { gsis } = machine.options;
  for (let pirq = gsis; pirq < domain.nrPirqs; pirq++) {
    if (domain.irqOf(pirq) !== PIRQ_ALLOCATED) continue;
    if (!records.some((r) => r.pirq === pirq) || live.some((v) => v.record.pirq === pirq)) return false;
  }
  return true;
}

function isAllFreeAtRest({ machine, devices, domain, records }: View): boolean {
  const isAtRest = devices.every(({ vectors }) => vectors === 0);
  if (!isAtRest) return true;
  const held = new Set(records.map((r) => r.pirq));
  for (let pirq = machine.options.gsis; pirq < domain.nrPirqs; pirq++)
    if (domain.irqOf(pirq) !== 0 && !held.has(pirq)) return false;
  return true;
}

function isPinConsistent(slot: Slot, { mode, vectors }: View['devices'][number]): boolean {
  const { fn, model } = slot;
  const { msix, msi } = model.layout;
  const hasMsix = msix !== undefined && (fn.getConfig(msix.control, 2) & MSIX_ENABLE) !== 0;
  const hasMsi = msi !== undefined && (fn.getConfig(msi.control, 2) & MSI_ENABLE) !== 0;
  if (hasMsix && hasMsi) return false;
  // in the middle of an enable or a disable the order of the writes decides, not the state
  const isSettled = mode !== MSI_MODE.none ? hasMsix || hasMsi : vectors === 0 && !hasMsix && !hasMsi;
  const isPinOff = (fn.getConfig(COMMAND, 2) & INTX_DISABLE) !== 0;
  return !isSettled || mode === MSI_MODE.none || isPinOff || model.msix?.functionMask === true;
}

function takes64Bits(machine: Machine, record: IrqRecord): boolean {
  const slot = machine.slots.find((s) => s.guestBdf === record.bdf);
  if (!slot || machine.records.device(slot.guestBdf).mode !== MSI_MODE.msi) return true;
  return (slot.model.msi!.flags & MSI_ADDRESS_64) !== 0;
}

function isCachedMessage(machine: Machine, { slot, entry, message }: Live): boolean {
  const cached = machine.records.vector(slot.guestBdf, entry);
  return (
    cached.addressLo >>> 0 === message.addressLo >>> 0 &&
    cached.addressHi >>> 0 === message.addressHi >>> 0 &&
    cached.data === message.data
  );
}
