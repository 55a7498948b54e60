import type { Domain } from './domain.ts';
import { clearPending2l, isMasked2l, PENDING, setPending2l, unmask2l } from './event-2l.ts';
import type { Host } from './host.ts';

/** Tells of what an event did. */
function notify(h: Host, d: Domain, port: number, outcome: number): void {
  if (outcome !== PENDING.already) h.trace?.({ kind: 'event', domid: d.id, port, upcall: outcome === PENDING.upcall });
}

/** Makes an event pending on the port's vCPU; nothing happens on a port that is not in use. */
export function setPending(h: Host, d: Domain, port: number): void {
  if (!d.ports.isUsable(port)) return;
  notify(h, d, port, setPending2l(d, port, d.ports.vcpu[port]));
}

export function unmaskPort(h: Host, d: Domain, port: number): void {
  const outcome = unmask2l(d, port, d.ports.vcpu[port]);
  if (outcome === PENDING.upcall) notify(h, d, port, outcome);
}

export function clearPending(d: Domain, port: number): void {
  clearPending2l(d, port);
}

/** A port that is not in use counts as masked. include/xen/event.h: evtchn_is_masked */
export function isMasked(d: Domain, port: number): boolean {
  return !d.ports.isUsable(port) || isMasked2l(d, port);
}

/** A closed port that cannot be handed out yet; only FIFO event channels have such. */
export function isBusy(_d: Domain, _port: number): boolean {
  return false;
}
