import { EVTCHN_FIFO, EVTCHN_FIFO_CONTROL_BLOCK, offsetOf } from '../xen/abi/index.ts';
import type { Task } from './access.ts';
import type { FifoMemory } from './guest.ts';
import { expandArray, initControl, unmaskPort } from './hypercalls.ts';
import { kernel, load, store, update } from './ops.ts';

/**
 * FIFO event channels as vCPU 0 uses them: a word a port, linked into a queue a priority. Linux
 * drivers/xen/events/events_fifo.c. The number of array pages and the heads of the queues are in the kernel's records.
 */
const PAGE = 4096;
const WORDS_PER_PAGE = PAGE / 4;
const READY = offsetOf(EVTCHN_FIFO_CONTROL_BLOCK, 'ready', 'x86-64');
const HEADS = offsetOf(EVTCHN_FIFO_CONTROL_BLOCK, 'head', 'x86-64');

const bit = (n: number) => (1 << n) >>> 0;
const PENDING = bit(EVTCHN_FIFO.pending);
const MASKED = bit(EVTCHN_FIFO.masked);
const LINKED = bit(EVTCHN_FIFO.linked);

const wordOf = (fifo: FifoMemory, port: number) => fifo.array + port * 4;

/** Switches the domain over: 0, or the hypervisor's error. xen_evtchn_fifo_init */
export function* startFifo(fifo: FifoMemory): Task<number> {
  return yield* initControl(fifo.controlBlock / PAGE, 0);
}

/** Makes sure that a port has its word, masked at first. 0 or a negative error. evtchn_fifo_setup */
export function* setupPortFifo(fifo: FifoMemory, port: number): Task<number> {
  const wanted = Math.floor(port / WORDS_PER_PAGE) + 1;
  for (let page = yield* kernel('fifo.pages', 0); page < wanted; page++) {
    const at = fifo.array + page * PAGE;
    for (let word = 0; word < WORDS_PER_PAGE; word++) yield* store(at + word * 4, MASKED);
    const rc = yield* expandArray(at / PAGE);
    if (rc < 0) return rc;
    yield* kernel('fifo.pages=', 0, page + 1);
  }
  return 0;
}

/** evtchn_fifo_clear_pending */
export function* clearEventFifo(fifo: FifoMemory, port: number): Task<void> {
  yield* update(wordOf(fifo, port), PENDING, 0);
}

/** evtchn_fifo_mask */
export function* maskEventFifo(fifo: FifoMemory, port: number): Task<void> {
  yield* update(wordOf(fifo, port), 0, MASKED);
}

/** An event that is pending already only the hypervisor can put into its queue. evtchn_fifo_unmask */
export function* unmaskEventFifo(fifo: FifoMemory, port: number): Task<void> {
  const word = yield* load(wordOf(fifo, port));
  if (!(word & MASKED)) return;
  if (word & PENDING) yield* unmaskPort(port);
  else yield* update(wordOf(fifo, port), MASKED, 0);
}

/** Takes every linked event, the most urgent queue first. __evtchn_fifo_handle_events, consume_one_event */
export function* handleEventsFifo(fifo: FifoMemory, handle: (port: number) => Task<void>): Task<void> {
  let ready = yield* takeReady(fifo);
  while (ready !== 0) {
    const priority = 31 - Math.clz32(ready & -ready);
    const port = (yield* kernel('fifo.head', priority)) || (yield* load(fifo.controlBlock + HEADS + 4 * priority));
    const word = yield* update(wordOf(fifo, port), (LINKED | fifo.linkMask) >>> 0, 0);
    const next = word & fifo.linkMask;
    if (next === 0) ready &= ~(1 << priority);
    if (word & PENDING && !(word & MASKED)) yield* handle(port);
    yield* kernel('fifo.head=', priority, next);
    ready |= yield* takeReady(fifo);
  }
}

function* takeReady(fifo: FifoMemory): Task<number> {
  return yield* update(fifo.controlBlock + READY, 0xffffffff, 0);
}
