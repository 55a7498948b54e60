import {
  BIND_PIRQ_WILL_SHARE,
  codec,
  DOMID_SELF,
  EVTCHN_BIND_PIRQ,
  EVTCHN_CLOSE,
  EVTCHN_EXPAND_ARRAY,
  EVTCHN_INIT_CONTROL,
  EVTCHN_UNMASK,
  EVTCHNOP,
  HYPERCALL,
  MAP_PIRQ_TYPE,
  PHYSDEV_EOI,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_IRQ_STATUS_QUERY,
  PHYSDEV_MAP_PIRQ,
  PHYSDEVOP,
  XENIRQSTAT,
} from '../xen/abi/index.ts';
import type { Task } from './access.ts';
import { hypercall } from './ops.ts';

/** The hypercalls that guest code makes, as functions: arguments in, −errno or the result out. 64-bit ABI. */

/** PHYSDEVOP_get_free_pirq for a message: the pirq, now reserved. */
export function* getFreePirq(): Task<number> {
  const struct = codec(PHYSDEV_GET_FREE_PIRQ);
  const bytes = struct.encode({ type: MAP_PIRQ_TYPE.msi });
  const answer = yield* hypercall(HYPERCALL.physdevOp, PHYSDEVOP.getFreePirq, bytes);
  return answer.ret < 0 ? answer.ret : struct.decode(answer.bytes).pirq;
}

/** PHYSDEVOP_map_pirq of a GSI for the caller itself: the pirq that the hypervisor chose. */
export function* mapGsi(gsi: number): Task<number> {
  const struct = codec(PHYSDEV_MAP_PIRQ);
  const bytes = struct.encode({ domid: DOMID_SELF, type: MAP_PIRQ_TYPE.gsi, index: gsi, pirq: -1 });
  const answer = yield* hypercall(HYPERCALL.physdevOp, PHYSDEVOP.mapPirq, bytes);
  return answer.ret < 0 ? answer.ret : struct.decode(answer.bytes).pirq;
}

/** PHYSDEVOP_irq_status_query: whether the pirq wants an EOI; an error means that it does not. */
export function* pirqNeedsEoi(pirq: number): Task<boolean> {
  const struct = codec(PHYSDEV_IRQ_STATUS_QUERY);
  const bytes = struct.encode({ irq: pirq });
  const answer = yield* hypercall(HYPERCALL.physdevOp, PHYSDEVOP.irqStatusQuery, bytes);
  return answer.ret >= 0 && (struct.decode(answer.bytes).flags & XENIRQSTAT.needsEoi) !== 0;
}

/** PHYSDEVOP_eoi. */
export function* eoi(pirq: number): Task<number> {
  const bytes = codec(PHYSDEV_EOI).encode({ irq: pirq });
  return (yield* hypercall(HYPERCALL.physdevOp, PHYSDEVOP.eoi, bytes)).ret;
}

/** EVTCHNOP_bind_pirq: the port. */
export function* bindPirq(pirq: number, willShare: boolean): Task<number> {
  const struct = codec(EVTCHN_BIND_PIRQ);
  const bytes = struct.encode({ pirq, flags: willShare ? BIND_PIRQ_WILL_SHARE : 0 });
  const answer = yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.bindPirq, bytes);
  return answer.ret < 0 ? answer.ret : struct.decode(answer.bytes).port;
}

/** EVTCHNOP_close. */
export function* closePort(port: number): Task<number> {
  const bytes = codec(EVTCHN_CLOSE).encode({ port });
  return (yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.close, bytes)).ret;
}

/** EVTCHNOP_unmask. */
export function* unmaskPort(port: number): Task<number> {
  const bytes = codec(EVTCHN_UNMASK).encode({ port });
  return (yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.unmask, bytes)).ret;
}

/** EVTCHNOP_init_control for a control block at the beginning of frame `gfn`. */
export function* initControl(gfn: number, vcpu: number): Task<number> {
  const bytes = codec(EVTCHN_INIT_CONTROL).encode({ control_gfn: BigInt(gfn), offset: 0, vcpu });
  return (yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.initControl, bytes)).ret;
}

/** EVTCHNOP_expand_array by the page in frame `gfn`. */
export function* expandArray(gfn: number): Task<number> {
  const bytes = codec(EVTCHN_EXPAND_ARRAY).encode({ array_gfn: BigInt(gfn) });
  return (yield* hypercall(HYPERCALL.eventChannelOp, EVTCHNOP.expandArray, bytes)).ret;
}
