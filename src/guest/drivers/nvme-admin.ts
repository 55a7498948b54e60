import type { Task } from '../access.ts';
import type { Guest } from '../guest.ts';
import { CONTROLLER_STATE } from '../irq-records.ts';
import { log } from '../log.ts';
import { kernel, readBar, writeBar } from '../ops.ts';
import { bufferMemory, type NvmeController, queueMemory, wantedIoQueues } from './nvme-layout.ts';
import { execute, initQueue } from './nvme-queue.ts';
import { CAP, CC, CNS_CONTROLLER, CSTS, command, NVME, OPCODE, setQueueCount } from './nvme-regs.ts';

/** Pause between two looks at CSTS, and the unit of CAP.TO. */
const READY_PAUSE_MS = 100;
const TIMEOUT_UNIT_MS = 500;
/** How long a shutdown may take. nvme shutdown_timeout */
const SHUTDOWN_LIMIT_MS = 5_000;

/** True unless the function has dropped off the bus. nvme_pci_enable, 4.4 and later */
export function* isPresent(guest: Guest, bdf: number): Task<boolean> {
  return !guest.profile.nvmeChecksStatus || (yield* readBar(bdf, 0, NVME.csts)) !== CSTS.gone;
}

/** True while the controller can still be talked to: there, ready, no fatal error. nvme_dev_disable */
export function* isAlive(bdf: number): Task<boolean> {
  const status = yield* readBar(bdf, 0, NVME.csts);
  return status !== CSTS.gone && (status & (CSTS.rdy | CSTS.cfs)) === CSTS.rdy;
}

/**
 * Resets the controller, gives it the admin queues and enables it; true if it got ready. nvme_configure_admin_queue,
 * nvme_disable_ctrl, nvme_enable_ctrl
 */
export function* enableController(guest: Guest, controller: NvmeController): Task<boolean> {
  const { bdf } = controller;
  const { profile } = guest;
  const { adminDepth = profile.nvmeAdminDepth, ioDepth = profile.nvmeIoDepth } = controller;
  const capLow = yield* readBar(bdf, 0, NVME.cap);
  const capHigh = yield* readBar(bdf, 0, NVME.cap + 4);
  yield* kernel('controller.stride=', bdf, 4 << (capHigh & CAP.dstrd));
  yield* kernel('controller.ioDepth=', bdf, Math.min((capLow & CAP.mqes) + 1, ioDepth));
  const limitMs = ((capLow >>> CAP.timeoutShift) + 1) * TIMEOUT_UNIT_MS;
  if (profile.nvmeChecksStatus) yield* clearSubsystemReset(bdf, capHigh);

  yield* writeBar(bdf, 0, NVME.cc, CC.off);
  if (!(yield* pollStatus(bdf, CSTS.rdy, 0, limitMs))) return false;
  const { sq, cq } = queueMemory(profile, controller, 0);
  yield* initQueue(bdf, 0, sq, cq, adminDepth);
  yield* writeBar(bdf, 0, NVME.aqa, (adminDepth - 1) | ((adminDepth - 1) << 16));
  yield* writeBar64(bdf, NVME.asq, sq);
  yield* writeBar64(bdf, NVME.acq, cq);
  if (profile.nvmeEnablesTwice) {
    yield* writeBar(bdf, 0, NVME.cc, CC.configured);
    yield* readBar(bdf, 0, NVME.cap);
    const high = yield* readBar(bdf, 0, NVME.cap + 4);
    if (high & CAP.crwms) yield* readBar(bdf, 0, NVME.crto);
  }
  yield* writeBar(bdf, 0, NVME.cc, CC.enabled);
  return yield* pollStatus(bdf, CSTS.rdy, CSTS.rdy, limitMs);
}

/** A normal shutdown. nvme_shutdown_ctrl */
export function* shutdownController(bdf: number): Task<void> {
  yield* writeBar(bdf, 0, NVME.cc, CC.shutdown);
  yield* pollStatus(bdf, CSTS.shst, CSTS.shutdownComplete, SHUTDOWN_LIMIT_MS);
}

/** Identify controller; false if no completion was found. */
export function* identify(guest: Guest, controller: NvmeController): Task<boolean> {
  const { identify: prp1 } = bufferMemory(guest.profile, controller);
  return (yield* execute(guest, controller.bdf, 0, command(OPCODE.identify, { prp1, cdw10: CNS_CONTROLLER }))) >= 0;
}

/**
 * Agrees on the number of I/O queues; false if no completion was found. A controller that grants none stays with its
 * admin queue. nvme_set_queue_count
 */
export function* negotiateQueues(guest: Guest, controller: NvmeController): Task<boolean> {
  const { bdf } = controller;
  const wanted = wantedIoQueues(guest.profile, controller.vectors);
  const status = yield* execute(guest, bdf, 0, setQueueCount(wanted));
  if (status < 0) return false;
  if (status > 0) {
    yield* log('noQueues');
    yield* kernel('controller.state=', bdf, CONTROLLER_STATE.partly);
    return true;
  }
  const result = yield* kernel('queue.result', bdf, 0);
  const granted = Math.min(result & 0xffff, result >>> 16) + 1;
  yield* kernel('controller.ioQueues=', bdf, Math.min(wanted, granted));
  return true;
}

function* clearSubsystemReset(bdf: number, capHigh: number): Task<void> {
  yield* readBar(bdf, 0, NVME.vs);
  if (!(capHigh & CAP.nssrs)) return;
  if ((yield* readBar(bdf, 0, NVME.csts)) & CSTS.nssro) yield* writeBar(bdf, 0, NVME.csts, CSTS.nssro);
}

/** Reads CSTS until the bits of `mask` equal `wanted`. */
function* pollStatus(bdf: number, mask: number, wanted: number, limitMs: number): Task<boolean> {
  for (let ms = 0; ; ms += READY_PAUSE_MS) {
    const status = yield* readBar(bdf, 0, NVME.csts);
    if (status !== CSTS.gone && (status & mask) === wanted) return true;
    if (status === CSTS.gone || ms >= limitMs) break;
    yield { op: 'delay', ms: READY_PAUSE_MS };
  }
  yield* log('notReady');
  return false;
}

function* writeBar64(bdf: number, offset: number, value: number): Task<void> {
  yield* writeBar(bdf, 0, offset, value >>> 0);
  yield* writeBar(bdf, 0, offset + 4, Math.floor(value / 2 ** 32));
}
