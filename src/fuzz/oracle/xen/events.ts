import { ERRNO } from '../../../xen/abi/index.ts';
import { joinIrq, leaveIrq } from './irqs.ts';
import { dropMapping, mapEmulated, unmapEmulated } from './mapping.ts';
import { Dies, type NaiveDomain, type NaiveXen } from './state.ts';

/* Event channels: common/event_channel.c, common/event_2l.c. */

export const STATE = { unbound: 1, interdomain: 2, pirq: 3, ipi: 5 } as const;
/** Ports come in blocks of so many; beyond the first there are none here. */
const PORTS = 64;

/** A port, or −errno. */
export type Port = number;

export function isPort(port: number): boolean {
  return port < PORTS;
}

function freePort(d: NaiveDomain): Port {
  for (let port = 1; port <= d.maxPort; port++) if (!d.ports.has(port)) return port;
  return -ERRNO.ENOSPC;
}

function open(d: NaiveDomain, port: Port, state: number, peer: number, peerPort = 0): Port {
  if (port > 0) d.ports.set(port, { state, peer, peerPort });
  return port;
}

/** The caller itself, or whoever manages the domain. */
export function mayTarget(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain): boolean {
  return caller === d || xen.manages(caller, d);
}

export function allocUnbound(xen: NaiveXen, caller: NaiveDomain, d: NaiveDomain, remote: number): Port {
  const port = freePort(d);
  if (port > 0 && !mayTarget(xen, caller, d)) return -ERRNO.EPERM;
  return open(d, port, STATE.unbound, remote);
}

export function bindInterdomain(d: NaiveDomain, remote: NaiveDomain, remotePort: number): Port {
  const port = freePort(d);
  if (port < 0) return port;
  const there = remote.ports.get(remotePort);
  if (there?.state !== STATE.unbound || there.peer !== d.id) return -ERRNO.EINVAL;
  open(remote, remotePort, STATE.interdomain, d.id, port);
  open(d, port, STATE.interdomain, remote.id, remotePort);
  setPending(d, port);
  return port;
}

export function bindIpi(d: NaiveDomain, vcpu: number): Port {
  return vcpu === 0 ? open(d, freePort(d), STATE.ipi, 0) : -ERRNO.ENOENT;
}

/** evtchn_bind_pirq. `pirq` unsigned. */
export function bindPirq(xen: NaiveXen, d: NaiveDomain, pirq: number, share: boolean): Port {
  if (pirq >= d.nrPirqs) return -ERRNO.EINVAL;
  const irq = d.irqOf(pirq);
  if (!d.hvm && !(irq > 0 && d.access.has(irq))) return -ERRNO.EPERM;
  if ((d.pirqs.get(pirq)?.evtchn ?? 0) !== 0) return -ERRNO.EEXIST;
  const port = freePort(d);
  if (port < 0) return port;
  if (!d.hvm) {
    const ret = joinIrq(xen, d, pirq, share);
    if (ret) return ret;
  }
  d.record(pirq).evtchn = port;
  if (irq > 0) {
    if (d.hvm) mapEmulated(xen, d, pirq, -2);
    const message = xen.irqs.get(irq)?.message;
    if (message) message.guestMasked = false;
  }
  return open(d, port, STATE.pirq, pirq);
}

/** evtchn_close; a deferred record of a PV domain is done with. The mask bit stays. */
export function close(xen: NaiveXen, d: NaiveDomain, port: number): number {
  const channel = d.ports.get(port);
  if (!channel) return -ERRNO.EINVAL;
  const { state, peer, peerPort } = channel;
  if (state === STATE.pirq) closePirq(xen, d, peer);
  if (state === STATE.interdomain) open(xen.domain(peer)!, peerPort, STATE.unbound, d.id);
  d.ports.delete(port);
  d.pending.delete(port);
  return 0;
}

function closePirq(xen: NaiveXen, d: NaiveDomain, pirq: number): void {
  if (!d.pirqs.has(pirq)) return;
  if (!d.hvm) {
    const irq = d.irqOf(pirq);
    if (irq === 0) throw new Dies('unbound from no irq');
    if (irq > 0) leaveIrq(xen, d, pirq);
    else {
      d.record(pirq).irq = 0;
      dropMapping(d, -irq);
    }
  }
  d.record(pirq).evtchn = 0;
  if (d.hvm && d.irqOf(pirq) > 0) unmapEmulated(d, pirq);
  d.tidy(pirq);
}

export function closeAll(xen: NaiveXen, d: NaiveDomain): void {
  for (const [port] of d.ports) close(xen, d, port);
}

export function send(xen: NaiveXen, d: NaiveDomain, port: number): number {
  const channel = d.ports.get(port);
  if (channel?.state === STATE.interdomain) setPending(xen.domain(channel.peer)!, channel.peerPort);
  else if (channel?.state === STATE.ipi) setPending(d, port);
  else if (channel?.state !== STATE.unbound) return -ERRNO.EINVAL;
  return 0;
}

/** evtchn_2l_set_pending: one bit after the other, until one was set already or the mask stops it. */
export function setPending(d: NaiveDomain, port: number): void {
  if (!d.ports.has(port) || d.pending.has(port)) return;
  d.pending.add(port);
  if (!d.masked.has(port)) select(d);
}

function select(d: NaiveDomain): void {
  if (d.selector) return;
  d.selector = true;
  d.upcall = true;
}

/** evtchn_2l_unmask. */
export function unmask(d: NaiveDomain, port: number): void {
  if (!d.ports.has(port) || !d.masked.has(port)) return;
  d.masked.delete(port);
  if (d.pending.has(port)) select(d);
}

/** send_guest_pirq: without an event channel an HVM domain loses the interrupt. */
export function signal(d: NaiveDomain, pirq: number): void {
  const port = d.pirqs.get(pirq)?.evtchn ?? 0;
  if (port !== 0) setPending(d, port);
  else if (!d.hvm) throw new Dies('interrupt of a PV domain without an event channel');
}
