import type { Arena } from '../core/index.ts';
import { ERRNO, EVTCHN_FIFO, EVTCHN_FIFO_CONTROL_BLOCK } from './abi/index.ts';
import type { Domain } from './domain.ts';
import { isPending2l, markUpcall, PENDING } from './event-2l.ts';
import { memoryOf } from './guest-memory.ts';

const PAGE = 4096;
const WORDS_PER_PAGE = PAGE / 4;
const PRIORITIES = EVTCHN_FIFO.priorityMin + 1;
const [CONTROL_BLOCK_SIZE] = EVTCHN_FIFO_CONTROL_BLOCK.size;
const HEADS = EVTCHN_FIFO_CONTROL_BLOCK.fields.head[1];

const PENDING_BIT = 1 << EVTCHN_FIFO.pending;
const MASKED_BIT = 1 << EVTCHN_FIFO.masked;
const LINKED_BIT = 1 << EVTCHN_FIFO.linked;
const BUSY_BIT = 1 << EVTCHN_FIFO.busy;

/**
 * FIFO event channels of one domain: a word per port and a control block per vCPU, both in the guest's memory, of which
 * only the places are kept here. common/event_fifo.c
 */
export class FifoState {
  /** Word 0: in use; word 1: array pages; then their frames. */
  readonly #array: Int32Array;
  /** Per vCPU: frame of the control block + 1, offset, then the tails of its queues. */
  readonly #vcpus: Int32Array;
  /** Per port: pending before its page came; last vCPU << 8 | last priority. */
  readonly saved: Int32Array;
  readonly last: Int32Array;

  /** Bits of a link, which bound the ports; 17 in every release. */
  readonly linkBits: number;

  constructor(arena: Arena, domid: number, ports: number, vcpus: number, linkBits: number) {
    this.linkBits = linkBits;
    const pages = Math.ceil(Math.min(2 ** linkBits, ports) / WORDS_PER_PAGE);
    this.#array = arena.int32(2 + pages, `xen.dom${domid}.fifo.array`);
    this.#vcpus = arena.int32((2 + PRIORITIES) * vcpus, `xen.dom${domid}.fifo.vcpus`);
    this.saved = arena.int32(ports, `xen.dom${domid}.fifo.saved`);
    this.last = arena.int32(ports, `xen.dom${domid}.fifo.last`);
  }

  /** Back to two levels. */
  reset(): void {
    this.#array.fill(0);
    this.#vcpus.fill(0);
    this.saved.fill(0);
    this.last.fill(0);
  }

  get enabled(): boolean {
    return this.#array[0] !== 0;
  }
  enable(): void {
    this.#array[0] = 1;
  }

  get ports(): number {
    return this.#array[1] * WORDS_PER_PAGE;
  }

  /** False if the array has all its pages. */
  addPage(gfn: number): boolean {
    if (2 + this.#array[1] >= this.#array.length) return false;
    this.#array[2 + this.#array[1]++] = gfn;
    return true;
  }

  /** Address of a port's event word, −1 while its page is missing. */
  wordOf(port: number): number {
    if (port >= this.ports) return -1;
    return this.#array[2 + Math.floor(port / WORDS_PER_PAGE)] * PAGE + (port % WORDS_PER_PAGE) * 4;
  }

  /** Address of a vCPU's control block, −1 if there is none. */
  controlBlock(vcpu: number): number {
    const at = vcpu * (2 + PRIORITIES);
    return this.#vcpus[at] ? (this.#vcpus[at] - 1) * PAGE + this.#vcpus[at + 1] : -1;
  }

  setControlBlock(vcpu: number, gfn: number, offset: number): void {
    this.#vcpus[vcpu * (2 + PRIORITIES)] = gfn + 1;
    this.#vcpus[vcpu * (2 + PRIORITIES) + 1] = offset;
  }

  tail(vcpu: number, priority: number): number {
    return this.#vcpus[vcpu * (2 + PRIORITIES) + 2 + priority];
  }

  setTail(vcpu: number, priority: number, port: number): void {
    this.#vcpus[vcpu * (2 + PRIORITIES) + 2 + priority] = port;
  }
}

function readWord(d: Domain, address: number): number {
  const b = memoryOf(d)?.read(address, 4);
  return b ? b[0] | (b[1] << 8) | (b[2] << 16) | (b[3] << 24) : 0;
}

function writeWord(d: Domain, address: number, value: number): void {
  memoryOf(d)?.write(address, Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24));
}

/** The frame's number if it is writable memory of the guest, else −1. */
function writableFrame(d: Domain, gfn: bigint): number {
  if (gfn > 0x7ffffffen) return -1;
  const memory = memoryOf(d);
  const page = memory?.read(Number(gfn) * PAGE, PAGE);
  return page && memory?.write(Number(gfn) * PAGE, page) ? Number(gfn) : -1;
}

/**
 * EVTCHNOP_init_control: -EOPNOTSUPP (domain made without FIFO), -ENOENT (vCPU), -EINVAL (offset, frame, second call).
 * The first one switches the domain over; what was pending then comes again with its page.
 */
export function initControl(d: Domain, vcpu: number, gfn: bigint, offset: number): number {
  if (!d.fifo) return -ERRNO.EOPNOTSUPP;
  if (vcpu >= d.vcpus) return -ERRNO.ENOENT;
  if (offset > PAGE - CONTROL_BLOCK_SIZE || offset & 7) return -ERRNO.EINVAL;
  if (d.fifo.controlBlock(vcpu) >= 0) return -ERRNO.EINVAL;
  const frame = writableFrame(d, gfn);
  if (frame < 0) return -ERRNO.EINVAL;
  d.fifo.setControlBlock(vcpu, frame, offset);
  if (d.fifo.enabled) return 0;
  for (let port = 1; port < Math.min(d.ports.validPorts, d.ports.abiLimit); port++) {
    if (isPending2l(d, port)) d.fifo.saved[port] = 1;
    d.ports.priority[port] = EVTCHN_FIFO.priorityDefault;
  }
  d.fifo.enable();
  return 0;
}

/** EVTCHNOP_expand_array: -EOPNOTSUPP (two levels), -ENOSPC, -EINVAL (frame). `raise` makes a saved event pending. */
export function expandArray(d: Domain, gfn: bigint, raise: (port: number) => void): number {
  if (!d.fifo?.enabled) return -ERRNO.EOPNOTSUPP;
  const from = d.fifo.ports;
  const frame = writableFrame(d, gfn);
  if (from >= d.ports.fifoLimit) return -ERRNO.ENOSPC;
  if (frame < 0) return -ERRNO.EINVAL;
  if (!d.fifo.addPage(frame)) return -ERRNO.ENOSPC;
  for (let port = from; port < Math.min(d.fifo.ports, d.ports.validPorts); port++) if (d.fifo.saved[port]) raise(port);
  return 0;
}

/** EVTCHNOP_set_priority behind its port check: -ENOSYS (two levels), -EACCES (not in use), -EINVAL. */
export function setPriority(d: Domain, port: number, priority: number): number {
  if (!d.fifo?.enabled) return -ERRNO.ENOSYS;
  if (!d.ports.isUsable(port)) return -ERRNO.EACCES;
  if (priority > EVTCHN_FIFO.priorityMin) return -ERRNO.EINVAL;
  d.ports.priority[port] = priority;
  return 0;
}

/** common/event_fifo.c: evtchn_fifo_set_pending */
export function setPendingFifo(d: Domain, fifo: FifoState, port: number, vcpu: number): number {
  const at = fifo.wordOf(port);
  if (at < 0) {
    fifo.saved[port] = 1;
    return PENDING.already;
  }
  const control = fifo.controlBlock(vcpu);
  if (control < 0) return PENDING.already; // the event is lost
  const word = readWord(d, at);
  const known = (word & PENDING_BIT) !== 0;
  writeWord(d, at, word | PENDING_BIT);
  if (word & MASKED_BIT) return known ? PENDING.already : PENDING.masked;
  if (word & LINKED_BIT) return known ? PENDING.already : PENDING.set;
  writeWord(d, at, word | PENDING_BIT | LINKED_BIT);

  const oldVcpu = fifo.last[port] >> 8;
  const oldPriority = fifo.last[port] & 0xff;
  const priority = d.ports.priority[port];
  if (fifo.tail(oldVcpu, oldPriority) === port) fifo.setTail(oldVcpu, oldPriority, 0);
  fifo.last[port] = (vcpu << 8) | priority;
  const tail = fifo.tail(vcpu, priority);
  const linked = tail !== 0 && link(d, fifo, tail, port);
  if (!linked) writeWord(d, control + HEADS + 4 * priority, port);
  fifo.setTail(vcpu, priority, port);
  if (linked) return PENDING.set;
  const ready = readWord(d, control);
  writeWord(d, control, ready | (1 << priority));
  return !(ready & (1 << priority)) && markUpcall(d, vcpu) ? PENDING.upcall : PENDING.set;
}

/** Appends to a queue whose tail is still linked; false if the queue is empty. evtchn_fifo_set_link */
function link(d: Domain, fifo: FifoState, tail: number, port: number): boolean {
  const tailAt = fifo.wordOf(tail);
  const word = readWord(d, tailAt);
  if (!(word & LINKED_BIT)) return false;
  writeWord(d, tailAt, (word & ~(BUSY_BIT | ((1 << fifo.linkBits) - 1))) | port);
  return true;
}

/** common/event_fifo.c: evtchn_fifo_unmask */
export function unmaskFifo(d: Domain, fifo: FifoState, port: number, vcpu: number): number {
  const at = fifo.wordOf(port);
  if (at < 0) return PENDING.already;
  const word = readWord(d, at) & ~MASKED_BIT;
  writeWord(d, at, word);
  return word & PENDING_BIT ? setPendingFifo(d, fifo, port, vcpu) : PENDING.already;
}

export function clearPendingFifo(d: Domain, fifo: FifoState, port: number): void {
  const at = fifo.wordOf(port);
  if (at >= 0) writeWord(d, at, readWord(d, at) & ~PENDING_BIT);
}

/** PENDING, MASKED and LINKED of a port; a port without a word counts as masked. */
export function fifoBits(
  d: Domain,
  fifo: FifoState,
  port: number,
): { pending: boolean; masked: boolean; linked: boolean } {
  const at = fifo.wordOf(port);
  const word = at < 0 ? MASKED_BIT : readWord(d, at);
  return { pending: (word & PENDING_BIT) !== 0, masked: (word & MASKED_BIT) !== 0, linked: (word & LINKED_BIT) !== 0 };
}
