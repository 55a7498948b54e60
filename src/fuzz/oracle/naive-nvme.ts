import type { NaiveFunction } from './naive-function.ts';
import { NaiveCommands } from './naive-nvme-commands.ts';
import { hostAddress, type NaiveMemory } from './naive-nvme-data.ts';
import { copyState, freshState, type NaiveShape, type NvmeState } from './naive-nvme-state.ts';

const EN = 1;
/** Bits of CC that software can write, NVMe 1.4 §3.1.5; of these CSS, MPS and AMS only while EN is 0. */
const CC_WRITABLE = 0x00ff_fff1;
const CC_FIXED = 0x0000_3ff0;
const SHUTDOWN_DONE = 2;
const DOORBELLS = 0x1000;
const EVENT_REGISTER = 0;
const EVENT_VALUE = 1;

/**
 * An NVM Express 1.4 controller told a second time: queues as objects, commands taken one by one, interrupts worked out
 * after each access from what the queues hold. It shares with the model what the specification leaves open: commands run
 * in the access that makes them possible, queues that waited for room by turns; a completion whose write fails counts as
 * posted; a refused tail doorbell stops its queue.
 */
export class NaiveNvme {
  readonly shape: NaiveShape;
  readonly fn: NaiveFunction;
  readonly memory: NaiveMemory;
  readonly commands: NaiveCommands;
  state: NvmeState = freshState();
  /** The first 16-bit status word and dword 0 at an address, as the model has them; undefined where no memory is. */
  #actual: (address: number) => { result: number; status: number } | undefined;
  #posted: number[] = [];
  #acknowledged: number[] = [];

  constructor(
    shape: NaiveShape,
    fn: NaiveFunction,
    memory: NaiveMemory,
    actual: (address: number) => { result: number; status: number } | undefined,
  ) {
    this.shape = shape;
    this.fn = fn;
    this.memory = memory;
    this.#actual = actual;
    this.commands = new NaiveCommands(this);
  }

  save(): { state: NvmeState; commands: ReturnType<NaiveCommands['save']>; memory: Uint8Array } {
    return { state: copyState(this.state), commands: this.commands.save(), memory: this.memory.bytes.slice() };
  }

  restore(saved: ReturnType<NaiveNvme['save']>): void {
    this.state = copyState(saved.state);
    this.commands.restore(saved.commands);
    this.memory.bytes.set(saved.memory);
    this.memory.written.length = 0;
    this.#posted = [];
    this.#acknowledged = [];
  }

  /** Function Level Reset, conventional reset: what CC.EN does, and the admin queue registers too. §7.3.2 */
  reset(): void {
    this.state = freshState();
    this.commands.reset();
  }

  get running(): boolean {
    return this.state.rdy && !this.state.cfs && this.state.shst === 0;
  }

  get pageBytes(): number {
    return 4096 << ((this.state.cc >>> 7) & 15);
  }

  register(at: number): number {
    const s = this.state;
    switch (at) {
      case 0x00:
        return this.shape.cap[0];
      case 0x04:
        return this.shape.cap[1];
      case 0x08:
        return this.shape.version;
      case 0x0c:
      case 0x10:
        return s.mask;
      case 0x14:
        return s.cc;
      case 0x1c:
        return (s.rdy ? 1 : 0) | (s.cfs ? 2 : 0) | (s.shst << 2);
      case 0x24:
        return s.aqa;
      case 0x28:
      case 0x2c:
        return s.asq[(at - 0x28) >> 2];
      case 0x30:
      case 0x34:
        return s.acq[(at - 0x30) >> 2];
      default:
        return 0;
    }
  }

  read(offset: number, width: number): number {
    let value = 0;
    for (let i = width - 1; i >= 0; i--) {
      const at = offset + i;
      const word = at < 0x40 ? this.register(at - (at % 4)) : 0;
      value = value * 256 + ((word >>> (8 * (at % 4))) & 0xff);
    }
    return value;
  }

  /** An aligned dword; of others nothing is said (§3.1), and nothing comes. */
  write(offset: number, width: number, value: number): void {
    if (width !== 4 || offset % 4 !== 0) return;
    const before = this.interruptStatus();
    if (offset >= DOORBELLS) this.#doorbell(offset - DOORBELLS, value & 0xffff);
    else this.#writeRegister(offset, value);
    this.#interrupt(before);
  }

  #writeRegister(at: number, value: number): void {
    const s = this.state;
    if (at === 0x0c) s.mask = (s.mask | value) >>> 0;
    else if (at === 0x10) s.mask = (s.mask & ~value) >>> 0;
    else if (at === 0x14) this.#writeCc(value);
    else if (at === 0x24) s.aqa = value & 0x0fff_0fff;
    else if (at === 0x28) s.asq[0] = (value & 0xffff_f000) >>> 0;
    else if (at === 0x2c) s.asq[1] = value;
    else if (at === 0x30) s.acq[0] = (value & 0xffff_f000) >>> 0;
    else if (at === 0x34) s.acq[1] = value;
  }

  /** Enable, disable and shutdown, §3.1.5, §7.3.2, §7.6. */
  #writeCc(value: number): void {
    const old = this.state;
    const was = old.cc & EN;
    const now = value & EN;
    const shutdownBefore = (old.cc >>> 14) & 3;
    const taken = was && now ? CC_WRITABLE & ~CC_FIXED : CC_WRITABLE;
    const cc = ((old.cc & ~taken) | (value & taken)) >>> 0;
    if (was && !now) {
      const { aqa, asq, acq } = old;
      this.state = { ...freshState(), aqa, asq, acq };
      this.commands.reset();
    }
    this.state.cc = cc;
    if (!was && now) this.#enable();
    if ((value >>> 14) & 3 && shutdownBefore === 0) {
      this.state.shst = SHUTDOWN_DONE;
      this.commands.blocks.flushed();
    }
  }

  #enable(): void {
    const s = this.state;
    s.shst = 0;
    const [sqSize, cqSize] = [(s.aqa & 0xfff) + 1, ((s.aqa >>> 16) & 0xfff) + 1];
    const css = (s.cc >>> 4) & 7;
    const ams = (s.cc >>> 11) & 7;
    const isAligned = s.asq[0] % this.pageBytes === 0 && s.acq[0] % this.pageBytes === 0;
    if (css || ams || ((s.cc >>> 7) & 15) > this.shape.mpsMax || sqSize < 2 || cqSize < 2 || !isAligned) {
      s.cfs = true;
      return;
    }
    const empty = { head: 0, tail: 0 };
    s.cqs.set(0, { base: hostAddress(...s.acq), size: cqSize, ...empty, phase: 1, vector: 0, interrupts: true });
    s.sqs.set(0, { base: hostAddress(...s.asq), size: sqSize, ...empty, cq: 0, stopped: false });
    s.rdy = true;
  }

  /** §3.1.24, §3.1.25: even places are submission queue tails, odd ones completion queue heads. */
  #doorbell(offset: number, value: number): void {
    const place = offset / (4 << this.shape.stride);
    if (!this.running || place !== Math.floor(place)) return;
    const id = Math.floor(place / 2);
    const refused = place % 2 === 0 ? this.#moveTail(id, value) : this.#moveHead(id, value);
    if (refused !== undefined) this.commands.noteDoorbell(refused);
    this.#reportEvents();
  }

  /** Answers the event of a doorbell that cannot be, as does {@link #moveHead}. */
  #moveTail(id: number, tail: number): number | undefined {
    const sq = this.state.sqs.get(id);
    if (!sq) return EVENT_REGISTER;
    const waiting = (sq.tail - sq.head + sq.size) % sq.size;
    const more = (tail - sq.tail + sq.size) % sq.size;
    if (tail >= sq.size || more === 0 || waiting + more > sq.size - 1) {
      sq.stopped = true;
      return EVENT_VALUE;
    }
    sq.tail = tail;
    while (this.#canTake(id)) this.#take(id);
    return undefined;
  }

  #moveHead(id: number, head: number): number | undefined {
    const cq = this.state.cqs.get(id);
    if (!cq) return EVENT_REGISTER;
    const held = (cq.tail - cq.head + cq.size) % cq.size;
    const taken = (head - cq.head + cq.size) % cq.size;
    if (head >= cq.size || taken === 0 || taken > held) return EVENT_VALUE;
    cq.head = head;
    this.#acknowledged.push(cq.vector);
    if (held === cq.size - 1) this.#takeByTurns();
    return undefined;
  }

  /** Round robin over all queues, from where it stopped the last time. §4.13 */
  #takeByTurns(): void {
    const count = this.shape.queuePairs + 1;
    for (let looked = 0; looked < count; ) {
      const id = (this.state.nextSq + looked) % count;
      if (!this.#canTake(id)) {
        looked++;
        continue;
      }
      this.state.nextSq = (id + 1) % count;
      this.#take(id);
      looked = 0;
    }
  }

  /** Places in a completion queue, of which one always stays empty. §4.1.2 */
  room(id: number): number {
    const cq = this.state.cqs.get(id);
    return cq ? (cq.head - cq.tail - 1 + cq.size) % cq.size : 0;
  }

  #canTake(id: number): boolean {
    const sq = this.state.sqs.get(id);
    return sq !== undefined && this.running && !sq.stopped && sq.head !== sq.tail && this.room(sq.cq) > 0;
  }

  #take(id: number): void {
    const sq = this.state.sqs.get(id)!;
    const bytes = this.#canTransfer ? this.memory.read(sq.base + 64 * sq.head, 64) : undefined;
    if (!bytes) {
      this.state.cfs = true; // §9.5
      return;
    }
    sq.head = (sq.head + 1) % sq.size;
    this.commands.execute(id, new DataView(bytes.buffer));
    if (id === 0) this.#reportEvents();
  }

  #reportEvents(): void {
    while (this.running && this.room(0) > 0) {
      const event = this.commands.takeEvent();
      if (!event) return;
      this.complete(0, event.cid, event.result, 0);
    }
  }

  /** The status and dword 0 that the model will be found to have put at the next place of a queue's completions. */
  peek(sqid: number): { result: number; status: number } | undefined {
    const cq = this.state.cqs.get(this.state.sqs.get(sqid)!.cq)!;
    return this.#actual(cq.base + 16 * cq.tail);
  }

  /** Posts a completion; `field` is its 15-bit Status Field. §4.6 */
  complete(sqid: number, cid: number, result: number, field: number): void {
    const sq = this.state.sqs.get(sqid)!;
    const cq = this.state.cqs.get(sq.cq)!;
    const entry = new Uint8Array(16);
    const view = new DataView(entry.buffer);
    view.setUint32(0, result, true);
    view.setUint16(8, sq.head, true);
    view.setUint16(10, sqid, true);
    view.setUint16(12, cid, true);
    view.setUint16(14, (field << 1) | cq.phase, true);
    if (!this.#canTransfer || !this.memory.write(cq.base + 16 * cq.tail, entry)) this.state.cfs = true;
    cq.tail++;
    if (cq.tail === cq.size) {
      cq.tail = 0;
      cq.phase = 1 - cq.phase;
    }
    if (cq.interrupts && !this.#posted.includes(cq.vector)) this.#posted.push(cq.vector);
  }

  /** Bus Master Enable, in D0. */
  get #canTransfer(): boolean {
    return this.fn.mayTransfer;
  }

  /** Vectors usable now: MSI-X entries, granted messages, or the pin. */
  get vectors(): number {
    return this.fn.mode === 'msix' ? this.fn.msix!.count : this.fn.mode === 'msi' ? this.fn.granted : 1;
  }

  #bit(vector: number): number {
    return vector < Math.min(this.vectors, 32) ? 2 ** vector : 1;
  }

  /** §7.5.1: a bit per vector with entries not taken yet, but for those masked. */
  interruptStatus(): number {
    let status = 0;
    for (const cq of this.state.cqs.values()) if (cq.interrupts && cq.head !== cq.tail) status |= this.#bit(cq.vector);
    return (status & ~this.state.mask) >>> 0;
  }

  /** What an access that is over signals. §7.5.1, §7.5.2 */
  #interrupt(before: number): void {
    if (this.fn.mode === 'msix') for (const vector of this.#posted) this.fn.raise(vector);
    else if (this.fn.mode === 'msi') {
      const now = this.interruptStatus();
      let again = 0;
      for (const vector of this.#acknowledged) again |= this.#bit(vector);
      for (let v = 0; v < 32; v++) if ((now & (~before | again) & (1 << v)) !== 0) this.fn.raise(v);
    }
    this.#posted.length = 0;
    this.#acknowledged.length = 0;
    this.drivePin();
  }

  /** The pin says at any time whether an interrupt waits, unless messages are enabled. */
  drivePin(): void {
    if (this.fn.mode !== 'intx') return;
    if (this.interruptStatus() !== 0) this.fn.raise(0);
    else this.fn.lower();
  }
}
