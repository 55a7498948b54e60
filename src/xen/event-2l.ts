import { codec, SHARED_INFO, VCPU_INFO } from './abi/index.ts';
import type { Domain } from './domain.ts';

const LAYOUTS = {
  'x86-64': layout('x86-64'),
  compat: layout('compat'),
};

function layout(abi: 'x86-64' | 'compat') {
  const page = codec(SHARED_INFO, abi).at;
  return {
    pending: page.evtchn_pending,
    mask: page.evtchn_mask,
    selector: codec(VCPU_INFO, abi).at.evtchn_pending_sel,
    /** log2 of a word's bits. */
    shift: abi === 'x86-64' ? 6 : 5,
  };
}

const VCPU_INFO_SIZE = 64;

/** What making an event pending did. */
export const PENDING = { already: 0, masked: 1, set: 2, upcall: 3 } as const;

function testAndSet(bytes: Uint8Array, base: number, bit: number): boolean {
  const at = base + (bit >> 3);
  const old = bytes[at];
  bytes[at] = old | (1 << (bit & 7));
  return (old & (1 << (bit & 7))) !== 0;
}

function test(bytes: Uint8Array, base: number, bit: number): boolean {
  return (bytes[base + (bit >> 3)] & (1 << (bit & 7))) !== 0;
}

function clear(bytes: Uint8Array, base: number, bit: number): void {
  bytes[base + (bit >> 3)] &= ~(1 << (bit & 7));
}

/** Pending, mask, selector and upcall bits in the order that Xen touches them. common/event_2l.c: evtchn_2l_set_pending */
export function setPending2l(d: Domain, port: number, vcpu: number): number {
  const { pending, mask } = LAYOUTS[d.abi];
  if (testAndSet(d.sharedInfo, pending, port)) return PENDING.already;
  if (test(d.sharedInfo, mask, port)) return PENDING.masked;
  return raiseSelector(d, port, vcpu);
}

/** common/event_2l.c: evtchn_2l_unmask */
export function unmask2l(d: Domain, port: number, vcpu: number): number {
  const { pending, mask } = LAYOUTS[d.abi];
  if (!test(d.sharedInfo, mask, port)) return PENDING.already;
  clear(d.sharedInfo, mask, port);
  return test(d.sharedInfo, pending, port) ? raiseSelector(d, port, vcpu) : PENDING.masked;
}

/** Sets the vCPU's upcall flag; true if it was clear, so that the vCPU must be told. vcpu_mark_events_pending */
export function markUpcall(d: Domain, vcpu: number): boolean {
  return !testAndSet(d.sharedInfo, vcpu * VCPU_INFO_SIZE, 0);
}

function raiseSelector(d: Domain, port: number, vcpu: number): number {
  const { selector, shift } = LAYOUTS[d.abi];
  const info = vcpu * VCPU_INFO_SIZE;
  if (testAndSet(d.sharedInfo, info + selector, port >> shift)) return PENDING.set;
  return markUpcall(d, vcpu) ? PENDING.upcall : PENDING.set;
}

/** The mask bit stays as it is. common/event_2l.c: evtchn_2l_clear_pending */
export function clearPending2l(d: Domain, port: number): void {
  clear(d.sharedInfo, LAYOUTS[d.abi].pending, port);
}

export function isPending2l(d: Domain, port: number): boolean {
  return test(d.sharedInfo, LAYOUTS[d.abi].pending, port);
}

export function isMasked2l(d: Domain, port: number): boolean {
  return test(d.sharedInfo, LAYOUTS[d.abi].mask, port);
}

/** Selector word of a vCPU, unsigned, and its upcall flag. */
export function vcpuEvents(d: Domain, vcpu: number): { selector: bigint; upcall: number } {
  const info = codec(VCPU_INFO, d.abi).decode(d.sharedInfo, vcpu * VCPU_INFO_SIZE);
  return { selector: info.evtchn_pending_sel, upcall: info.evtchn_upcall_pending };
}
