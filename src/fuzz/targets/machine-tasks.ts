import type { Task } from '../../guest/index.ts';
import { freeIrq, requestIrq } from '../../guest/irq.ts';
import { allocIrqVectors, freeIrqVectors, irqVector } from '../../guest/irq-vectors.ts';
import { hypercall, writeConfig } from '../../guest/ops.ts';
import type { Machine } from '../../lab/machine.ts';
import {
  codec,
  DOMID_SELF,
  EVTCHN_ALLOC_UNBOUND,
  EVTCHNOP,
  HYPERCALL,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
} from '../../xen/abi/index.ts';

/** Vectors without a driver: a handler, that of a queue of the same number, on each. */
export function* enable({ guest, slots }: Machine, slot: number, count: number): Task<void> {
  const { guestBdf } = slots[slot];
  yield* writeConfig(guestBdf, 4, 2, 0x0006);
  const vectors = yield* allocIrqVectors(guest.profile, guestBdf, count, 'e');
  for (let v = 0; v < vectors; v++) yield* requestIrq(guest, yield* irqVector(guestBdf, v), guestBdf, v);
}

/** Gives back what {@link enable} took. */
export function* disable({ guest, slots, options }: Machine, slot: number): Task<void> {
  const { guestBdf } = slots[slot];
  for (let v = 0; v < options.vectors; v++) yield* freeIrq(guest, guestBdf, v);
  yield* freeIrqVectors(guest.profile, guestBdf, 'd');
}

/** A port of another kind than pirqs have. */
export function* takePort(): Task<void> {
  const bytes = codec(EVTCHN_ALLOC_UNBOUND).encode({ dom: DOMID_SELF, remote_dom: 0 });
  yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.allocUnbound, bytes);
}

/** PHYSDEVOP_unmap_pirq of the guest itself. */
export function* unmapPirq(pirq: number): Task<void> {
  const bytes = codec(PHYSDEV_UNMAP_PIRQ).encode({ domid: DOMID_SELF, pirq });
  yield* hypercall(HYPERCALL.physdevOp, PHYSDEVOP.unmapPirq, bytes);
}
