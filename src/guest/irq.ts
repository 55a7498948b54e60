import type { Task } from './access.ts';
import { EINVAL } from './errno.ts';
import { clearEvent, maskEvent, unmaskEvent } from './event-bits.ts';
import { setupPortFifo } from './event-fifo.ts';
import type { Guest } from './guest.ts';
import { bindPirq, closePort, eoi, pirqNeedsEoi } from './hypercalls.ts';
import { IRQ_FLAG, IRQ_TYPE } from './irq-list.ts';
import { MSI_MODE } from './irq-records.ts';
import { log } from './log.ts';
import { setMask } from './msi.ts';
import { ENTRY, ENTRY_MASKED, readEntry } from './msi-message.ts';
import { setVectorControl } from './msix.ts';
import { kernel } from './ops.ts';

/**
 * request_irq: queue `queue` of controller `bdf` handles `irq` from now on. The first handler starts the irq up. A
 * pirq that cannot be bound is no error here: the irq stays dead and only a log line tells.
 */
export function* requestIrq(guest: Guest, irq: number, bdf: number, queue: number): Task<number> {
  if (irq <= 0) return -EINVAL;
  const handlers = yield* kernel('handler.request', bdf, queue, irq);
  if (handlers === 1) yield* startup(guest, irq);
  return 0;
}

/** free_irq: the last handler shuts the irq down. Nothing if the queue has no irq. */
export function* freeIrq(guest: Guest, bdf: number, queue: number): Task<void> {
  const irq = yield* kernel('queue.irq', bdf, queue);
  if (irq === 0) return;
  const left = yield* kernel('handler.free', bdf, queue);
  if (left === 0) yield* shutdown(guest, irq);
}

/** Makes an irq deliver. */
export function* startup(guest: Guest, irq: number): Task<void> {
  const type = yield* kernel('irq.type', irq);
  if (type === IRQ_TYPE.apic) yield* setDeviceMask(guest, irq, false);
  if (type === IRQ_TYPE.pirq) yield* startupPirq(guest, irq);
}

function* shutdown(guest: Guest, irq: number): Task<void> {
  const type = yield* kernel('irq.type', irq);
  if (type === IRQ_TYPE.apic) yield* setDeviceMask(guest, irq, true);
  if (type === IRQ_TYPE.pirq) yield* shutdownPirq(guest, irq);
}

/** drivers/xen/events/events_base.c __startup_pirq, pirq_query_unmask */
function* startupPirq(guest: Guest, irq: number): Task<void> {
  let port = yield* kernel('irq.port', irq);
  if (port === 0) {
    const pirq = yield* kernel('irq.pirq', irq);
    const flags = yield* kernel('irq.flags', irq);
    port = yield* bindPirq(pirq, (flags & IRQ_FLAG.shareable) !== 0);
    if (port < 0) {
      yield* log('failedToObtain', irq);
      return;
    }
    const needsEoi = (yield* pirqNeedsEoi(pirq)) ? IRQ_FLAG.needsEoi : 0;
    yield* kernel('irq.flags=', irq, (flags & ~IRQ_FLAG.needsEoi) | needsEoi);
    yield* kernel('irq.bindPort', irq, port);
    if (guest.fifo && (yield* setupPortFifo(guest.fifo, port)) < 0) {
      yield* kernel('irq.bindPort', irq, 0);
      yield* closePort(port);
      yield* log('portNotSetUp', irq);
      return;
    }
  }
  yield* unmaskEvent(guest, port);
  yield* eoiPirq(guest, irq);
}

/** drivers/xen/events/events_base.c eoi_pirq: the acknowledgement of an edge irq, and the last act of start-up. */
export function* eoiPirq(guest: Guest, irq: number): Task<void> {
  const port = yield* kernel('irq.port', irq);
  if (port === 0) return;
  yield* clearEvent(guest, port);
  if (!((yield* kernel('irq.flags', irq)) & IRQ_FLAG.needsEoi)) return;
  const pirq = yield* kernel('irq.pirq', irq);
  if ((yield* eoi(pirq)) < 0) yield* log('eoiFailed', pirq);
}

/** drivers/xen/events/events_base.c shutdown_pirq: the port goes, what the device model has mapped stays. */
function* shutdownPirq(guest: Guest, irq: number): Task<void> {
  const port = yield* kernel('irq.port', irq);
  if (port === 0) return;
  yield* maskEvent(guest, port);
  yield* closePort(port);
  yield* kernel('irq.bindPort', irq, 0);
}

/** The chip of bare metal masks in the device itself. drivers/pci/msi.c unmask_msi_irq, mask_msi_irq */
function* setDeviceMask(guest: Guest, irq: number, masked: boolean): Task<void> {
  const bdf = yield* kernel('irq.bdf', irq);
  if ((yield* kernel('device.mode', bdf)) === MSI_MODE.msi) {
    yield* setMask(guest.profile, bdf, masked ? 0 : 1, masked ? 1 : 0);
    return;
  }
  const entry = yield* kernel('irq.entry', irq);
  const control = (yield* kernel('vector.ctrl', bdf, entry)) & ~ENTRY_MASKED;
  yield* setVectorControl(guest.profile, bdf, entry, masked ? control | ENTRY_MASKED : control);
  if (masked || guest.profile.msiEnableShape === 'old') yield* readEntry(bdf, 0, ENTRY.addressLo);
}
