import { ABSENT, type Domain } from '../../../xen/domain.ts';
import { type Hypervisor, isPassthroughBound } from '../../../xen/index.ts';
import type { Bits } from '../../oracle/xen/collections.ts';
import type { NaiveDomain, NaivePirq, NaiveXen } from '../../oracle/xen/state.ts';
import { NR_IRQS } from './host.ts';

const NOTHING: NaivePirq = { irq: 0, evtchn: 0, emuirq: -1, masked: false, pt: undefined };

/** All records, ports and event bits, access rights and irqs of model and naive model. @returns the law that is broken */
export function compare(xen: Hypervisor, naive: NaiveXen): string | undefined {
  for (const [slot, want] of naive.domains.entries()) {
    const d = xen.host.domains[slot];
    const broken = comparePirqs(d, want) ?? compareIrqs(d, want) ?? comparePorts(d, want) ?? compareApic(d, want);
    if (broken) return broken;
  }
  return compareHost(xen, naive);
}

function comparePirqs(d: Domain, want: NaiveDomain): string | undefined {
  const { slots } = want.pirqs;
  for (let pirq = 0; pirq < d.records; pirq++) {
    const w = (pirq < slots.length ? slots[pirq] : undefined) ?? NOTHING;
    const there = d.hasRecord(pirq);
    if (there ? agrees(d, pirq, w) : w === NOTHING) continue;
    const is = there ? recordOf(d, pirq) : NOTHING;
    if (tell(is) !== tell(w)) return `pirq: ${pirq} of domain ${d.id} has ${tell(is)}; should have ${tell(w)}`;
  }
  return undefined;
}

function agrees(d: Domain, pirq: number, { irq, evtchn, masked, emuirq, pt }: NaivePirq): boolean {
  if (d.irqOf(pirq) !== irq || d.evtchn[pirq] !== evtchn || d.isMasked(pirq) !== masked) return false;
  if (!d.isHvm) return true;
  if (d.emuirq[pirq] !== emuirq) return false;
  return pt ? d.gvec[pirq] === pt.gvec && d.gflags[pirq] === pt.gflags : d.dpciFlags[pirq] === 0;
}

function recordOf(d: Domain, pirq: number): NaivePirq {
  return {
    irq: d.irqOf(pirq),
    evtchn: d.evtchn[pirq],
    masked: d.isMasked(pirq),
    emuirq: d.isHvm ? d.emuirq[pirq] : -1,
    pt: isPassthroughBound(d, pirq) ? { gvec: d.gvec[pirq], gflags: d.gflags[pirq] } : undefined,
  };
}

const tell = ({ irq, evtchn, emuirq, masked, pt }: NaivePirq) =>
  `irq ${irq}, port ${evtchn}, emuirq ${emuirq}${masked ? ', owes an EOI' : ''}${pt ? `, is passed through as vector ${pt.gvec} with flags ${pt.gflags}` : ''}`;

function compareIrqs(d: Domain, want: NaiveDomain): string | undefined {
  for (let irq = 0; irq < NR_IRQS; irq++) {
    const may = d.irqCaps[irq] !== 0;
    if (may !== want.access.has(irq))
      return `access: of domain ${d.id} to irq ${irq} is ${may ? 'granted' : 'missing'}, should ${may ? 'not ' : ''}be`;
    const slot = d.irqPirq[irq] === ABSENT ? 0 : d.irqPirq[irq];
    const wanted = want.irqPirq.get(irq) ?? 0;
    if (slot !== wanted) return `irq: ${irq} of domain ${d.id} leads to pirq ${slot}, should to ${wanted}`;
  }
  return undefined;
}

function comparePorts(d: Domain, want: NaiveDomain): string | undefined {
  const page = d.sharedInfo;
  for (let port = 1; port < 16; port++) {
    const state = Math.max(0, d.ports.state[port] - 1);
    const w = want.ports.get(port);
    if (state !== (w?.state ?? 0))
      return `port: ${port} of domain ${d.id} has state ${state}, should have ${w?.state ?? 0}`;
    if (w && w.state < 4 && d.ports.peer[port] !== w.peer)
      return `port: ${port} of domain ${d.id} is of ${d.ports.peer[port]}, should be of ${w.peer}`;
  }
  return (
    compareBits(d.id, 'pending', page[PENDING_AT] | (page[PENDING_AT + 1] << 8), want.pending) ??
    compareBits(d.id, 'masked', page[MASK_AT] | (page[MASK_AT + 1] << 8), want.masked) ??
    compareFlag(d.id, 'selector bit', page[SELECTOR_AT], want.selector) ??
    compareFlag(d.id, 'upcall flag', page[UPCALL_AT], want.upcall)
  );
}

function compareBits(domid: number, name: string, is: number, want: Bits): string | undefined {
  const difference = is ^ (want.words[0] & 0xffff);
  if (difference === 0) return undefined;
  const port = 31 - Math.clz32(difference & -difference);
  const not = (want.words[0] >>> port) & 1 ? ['not ', ''] : ['', 'not '];
  return `event: port ${port} of domain ${domid} is ${not[0]}${name}, should ${not[1]}be`;
}

function compareFlag(domid: number, name: string, is: number, want: boolean): string | undefined {
  return (is !== 0) === want ? undefined : `event: ${name} of domain ${domid} is ${want ? 'not ' : ''}set`;
}

function compareApic(d: Domain, want: NaiveDomain): string | undefined {
  if (!d.isHvm) return undefined;
  for (let word = 0; word < 8; word++) {
    const difference = d.virtualIrr[word] ^ want.irr.words[word];
    if (difference === 0) continue;
    const vector = 32 * word + 31 - Math.clz32(difference & -difference);
    const is = !want.irr.has(vector);
    return `vector: ${vector} of domain ${d.id} is ${is ? '' : 'not '}requested, should ${is ? 'not ' : ''}be`;
  }
  return undefined;
}

function compareHost({ host }: Hypervisor, naive: NaiveXen): string | undefined {
  const { irqs } = host;
  for (let irq = 1; irq < NR_IRQS; irq++) {
    const want = naive.irqs.get(irq);
    const guests = irqs.hasGuests(irq) ? irqs.guestCount[irq] : 0;
    const wanted = want?.action?.guests.length ?? 0;
    if (guests !== wanted) return `irq: ${irq} has ${guests} guests, should have ${wanted}`;
  }
  return undefined;
}

/** In the shared page of a 64-bit domain. */
export const UPCALL_AT = 0;
export const SELECTOR_AT = 8;
export const PENDING_AT = 2048;
export const MASK_AT = 2560;
