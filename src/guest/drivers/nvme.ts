import type { Task } from '../access.ts';
import type { Guest } from '../guest.ts';
import { freeIrq, requestIrq } from '../irq.ts';
import { CONTROLLER_STATE, MSI_MODE, QUEUE_FLAG } from '../irq-records.ts';
import { allocIrqVectors, freeIrqVectors, irqVector } from '../irq-vectors.ts';
import { log } from '../log.ts';
import { groupStep, kernel } from '../ops.ts';
import { disableDevice, enableDevice } from '../pci-core.ts';
import { enableController, identify, isAlive, isPresent, negotiateQueues, shutdownController } from './nvme-admin.ts';
import { bufferMemory, type NvmeController, queueMemory, wantedIoQueues } from './nvme-layout.ts';
import { execute, initQueue } from './nvme-queue.ts';
import { command, createCq, createSq, OPCODE } from './nvme-regs.ts';

/**
 * The driver as phases, each the work of one coarse step. A phase may be run only if the one before it left the
 * controller `probing`; it takes all it needs from its arguments and the kernel's records, so that what happens after a
 * step depends on nothing else. `place` prefixes the names of its own steps.
 */
export type Phase = (guest: Guest, controller: NvmeController, place: string) => Task<void>;

/** Enables one vector (only without a pin, in some eras) and does the admin phase on it. */
export function* probeWithVector(guest: Guest, controller: NvmeController, place: string): Task<void> {
  const { bdf } = controller;
  if (!(yield* begin(guest, controller))) return;
  const skips = guest.profile.nvmePreEnable === 'without-intx' && (yield* kernel('device.intxIrq', bdf)) !== 0;
  if (!skips) {
    const vectors = yield* allocIrqVectors(guest.profile, bdf, 1, place);
    if (vectors < 0) return yield* noVectors(controller, vectors);
  }
  yield* groupStep(`${place}.controller`);
  yield* bringUp(guest, controller, place);
}

/** The admin phase on the pin, as in drivers that enable messages only once. */
export function* probeWithPin(guest: Guest, controller: NvmeController, place: string): Task<void> {
  if (yield* begin(guest, controller)) yield* bringUp(guest, controller, place);
}

/** Gives back what the admin phase interrupted on: its handler, then its vector, if it had one. */
export function* releaseAdminVector(guest: Guest, controller: NvmeController, place: string): Task<void> {
  yield* freeIrq(guest, controller.bdf, 0);
  yield* groupStep(`${place}.off`);
  yield* freeIrqVectors(guest.profile, controller.bdf, place);
}

/** Enables as many vectors as the I/O queues need. */
export function* enableVectors(guest: Guest, controller: NvmeController, place: string): Task<void> {
  const { bdf } = controller;
  const { nvmeOwnVectors } = guest.profile;
  yield* freeIrq(guest, bdf, 0);
  const ioQueues = yield* kernel('controller.ioQueues', bdf);
  const wanted = Math.min(Math.max(1, nvmeOwnVectors ? ioQueues + 1 : ioQueues), controller.vectors);
  const vectors = yield* allocIrqVectors(guest.profile, bdf, wanted, place);
  if (vectors < 0) return yield* noVectors(controller, vectors);
  const queues = nvmeOwnVectors ? Math.max(1, vectors - 1) : vectors;
  yield* kernel('controller.ioQueues=', bdf, Math.min(queues, yield* kernel('controller.ioQueues', bdf)));
}

/** Puts the admin queue's handler on vector 0. */
export function* startAdmin(guest: Guest, { bdf }: NvmeController): Task<void> {
  yield* requestIrq(guest, yield* irqVector(bdf, 0), bdf, 0);
}

/** Creates the I/O queues one by one, each with its handler, and ends the probe. nvme_create_io_queues */
export function* startQueues(guest: Guest, controller: NvmeController, place: string): Task<void> {
  const { bdf } = controller;
  for (let q = 1; q <= (yield* kernel('controller.ioQueues', bdf)); q++) {
    if (q > 1) yield* groupStep(`${place}.queue${q}`);
    const status = yield* createQueue(guest, controller, q);
    if (status < 0) return yield* giveUp(guest, controller, place);
    if (status > 0) yield* kernel('controller.ioQueues=', bdf, q - 1);
  }
  if (!guest.profile.nvmeIdentifyFirst) {
    yield* groupStep(`${place}.identify`);
    if (!(yield* identify(guest, controller))) return yield* giveUp(guest, controller, place);
  }
  if (controller.ioCheck)
    for (let q = 1; q <= (yield* kernel('controller.ioQueues', bdf)); q++) {
      yield* groupStep(`${place}.io${q}`);
      yield* readOneBlock(guest, controller, q);
    }
  yield* kernel('controller.state=', bdf, yield* outcome(bdf));
}

/**
 * nvme_remove: queues, handlers, controller, vectors, device, in whatever state the driver left them. A controller that
 * is dead gets no more commands. Linux drivers/nvme/host/pci.c nvme_dev_disable
 */
export function* remove(guest: Guest, controller: NvmeController, place: string): Task<void> {
  const { bdf } = controller;
  if ((yield* kernel('controller.state', bdf)) === CONTROLLER_STATE.unbound) return;
  const { nvmeFreesFirst } = guest.profile;
  const last = wantedIoQueues(guest.profile, controller.vectors);
  if (nvmeFreesFirst) {
    for (let q = last; q >= 1; q--) yield* freeIrq(guest, bdf, q);
    yield* groupStep(`${place}.queues`);
  }
  if (yield* isAlive(bdf))
    for (const opcode of [OPCODE.deleteSq, OPCODE.deleteCq])
      for (let q = last; q >= 1; q--) yield* deleteQueue(guest, bdf, q, opcode);
  yield* groupStep(`${place}.shutdown`);
  if (nvmeFreesFirst) yield* freeIrq(guest, bdf, 0);
  if (yield* isAlive(bdf)) yield* shutdownController(bdf);
  if (!nvmeFreesFirst) {
    yield* groupStep(`${place}.handlers`);
    for (let q = last; q >= 0; q--) yield* freeIrq(guest, bdf, q);
  }
  yield* groupStep(`${place}.off`);
  yield* freeIrqVectors(guest.profile, bdf, place);
  yield* groupStep(`${place}.device`);
  yield* disableDevice(bdf);
  yield* kernel('controller.reset', bdf);
}

function* begin(guest: Guest, { bdf }: NvmeController): Task<boolean> {
  yield* kernel('controller.reset', bdf);
  yield* kernel('controller.state=', bdf, CONTROLLER_STATE.probing);
  yield* enableDevice(bdf);
  if (yield* isPresent(guest, bdf)) return true;
  yield* kernel('controller.state=', bdf, CONTROLLER_STATE.failed);
  return false;
}

/** Controller on, admin handler, and the commands that the era sends before it sets up I/O queues. */
function* bringUp(guest: Guest, controller: NvmeController, place: string): Task<void> {
  const { bdf } = controller;
  if (!(yield* enableController(guest, controller))) {
    yield* kernel('controller.state=', bdf, CONTROLLER_STATE.failed);
    return;
  }
  yield* groupStep(`${place}.request`);
  yield* requestIrq(guest, yield* irqVector(bdf, 0), bdf, 0);
  yield* groupStep(`${place}.admin`);
  if (guest.profile.nvmeIdentifyFirst && !(yield* identify(guest, controller)))
    return yield* giveUp(guest, controller, place);
  if (!(yield* negotiateQueues(guest, controller))) yield* giveUp(guest, controller, place);
}

/** Both queues of a pair, then the handler; 0, an NVMe status, or −1 if no completion was found. */
function* createQueue(guest: Guest, controller: NvmeController, q: number): Task<number> {
  const { bdf } = controller;
  const { sq, cq } = queueMemory(guest.profile, controller, q);
  const depth = yield* kernel('controller.ioDepth', bdf);
  const isMessage = (yield* kernel('device.mode', bdf)) !== MSI_MODE.none;
  const vectors = isMessage ? yield* kernel('device.vectors', bdf) : 1;
  const vector = vectors === 1 ? 0 : guest.profile.nvmeOwnVectors ? q : q - 1;
  yield* initQueue(bdf, q, sq, cq, depth);
  const cqStatus = yield* execute(guest, bdf, 0, createCq(q, depth, cq, vector));
  if (cqStatus !== 0) return cqStatus;
  const sqStatus = yield* execute(guest, bdf, 0, createSq(q, depth, sq));
  if (sqStatus !== 0) return sqStatus;
  yield* kernel('queue.flag', bdf, q, QUEUE_FLAG.created);
  yield* requestIrq(guest, yield* irqVector(bdf, vector), bdf, q);
  return 0;
}

/** Reads one block by I/O queue `q`: 0, an NVMe status, or −1 if no completion was found. */
export function* readOneBlock(guest: Guest, controller: NvmeController, q: number): Task<number> {
  const { data } = bufferMemory(guest.profile, controller);
  return yield* execute(guest, controller.bdf, q, command(OPCODE.read, { nsid: 1, prp1: data }));
}

/** A delete command, if the queue exists and the admin queue still answers. */
function* deleteQueue(guest: Guest, bdf: number, q: number, opcode: number): Task<void> {
  if (!((yield* kernel('queue.flags', bdf, q)) & QUEUE_FLAG.created)) return;
  if ((yield* kernel('queue.flags', bdf, 0)) & QUEUE_FLAG.dead) return;
  yield* execute(guest, bdf, 0, command(opcode, { cdw10: q }));
}

/** How a probe that came to its end is to be called. */
function* outcome(bdf: number): Task<number> {
  const ioQueues = yield* kernel('controller.ioQueues', bdf);
  for (let q = 1; q <= ioQueues; q++)
    if ((yield* kernel('queue.flags', bdf, q)) & QUEUE_FLAG.dead) return CONTROLLER_STATE.partly;
  return (yield* kernel('controller.missed', bdf)) ? CONTROLLER_STATE.slow : CONTROLLER_STATE.up;
}

function* noVectors({ bdf }: NvmeController, error: number): Task<void> {
  yield* log('noIrqs', error);
  yield* kernel('controller.state=', bdf, CONTROLLER_STATE.failed);
}

/** The end of a controller whose admin queue has gone dead. */
function* giveUp(guest: Guest, controller: NvmeController, place: string): Task<void> {
  if (controller.onTimeout === 'teardown') {
    yield* groupStep(`${place}.giveup`);
    yield* remove(guest, controller, `${place}.giveup`);
  }
  yield* kernel('controller.state=', controller.bdf, CONTROLLER_STATE.failed);
}
