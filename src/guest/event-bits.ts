import { offsetOf, SHARED_INFO, sizeOf, VCPU_INFO } from '../xen/abi/index.ts';
import type { Task } from './access.ts';
import { clearEventFifo, maskEventFifo, unmaskEventFifo } from './event-fifo.ts';
import type { Guest } from './guest.ts';
import { unmaskPort } from './hypercalls.ts';
import { load, store, update } from './ops.ts';

/**
 * Events of a port, by FIFO event channels where the kernel uses them, else by two levels.
 *
 * The 2-level event channel bitmaps in shared_info, as a 64-bit guest on vCPU 0 uses them: a pending and a mask bit a
 * port, a selector bit for each 64 ports. 32 bits are accessed at a time. Linux drivers/xen/events/events_2l.c
 */
const PENDING = offsetOf(SHARED_INFO, 'evtchn_pending', 'x86-64');
const MASK = offsetOf(SHARED_INFO, 'evtchn_mask', 'x86-64');
const UPCALL_PENDING = offsetOf(VCPU_INFO, 'evtchn_upcall_pending', 'x86-64');
const SELECTOR = offsetOf(VCPU_INFO, 'evtchn_pending_sel', 'x86-64');

/** Bytes of shared_info that a guest touches: the memory a runner must provide. */
export const SHARED_INFO_BYTES = sizeOf(SHARED_INFO, 'x86-64');

const wordOf = (port: number) => (port >>> 5) * 4;
const bitOf = (port: number) => (1 << (port & 31)) >>> 0;

export function* clearEvent(guest: Guest, port: number): Task<void> {
  if (guest.fifo) return yield* clearEventFifo(guest.fifo, port);
  yield* update(guest.sharedInfo + PENDING + wordOf(port), bitOf(port), 0);
}

export function* maskEvent(guest: Guest, port: number): Task<void> {
  if (guest.fifo) return yield* maskEventFifo(guest.fifo, port);
  yield* update(guest.sharedInfo + MASK + wordOf(port), 0, bitOf(port));
}

/**
 * evtchn_2l_unmask: clears the mask bit; if an event is already pending it is the hypervisor that has to raise it, so
 * the bit is set again and the hypercall does both.
 */
export function* unmaskEvent(guest: Guest, port: number): Task<void> {
  if (guest.fifo) return yield* unmaskEventFifo(guest.fifo, port);
  const mask = guest.sharedInfo + MASK + wordOf(port);
  yield* update(mask, bitOf(port), 0);
  if (!((yield* load(guest.sharedInfo + PENDING + wordOf(port))) & bitOf(port))) return;
  yield* update(mask, 0, bitOf(port));
  yield* unmaskPort(port);
}

/** Every event masked, as the kernel does before it hands out the first port. xen_init_IRQ */
export function* maskAllEvents(guest: Guest, ports: number): Task<void> {
  for (let port = 0; port < ports; port += 32) yield* store(guest.sharedInfo + MASK + wordOf(port), 0xffffffff);
}

/** Clears the upcall flag of vCPU 0; true if it was set. */
export function* takeUpcall(guest: Guest): Task<boolean> {
  return ((yield* update(guest.sharedInfo + UPCALL_PENDING, 0xff, 0)) & 0xff) !== 0;
}

/** Ports with an event that is not masked, ascending, below the selected words; clears the selector. */
export function* takeSelector(guest: Guest): Task<number[]> {
  const selected: number[] = [];
  for (let half = 0; half < 2; half++) {
    const bits = yield* update(guest.sharedInfo + SELECTOR + half * 4, 0xffffffff, 0);
    for (let bit = 0; bit < 32; bit++) if ((bits >>> bit) & 1) selected.push(half * 32 + bit);
  }
  return selected;
}

/** Pending and unmasked ports of one selector word (64 ports), ascending. */
export function* activePorts(guest: Guest, word: number): Task<number[]> {
  const ports: number[] = [];
  for (let half = 0; half < 2; half++) {
    const at = word * 8 + half * 4;
    const pending = yield* load(guest.sharedInfo + PENDING + at);
    if (pending === 0) continue;
    const mask = yield* load(guest.sharedInfo + MASK + at);
    const active = pending & ~mask;
    for (let bit = 0; bit < 32; bit++) if ((active >>> bit) & 1) ports.push(word * 64 + half * 32 + bit);
  }
  return ports;
}
