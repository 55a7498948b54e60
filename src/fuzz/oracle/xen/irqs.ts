import { ERRNO } from '../../../xen/abi/index.ts';
import { signal } from './events.ts';
import { Dies, type NaiveDomain, type NaiveIrq, type NaiveXen, newIrq, Unclear } from './state.ts';

/* Host irqs, who handles them, and interrupts on their way: arch/x86/irq.c. */

/** irq.c: create_irq: the lowest unused one; access for the caller. −1 if there is none. */
export function createIrq(xen: NaiveXen, caller: NaiveDomain): number {
  for (let irq = xen.options.firstIrq; irq < xen.options.nrIrqs; irq++) {
    if (xen.irqs.has(irq)) continue;
    xen.irqs.set(irq, newIrq(caller.id));
    caller.access.add(irq);
    return irq;
  }
  return -1;
}

/** irq.c: destroy_irq. Whoever else was given access keeps it, to whatever the irq is next. */
export function destroyIrq(xen: NaiveXen, irq: number): void {
  const { creator } = xen.irqs.get(irq)!;
  xen.domain(creator)?.access.delete(irq);
  xen.irqs.delete(irq);
}

/** Interrupts of it are not over when they have been taken: plain messages without mask bits, and levels. */
function hasEnd(xen: NaiveXen, irq: number): boolean {
  const { message } = xen.irqs.get(irq) ?? newIrq(-1);
  if (irq < xen.options.gsis) return irq >= xen.options.levelFrom;
  return message !== undefined && !isMaskable(xen, message);
}

export function isMaskable(xen: NaiveXen, { sbdf, msix }: { sbdf: number; msix: boolean }): boolean {
  return msix || xen.options.devices.find((v) => v.sbdf === sbdf)!.maskable;
}

/** irq.c: pirq_guest_bind; the first guest starts the irq: a message is unmasked by Xen, and masked for the guest. */
export function joinIrq(xen: NaiveXen, d: NaiveDomain, pirq: number, share: boolean): number {
  const number = d.irqOf(pirq);
  if (number <= 0) return -ERRNO.EINVAL;
  const irq = xen.irqs.get(number);
  if (!irq) throw new Unclear('a mapping that a failed call left behind is bound');
  if (!irq.action) {
    irq.action = { share, guests: [], owesEoi: hasEnd(xen, number), inFlight: 0 };
    mask(xen, irq, false, true);
  } else if (!share || !irq.action.share) return -ERRNO.EBUSY;
  const limit = share ? xen.options.maxGuests : 1;
  if (irq.action.guests.length >= limit) return -ERRNO.EBUSY;
  irq.action.guests.push(d.id);
  return 0;
}

/** irq.c: __pirq_guest_unbind: what is owed is forgiven, the last guest stops the irq. */
export function leaveIrq(xen: NaiveXen, d: NaiveDomain, pirq: number): void {
  const number = d.irqOf(pirq);
  const irq = xen.irqs.get(number);
  if (!irq?.action) throw new Dies('unbound from an irq without guests');
  const { action } = irq;
  if (!action.guests.includes(d.id)) throw new Dies('unbound from an irq of others');
  action.guests.splice(action.guests.indexOf(d.id), 1);
  const record = d.record(pirq);
  if (action.owesEoi && record.masked) {
    record.masked = false;
    if (--action.inFlight === 0) settle(xen, number, irq);
  }
  if (record.masked) throw new Dies('unbound while masked');
  if (action.guests.length > 0) return;
  if (action.inFlight !== 0) throw new Dies('stopped in flight');
  mask(xen, irq, true, true);
  settle(xen, number, irq);
  irq.action = undefined;
}

/** Xen's and the guest's wish; a device without mask bits keeps sending. */
export function mask(xen: NaiveXen, irq: NaiveIrq, host: boolean, guest: boolean): void {
  if (!irq.message || !isMaskable(xen, irq.message)) return;
  irq.message.hostMasked = host;
  irq.message.guestMasked = guest;
}

/** irq.c: desc_guest_eoi. */
export function guestEoi(xen: NaiveXen, d: NaiveDomain, pirq: number): void {
  const number = d.irqOf(pirq);
  const irq = xen.irqs.get(number);
  const record = d.pirqs.get(pirq);
  if (number <= 0 || !irq?.action || !record?.masked) return;
  record.masked = false;
  if (--irq.action.inFlight === 0) settle(xen, number, irq);
}

/** irq.c: set_eoi_ready, flush_ready_eoi: nobody owes for the irq any more; EOIs are paid from the top. */
function settle(xen: NaiveXen, number: number, irq: NaiveIrq): void {
  if (irq.onStack && irq.action?.inFlight === 0) {
    irq.onStack = false;
    xen.eoiStack.findLast((e) => e.irq === number)!.ready = true;
  }
  while (xen.eoiStack.at(-1)?.ready) {
    const { irq: paid } = xen.eoiStack.pop()!;
    if (hasEnd(xen, paid)) xen.inService.pop();
  }
}

/** Requests are taken while they are of a higher class (vector / 16) than what is in service, the highest first. */
export function runHost(xen: NaiveXen): void {
  while (xen.requested.size > 0) {
    const vector = Math.max(...xen.requested);
    const serving = xen.inService.at(-1) ?? 0;
    if (vector >> 4 <= serving >> 4) return;
    xen.requested.delete(vector);
    take(xen, vector);
  }
}

/** irq.c: do_IRQ, do_IRQ_guest; drivers/passthrough/x86/hvm.c: hvm_do_IRQ_dpci. */
function take(xen: NaiveXen, vector: number): void {
  const found = [...xen.irqs].find(([irq]) => xen.vectorOf(irq) === vector);
  if (!found) return;
  const [number, irq] = found;
  if (!irq.action) return;
  if (hasEnd(xen, number)) xen.inService.push(vector);
  const { action } = irq;
  if (action.owesEoi) {
    xen.eoiStack.push({ irq: number, ready: false });
    irq.onStack = true;
  }
  const assists: (() => void)[] = [];
  for (const id of action.guests) {
    const d = xen.domain(id)!;
    const pirq = d.irqPirq.get(number) ?? 0;
    const record = d.pirqs.get(pirq);
    if (action.owesEoi) {
      if (!record) throw new Dies('interrupt for a guest without a record');
      if (!record.masked) {
        record.masked = true;
        action.inFlight++;
      }
    }
    if (d.hvm && record?.pt) assists.push(() => assist(d, pirq));
    else signal(d, pirq);
  }
  for (const run of assists) run();
}

/** drivers/passthrough/x86/hvm.c: hvm_dirq_assist: to the event channel if the pirq is routed there, else the virtual APIC. */
function assist(d: NaiveDomain, pirq: number): void {
  const { emuirq, pt } = d.record(pirq);
  if (emuirq !== -1) signal(d, pirq);
  else if (pt) deliverVirtual(d, pt.gvec, pt.gflags & 0xff, (pt.gflags >> 12) & 7);
}

/** arch/x86/hvm/vmsi.c: vmsi_deliver, physical destinations, one vCPU with id 0. Vectors below 16 are errors. */
export function deliverVirtual(d: NaiveDomain, vector: number, destination: number, mode: number): number {
  const matches = destination === 0 || destination === 0xff;
  if (mode > 1) return -ERRNO.EINVAL;
  if (matches && vector >= 16) d.irr.add(vector);
  return mode === 1 && !matches ? -ERRNO.ESRCH : 0;
}
