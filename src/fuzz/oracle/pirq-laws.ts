import type { Domain, Hypervisor } from '../../xen/index.ts';
import { NO_DEVICE, type PirqBook } from './pirq-book.ts';

/** `dpciFlags` of a pirq that is connected with a message of the guest's. xen/include/xen/hvm/irq.h: HVM_IRQ_DPCI_MAPPED */
const BOUND = 0x4;

/**
 * What Xen has against what the book says it must have: pirqs and what they are mapped to, bindings, ports; that no host
 * irq and no vector serves two, and that none is in use without an owner.
 *
 * @param functions host addresses of the devices, in the book's order
 */
export function comparePirqs(
  hypervisor: Hypervisor,
  domain: Domain,
  book: PirqBook,
  functions: readonly number[],
): string | undefined {
  const { irqs, msis, devices, gsis, vectors } = hypervisor.host;
  const { pirqs, bound, ports } = book.state;
  const owners = new Map<number, number>();
  for (let pirq = 0; pirq < domain.records; pirq++) {
    const deed = pirqs.get(pirq);
    if (!deed && pirq < gsis) continue; // the host's own irqs
    const irq = domain.irqOf(pirq);
    const isWrong =
      deed?.state === 'mapped' ? irq <= 0 : deed?.state === 'reserved' ? irq !== -1 : deed ? irq > 0 : irq !== 0;
    if (isWrong) return `pirq: ${pirq} is ${deed?.state ?? 'free'} by what was asked, but has irq ${irq}`;
    if (domain.evtchn[pirq] !== (ports.get(pirq) ?? 0))
      return `port: pirq ${pirq} has port ${domain.evtchn[pirq]}, should have ${ports.get(pirq) ?? 0}`;
    if (((domain.dpciFlags[pirq] & BOUND) !== 0) !== bound.has(pirq))
      return `binding: pirq ${pirq} is ${bound.has(pirq) ? 'not ' : ''}bound, should ${bound.has(pirq) ? '' : 'not '}be`;
    if (deed?.state !== 'mapped') continue;
    if (owners.has(irq)) return `owner: pirqs ${owners.get(irq)} and ${pirq} have the same irq ${irq}`;
    if (deed.slot === NO_DEVICE) continue;
    owners.set(irq, pirq);
    const msi = irqs.msi[irq];
    const isMsi = deed.entry < 0;
    if (msi < 0 || devices.sbdf[msis.dev[msi]] !== functions[deed.slot])
      return `pirq: irq ${irq} of pirq ${pirq} is not of device ${deed.slot}`;
    if (!isMsi && msis.entry[msi] !== deed.entry)
      return `pirq: irq ${irq} of pirq ${pirq} is of entry ${msis.entry[msi]}, should be of ${deed.entry}`;
    if (vectors.irqOf(irqs.cpu[irq], irqs.vector[irq]) !== irq)
      return `vector: ${irqs.vector[irq]} of irq ${irq} leads to irq ${vectors.irqOf(irqs.cpu[irq], irqs.vector[irq])}`;
  }
  let inUse = 0;
  for (let irq = gsis; irq < irqs.count; irq++) if (irqs.used[irq] === 1) inUse++;
  if (inUse !== owners.size + book.state.ownerless)
    return `conservation: ${inUse} host irqs are in use, ${owners.size} are mapped and ${book.state.ownerless} without owner`;
  return comparePorts(domain, ports);
}

const STATE_PIRQ = 4;

function comparePorts(domain: Domain, ports: ReadonlyMap<number, number>): string | undefined {
  const { state, peer } = domain.ports;
  let count = 0;
  for (let port = 1; port < state.length; port++) if (state[port] === STATE_PIRQ) count++;
  for (const [pirq, port] of ports)
    if (state[port] !== STATE_PIRQ || peer[port] !== pirq) return `port: ${port} is not that of pirq ${pirq} any more`;
  if (count !== ports.size) return `conservation: ${count} ports are bound to pirqs, should be ${ports.size}`;
  return undefined;
}
