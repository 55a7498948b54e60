import { GFLAGS } from './abi/index.ts';
import { ABSENT, type Domain, DPCI, IRQ_UNBOUND } from './domain.ts';
import { sendGuestPirq } from './event-channel.ts';
import { HostFault } from './fault.ts';
import { flushReadyEoi, guestEoi, hasEnd, setEoiReadyEverywhere } from './guest-irq.ts';
import { dpciPirq, dpciSlot, dpciWork, type Host } from './host.ts';
import { intxGsi } from './intx-table.ts';
import { ACK, IRQ_STATUS, NO_VECTOR } from './irq-table.ts';
import { remappedMsi } from './msi-message.ts';
import { deliverVirtual } from './virtual-apic.ts';

const PHYSICAL_BROADCAST = 0xff;
/** A flat logical id has eight bits. */
const FLAT_CPUS = 8;

/**
 * A device's message arrives at the host: through the remapper if it is on, then at the local APICs that it names.
 * False if it is no interrupt message or the remapper blocks it. Everything that follows has happened on return.
 */
export function deliverMessage(h: Host, addressLo: number, addressHi: number, data: number): boolean {
  if (!acceptsMessage(h, addressLo, addressHi, data)) {
    h.trace?.({ kind: 'blocked', addressLo: addressLo >>> 0, addressHi: addressHi >>> 0, data: data >>> 0 });
    return false;
  }
  if (h.intremap) {
    const msi = remappedMsi(h, addressLo, addressHi, data);
    const vector = h.msis.messageData[msi] & 0xff;
    h.apics.request(h.irqs.cpu[h.msis.irq[msi]] ?? 0, vector);
  } else requestTargets(h, (addressLo >>> 12) & 0xff, (addressLo & 4) !== 0, deliveryMode(data) === 1, data & 0xff);
  runHost(h);
  return true;
}

const deliveryMode = (data: number) => (data >>> 8) & 7;

/** True for a write that the host takes as an interrupt: fixed or lowest priority, and known to the remapper if it is on. */
function acceptsMessage(h: Host, addressLo: number, addressHi: number, data: number): boolean {
  if (addressLo >>> 20 !== 0xfee) return false;
  if (h.intremap) return remappedMsi(h, addressLo, addressHi, data) >= 0;
  return addressHi === 0 && deliveryMode(data) <= 1;
}

/** Requests the vector at the local APICs that a destination names, or at the first of them. */
function requestTargets(h: Host, dest: number, logical: boolean, one: boolean, vector: number): void {
  for (let cpu = 0; cpu < h.size.cpus; cpu++) {
    if (logical ? cpu >= FLAT_CPUS || !(dest & (1 << cpu)) : dest !== cpu && dest !== PHYSICAL_BROADCAST) continue;
    h.apics.request(cpu, vector);
    if (one) return;
  }
}

/** One interrupt on a GSI of the IO-APIC; its line is only unmasked while a domain is bound. */
export function raiseGsi(h: Host, gsi: number): boolean {
  if (gsi < 0 || gsi >= h.gsis || !h.irqs.hasGuests(gsi)) return false;
  if (h.irqs.vector[gsi] !== NO_VECTOR) h.apics.request(h.irqs.cpu[gsi], h.irqs.vector[gsi]); // the cascade has none
  runHost(h);
  return true;
}

/** Delivers all that is deliverable: interrupts by priority, then pass-through softirqs, until nothing is left. */
export function runHost(h: Host): void {
  const { softirqs, domains } = h;
  for (let idle = false; !idle; ) {
    idle = true;
    for (let cpu = h.apics.requested(); cpu >= 0; cpu = h.apics.requested(cpu + 1))
      for (let vector = h.apics.accept(cpu); vector >= 0; vector = h.apics.accept(cpu)) {
        takeInterrupt(h, cpu, vector);
        idle = false;
      }
    if (!softirqs.length) continue;
    idle = false;
    for (let i = 0; i < softirqs.length; i++) {
      const d = domains[dpciSlot(softirqs.at(i))];
      const pirq = dpciPirq(softirqs.at(i));
      if (d.dpciScheduled[pirq]) assist(h, d, pirq);
    }
    softirqs.clear();
  }
}

/** arch/x86/irq.c: do_IRQ */
function takeInterrupt(h: Host, cpu: number, vector: number): void {
  const { irqs, apics } = h;
  const irq = h.vectors.irqOf(cpu, vector);
  h.trace?.({ kind: 'interrupt', vector, irq: Math.max(irq, -1) });
  if (irq < 0) {
    apics.eoi(cpu);
    return;
  }
  if (!hasEnd(h, irq)) apics.eoi(cpu);
  if (irqs.status[irq] & IRQ_STATUS.guest) {
    toGuests(h, cpu, irq, vector);
    return;
  }
  irqs.status[irq] |= IRQ_STATUS.pending;
  if (!hasEnd(h, irq)) return;
  // an EOI pays for the highest vector in service, so it waits for those above
  if (h.eoi.depth(cpu) && h.eoi.topVector(cpu) >= vector) h.eoi.insertReady(cpu, irq, vector);
  else apics.eoi(cpu);
  flushReadyEoi(h, cpu);
}

/** arch/x86/irq.c: do_IRQ_guest */
function toGuests(h: Host, cpu: number, irq: number, vector: number): void {
  const { irqs } = h;
  const owes = irqs.ackType[irq] !== ACK.none;
  if (irqs.ackType[irq] === ACK.eoi) {
    h.eoi.push(cpu, irq, vector);
    irqs.eoiCpus[irq] |= 1 << (cpu & 31);
  }
  for (let i = 0; i < irqs.guestCount[irq]; i++) {
    const d = h.domains[irqs.guest(irq, i)];
    const pirq = d.pirqOf(irq);
    if (owes) {
      if (!d.hasRecord(pirq))
        throw new HostFault('wild-pointer', `do_IRQ_guest: domain ${d.id} is a guest of irq ${irq} without a record`);
      if (!d.isMasked(pirq)) {
        d.setMasked(pirq, true);
        irqs.inFlight[irq]++;
      }
    }
    if (d.isHvm && d.dpciRoot && d.hasRecord(pirq) && d.dpciFlags[pirq] & DPCI.mapped) schedule(h, d, pirq);
    else sendGuestPirq(h, d, pirq);
  }
  if (owes) irqs.timerArmed[irq] = 1;
}

/** drivers/passthrough/x86/hvm.c: hvm_do_IRQ_dpci, raise_softirq_for */
function schedule(h: Host, d: Domain, pirq: number): void {
  d.dpciMasked[pirq] = 1;
  if (d.dpciScheduled[pirq]) return;
  d.dpciScheduled[pirq] = 1;
  h.softirqs.push(dpciWork(d.slot, pirq));
}

/** The softirq: to the event channel if the pirq is routed there, else to the virtual interrupt controllers. hvm_dirq_assist */
function assist(h: Host, d: Domain, pirq: number): void {
  d.dpciScheduled[pirq] = 0;
  if (!d.dpciMasked[pirq]) return;
  d.dpciMasked[pirq] = 0;
  const flags = d.dpciFlags[pirq];
  if (d.emuirqOf(pirq) !== IRQ_UNBOUND) {
    sendGuestPirq(h, d, pirq);
    if (flags & DPCI.guestMsi) return;
  }
  if (flags & DPCI.guestMsi) {
    const gflags = d.gflags[pirq];
    const mode = (gflags & GFLAGS.deliveryMode) >>> 12;
    const ret = deliverVirtual(h, d, d.gvec[pirq], gflags & GFLAGS.destId, (gflags & GFLAGS.destMode) !== 0, mode);
    if (ret) h.trace?.({ kind: 'dropped', domid: d.id, pirq, why: mode > 1 ? 'delivery-mode' : 'no-target' });
    return;
  }
  for (const { device, intx } of h.intx.links(d, pirq)) {
    assertIntx(h, d, device, intx);
    d.dpciPending[pirq]++;
  }
  if (flags & DPCI.translate) guestEoi(h, d, pirq);
}

/** An emulated device's line goes up. arch/x86/hvm/irq.c: __hvm_pci_intx_assert */
export function assertIntx(h: Host, d: Domain, device: number, intx: number): void {
  const line = device * 4 + intx;
  if (line >= 128 || d.intxAsserted[line >> 5] & (1 << (line & 31))) return;
  d.intxAsserted[line >> 5] |= 1 << (line & 31);
  assertGsi(h, d, intxGsi(device, intx));
}

/** arch/x86/hvm/irq.c: __hvm_pci_intx_deassert */
export function deassertIntx(d: Domain, device: number, intx: number): void {
  const line = device * 4 + intx;
  if (line >= 128 || !(d.intxAsserted[line >> 5] & (1 << (line & 31)))) return;
  d.intxAsserted[line >> 5] &= ~(1 << (line & 31));
  deassertGsi(d, intxGsi(device, intx));
}

/** One more source asserts an emulated GSI; the first one sends the pirq that the guest mapped it to, if any. */
export function assertGsi(h: Host, d: Domain, gsi: number): void {
  if (d.gsiAsserts[gsi]++ !== 0) return;
  const pirq = d.pirqOfEmuirq(gsi);
  if (pirq >= 0 && d.emuirqOf(pirq) !== IRQ_UNBOUND) sendGuestPirq(h, d, pirq);
}

export function deassertGsi(d: Domain, gsi: number): void {
  if (d.gsiAsserts[gsi] > 0) d.gsiAsserts[gsi]--;
}

/**
 * All armed 1 ms timers fire: interrupts that guests have not dealt with are taken as dealt with. The number of timers.
 * arch/x86/irq.c: irq_guest_eoi_timer_fn
 */
export function fireEoiTimers(h: Host): number {
  const { irqs } = h;
  let fired = 0;
  for (let irq = 0; irq < irqs.count; irq++) {
    if (!irqs.timerArmed[irq]) continue;
    irqs.timerArmed[irq] = 0;
    fired++;
    if (!irqs.hasGuests(irq) || irqs.inFlight[irq] === 0) continue;
    for (let i = 0; i < irqs.guestCount[irq]; i++) {
      const d = h.domains[irqs.guest(irq, i)];
      const pirq = d.irqPirq[irq] === ABSENT ? 0 : d.irqPirq[irq];
      if (!d.hasRecord(pirq))
        throw new HostFault('wild-pointer', `irq_guest_eoi_timer_fn: domain ${d.id} has no record for irq ${irq}`);
      if (d.isMasked(pirq)) {
        d.setMasked(pirq, false);
        irqs.inFlight[irq]--;
      }
    }
    setEoiReadyEverywhere(h, irq);
  }
  runHost(h);
  return fired;
}
