import type { Task } from './access.ts';
import { handleNvmeIrq } from './drivers/nvme-queue.ts';
import { activePorts, takeSelector, takeUpcall } from './event-bits.ts';
import { handleEventsFifo } from './event-fifo.ts';
import type { Guest } from './guest.ts';
import { eoiPirq } from './irq.ts';
import { IRQ_FLAG } from './irq-list.ts';
import { kernel } from './ops.ts';

/** An upcall that finds events again and again this often is a storm; the rest waits for the next upcall. */
const MAX_ROUNDS = 64;

/**
 * What a vCPU does when the hypervisor signals it: takes the selector, and every active port's irq in turn. Run by the
 * runner, to its end, when `evtchn_upcall_pending` of vCPU 0 is set. Linux drivers/xen/events/events_base.c
 * xen_evtchn_do_upcall, events_2l.c evtchn_2l_handle_events, events_fifo.c.
 *
 * Deviation: with two levels, always begins at the lowest port; Linux goes on where it stopped the last time.
 */
export function* handleUpcall(guest: Guest): Task<void> {
  for (let round = 0; round < MAX_ROUNDS && (yield* takeUpcall(guest)); round++)
    if (guest.fifo) yield* handleEventsFifo(guest.fifo, (port) => handlePort(guest, port));
    else yield* handleEvents2l(guest);
}

function* handleEvents2l(guest: Guest): Task<void> {
  for (const word of yield* takeSelector(guest))
    for (const port of yield* activePorts(guest, word)) yield* handlePort(guest, port);
}

function* handlePort(guest: Guest, port: number): Task<void> {
  const irq = yield* kernel('irq.fromPort', port);
  if (irq < 0) return;
  const isShareable = ((yield* kernel('irq.flags', irq)) & IRQ_FLAG.shareable) !== 0;
  if (!isShareable) yield* eoiPirq(guest, irq);
  yield* runHandlers(irq);
  if (isShareable) yield* eoiPirq(guest, irq);
}

/** What a CPU does on bare metal when `idtVector` arrives. */
export function* handleIdtVector(idtVector: number): Task<void> {
  const irq = yield* kernel('irq.fromIdtVector', idtVector);
  if (irq >= 0) yield* runHandlers(irq);
}

/** Runs the handlers requested on `irq`; each looks into its own queue. */
export function* runHandlers(irq: number): Task<void> {
  for (let k = 0; ; k++) {
    const bdf = yield* kernel('handler.bdf', irq, k);
    if (bdf < 0) return;
    const queue = yield* kernel('handler.queue', irq, k);
    yield* handleNvmeIrq(bdf, queue);
  }
}
