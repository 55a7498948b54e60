import type { Domain } from './domain.ts';
import { clearPending2l, isMasked2l, isPending2l, PENDING, setPending2l, unmask2l } from './event-2l.ts';
import { clearPendingFifo, type FifoState, fifoBits, setPendingFifo, unmaskFifo } from './event-fifo.ts';
import type { Host } from './host.ts';

/** The FIFO state of a domain that uses it. */
function fifoOf(d: Domain): FifoState | undefined {
  return d.fifo?.enabled ? d.fifo : undefined;
}

/** Tells of what an event did. */
function notify(h: Host, d: Domain, port: number, outcome: number): void {
  if (outcome !== PENDING.already) h.trace?.({ kind: 'event', domid: d.id, port, upcall: outcome === PENDING.upcall });
}

/** Makes an event pending on the port's vCPU; nothing happens on a port that is not in use. */
export function setPending(h: Host, d: Domain, port: number): void {
  if (!d.ports.isUsable(port)) return;
  const fifo = fifoOf(d);
  const vcpu = d.ports.vcpu[port];
  notify(h, d, port, fifo ? setPendingFifo(d, fifo, port, vcpu) : setPending2l(d, port, vcpu));
}

export function unmaskPort(h: Host, d: Domain, port: number): void {
  const fifo = fifoOf(d);
  const vcpu = d.ports.vcpu[port];
  const outcome = fifo ? unmaskFifo(d, fifo, port, vcpu) : unmask2l(d, port, vcpu);
  if (outcome === PENDING.upcall) notify(h, d, port, outcome);
}

export function clearPending(d: Domain, port: number): void {
  const fifo = fifoOf(d);
  if (fifo) clearPendingFifo(d, fifo, port);
  else clearPending2l(d, port);
}

export function isPending(d: Domain, port: number): boolean {
  const fifo = fifoOf(d);
  return fifo ? fifoBits(d, fifo, port).pending : isPending2l(d, port);
}

/** The mask bit as the guest set it. */
export function hasMaskBit(d: Domain, port: number): boolean {
  const fifo = fifoOf(d);
  return fifo ? fifoBits(d, fifo, port).masked : isMasked2l(d, port);
}

/** A port that is not in use counts as masked. include/xen/event.h: evtchn_is_masked */
export function isMasked(d: Domain, port: number): boolean {
  return !d.ports.isUsable(port) || hasMaskBit(d, port);
}

/** A closed port that is still on a FIFO queue cannot be handed out. */
export function isBusy(d: Domain, port: number): boolean {
  const fifo = fifoOf(d);
  return fifo !== undefined && fifoBits(d, fifo, port).linked;
}
