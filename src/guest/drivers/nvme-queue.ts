import { type Task, WAIT } from '../access.ts';
import type { Guest } from '../guest.ts';
import { MSI_MODE, QUEUE_FLAG } from '../irq-records.ts';
import { log } from '../log.ts';
import { kernel, load, store, writeBar } from '../ops.ts';
import { CQ_ENTRY_BYTES, NVME, SQ_ENTRY_BYTES } from './nvme-regs.ts';

/** §3.1: admin commands, I/O commands; the polling thread looks every second. */
const ADMIN_TIMEOUT_MS = 60_000;
const IO_TIMEOUT_MS = 30_000;
const POLL_THREAD_MS = 1_000;
/** Queues begin at pages, and their frames are what fits a record's word. */
const PAGE = 4096;
/** Pause between two looks into a queue where there are no interrupts at all. */
const POLL_PAUSE_MS = 1;

/** Empties a queue pair and remembers where it is. Only the word with the phase bit of an entry needs to be cleared. */
export function* initQueue(bdf: number, queue: number, sq: number, cq: number, depth: number): Task<void> {
  for (let entry = 0; entry < depth; entry++) yield* store(cq + entry * CQ_ENTRY_BYTES + 12, 0);
  yield* kernel('queue.sqFrame=', bdf, queue, sq / PAGE);
  yield* kernel('queue.cqFrame=', bdf, queue, cq / PAGE);
  yield* kernel('queue.depth=', bdf, queue, depth);
  yield* kernel('queue.tail=', bdf, queue, 0);
  yield* kernel('queue.head=', bdf, queue, 0);
  yield* kernel('queue.phase=', bdf, queue, 1);
  yield* kernel('queue.busy=', bdf, queue, 0);
  yield* kernel('queue.flags=', bdf, queue, 0);
}

/**
 * Submits one command and waits for it as this kernel's driver does. Answers the NVMe status field without the phase
 * bit, 0 for success, or −1 if no completion was found; `queue.result` then holds the command's own result.
 */
export function* execute(guest: Guest, bdf: number, queue: number, command: readonly number[]): Task<number> {
  yield* submit(bdf, queue, command);
  return (yield* awaitCompletion(guest, bdf, queue)) ? yield* kernel('queue.status', bdf, queue) : -1;
}

/** nvme_submit_cmd: the entry, then the tail doorbell. */
function* submit(bdf: number, queue: number, command: readonly number[]): Task<void> {
  const slot = yield* kernel('queue.submit', bdf, queue);
  const entry = (yield* kernel('queue.sqFrame', bdf, queue)) * PAGE + slot * SQ_ENTRY_BYTES;
  for (let word = 0; word < command.length; word++)
    yield* store(entry + word * 4, word === 0 ? command[0] | (slot << 16) : command[word]);
  yield* ringDoorbell(bdf, 2 * queue, yield* kernel('queue.tail', bdf, queue));
}

/** True once the command is done, by interrupt or found by a look; false if the driver sees no way to learn of it. */
function* awaitCompletion(guest: Guest, bdf: number, queue: number): Task<boolean> {
  const { nvmePollThread, nvmeTimeoutPolls } = guest.profile;
  const limitMs = queue === 0 ? ADMIN_TIMEOUT_MS : IO_TIMEOUT_MS;
  const timeoutMs = nvmePollThread ? POLL_THREAD_MS : limitMs;
  const outcome = (yield { op: 'wait', bdf, queue, timeoutMs }) as number;
  if (outcome === WAIT.interrupted) return true;
  if (outcome === WAIT.polled) return yield* pollUntilDone(bdf, queue, limitMs);
  if ((nvmePollThread || nvmeTimeoutPolls) && (yield* reap(bdf, queue)) > 0) {
    yield* kernel('queue.flag', bdf, queue, QUEUE_FLAG.polled);
    yield* log(nvmePollThread ? 'threadPolled' : 'completionPolled', queue);
    // A pin without a handler is not what makes a controller slow later on.
    if ((yield* kernel('device.mode', bdf)) !== MSI_MODE.none) yield* kernel('controller.missed=', bdf, 1);
    return true;
  }
  yield* kernel('queue.flag', bdf, queue, QUEUE_FLAG.dead);
  yield* log(queue === 0 ? 'timeoutDisable' : 'ioTimeout', queue);
  return false;
}

function* pollUntilDone(bdf: number, queue: number, limitMs: number): Task<boolean> {
  for (let ms = 0; ms < limitMs; ms += POLL_PAUSE_MS) {
    if ((yield* reap(bdf, queue)) > 0) return true;
    yield { op: 'delay', ms: POLL_PAUSE_MS };
  }
  return false;
}

/** The interrupt handler of a queue (nvme_irq): takes what has completed, or finds that the interrupt was not for it. */
export function* handleNvmeIrq(bdf: number, queue: number): Task<void> {
  const found = yield* reap(bdf, queue);
  yield* kernel('queue.flag', bdf, queue, found > 0 ? QUEUE_FLAG.interrupted : QUEUE_FLAG.spurious);
}

/** Takes all new completion entries and tells the device by the head doorbell; answers how many. nvme_process_cq */
function* reap(bdf: number, queue: number): Task<number> {
  const depth = yield* kernel('queue.depth', bdf, queue);
  if (depth === 0) return 0;
  const cq = (yield* kernel('queue.cqFrame', bdf, queue)) * PAGE;
  let head = yield* kernel('queue.head', bdf, queue);
  let phase = yield* kernel('queue.phase', bdf, queue);
  let found = 0;
  for (; found < depth; found++) {
    const entry = cq + head * CQ_ENTRY_BYTES;
    const status = (yield* load(entry + 12)) >>> 16;
    if ((status & 1) !== phase) break;
    yield* kernel('queue.complete', bdf, queue, status >>> 1, yield* load(entry));
    head = (head + 1) % depth;
    if (head === 0) phase ^= 1;
  }
  if (found === 0) return 0;
  yield* kernel('queue.head=', bdf, queue, head);
  yield* kernel('queue.phase=', bdf, queue, phase);
  yield* ringDoorbell(bdf, 2 * queue + 1, head);
  return found;
}

function* ringDoorbell(bdf: number, index: number, value: number): Task<void> {
  const stride = yield* kernel('controller.stride', bdf);
  yield* writeBar(bdf, 0, NVME.doorbells + index * stride, value);
}
