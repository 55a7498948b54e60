import { Arena, fieldValue, type Width } from '../../../core/index.ts';
import { executeAdmin } from './admin.ts';
import { type Context, decodeRequest, fail, pageSize, psdt } from './context.ts';
import { takeEvent } from './events.ts';
import { resetFeatures } from './features.ts';
import { HostMemory, type NvmeHost } from './host.ts';
import { InterruptLogic } from './interrupts.ts';
import { executeNvm } from './nvm.ts';
import type { NvmeShape } from './options.ts';
import { complete, cqRoom, fetch, finish, openCq, openSq, sqAt, sqReady, writeHead, writeTail } from './queues.ts';
import {
  ACQ,
  ACQ_HI,
  AQA,
  ASQ,
  ASQ_HI,
  CAP,
  CAP_HI,
  CC,
  CC_LOCKED,
  CFS,
  CSTS,
  capWords,
  ccField,
  DOORBELLS,
  INTMC,
  INTMS,
  KEPT,
  RDY,
  REGISTER_WORDS,
  REGISTERS,
  SHST,
  SHST_COMPLETE,
  VERSION,
  VS,
  word,
} from './registers.ts';
import { NvmeState, SQ, VAR } from './state.ts';
import { OUTSTANDING, STATUS } from './status.ts';

const REGISTER_AT = new Map(REGISTERS.map((register) => [register.offset, register]));

/**
 * An NVM Express 1.4 controller behind its registers. It reads and writes host memory and signals vectors through its
 * {@link NvmeHost}, and has no other way out. Commands are executed by the doorbell write that submits them, or with
 * the `defer` option one by one by {@link step}.
 *
 * Whatever a host does, an access ends after at most the commands that fit its queues, each moving at most the maximum
 * transfer, and never throws: errors are status codes, events, or CSTS.CFS.
 */
export class NvmeController {
  readonly #ctx: Context;
  readonly #interrupts: InterruptLogic;

  /**
   * @param shape from `completeOptions`
   * @param vectors most vectors the function can have in any interrupt mode
   * @param label names the controller where states are told apart
   */
  constructor(shape: NvmeShape, host: NvmeHost, vectors: number, arena?: Arena, label = 'nvme') {
    const state = new NvmeState(arena ?? new Arena(NvmeState.sizeBytes(shape, vectors)), shape, vectors, label);
    this.#ctx = { shape, state, host, memory: new HostMemory(host), vectors };
    this.#interrupts = new InterruptLogic(this.#ctx);
    this.#setInitial();
  }

  /** Reads controller registers at any width and alignment; doorbells and what is reserved read zero. NVMe 1.4 §3.1. */
  readRegister(offset: number, width: Width): number {
    let value = 0;
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      if (at >> 2 < REGISTER_WORDS)
        value |= ((this.#ctx.state.registers[at >> 2] >>> (8 * (at & 3))) & 0xff) << (8 * i);
    }
    return value >>> 0;
  }

  /** Writes an aligned 32-bit word; §3.1 leaves other writes undefined, and here they are dropped. */
  writeRegister(offset: number, width: Width, value: number): void {
    if (width !== 4 || (offset & 3) !== 0) return;
    this.#interrupts.begin();
    if (offset >= DOORBELLS) this.#writeDoorbell(offset - DOORBELLS, value & 0xffff);
    else this.#writeWord(offset, value);
    this.#interrupts.end();
  }

  /** Conventional reset or Function Level Reset: every register returns to its initial value. NVMe 1.4 §7.3.2. */
  reset(): void {
    this.#ctx.state.registers.fill(0);
    this.#setInitial();
    this.#ctx.host.lower();
  }

  /**
   * Executes the next waiting command, queue by queue in round-robin order (§4.13, arbitration burst of one).
   * @returns false if no queue has one that can be taken
   */
  step(): boolean {
    this.#interrupts.begin();
    const id = this.#arbitrate();
    if (id >= 0) this.#execute(id);
    this.#interrupts.end();
    return id >= 0;
  }

  /** Call after MSI-X or MSI was disabled: INTx takes the level that the completion queues call for. */
  refreshIntx(): void {
    this.#interrupts.driveIntx();
  }

  #writeWord(offset: number, value: number): void {
    const register = REGISTER_AT.get(offset);
    if (!register) return;
    const { registers } = this.#ctx.state;
    const at = word(register);
    if (register === INTMS || register === INTMC) {
      const mask = register === INTMS ? registers[at] | value : registers[at] & ~value;
      registers[word(INTMS)] = registers[word(INTMC)] = mask;
    } else if (register === CC) this.#writeCc(value);
    else registers[at] = (registers[at] & ~register.writable) | (value & register.writable);
  }

  /** CC: enable, reset and shutdown. NVMe 1.4 §3.1.5, §7.6. */
  #writeCc(value: number): void {
    const { registers } = this.#ctx.state;
    const before = registers[word(CC)];
    const wasEnabled = ccField('en', before) === 1;
    const enable = ccField('en', value) === 1;
    if (wasEnabled && !enable) this.#resetController();
    const writable = wasEnabled && enable ? CC.writable & ~CC_LOCKED : CC.writable;
    registers[word(CC)] = (before & ~writable) | (value & writable);
    if (!wasEnabled && enable) this.#enable();
    if (ccField('shn', value) !== 0 && ccField('shn', before) === 0) this.#shutDown();
  }

  /** CC.EN 0 → 1. Settings that cannot work are fatal: RDY stays clear and CFS tells. NVMe 1.4 §7.6.1. */
  #enable(): void {
    const ctx = this.#ctx;
    const { registers } = ctx.state;
    const cc = registers[word(CC)];
    const sqSize = fieldValue(AQA.fields.asqs, registers[word(AQA)]) + 1;
    const cqSize = fieldValue(AQA.fields.acqs, registers[word(AQA)]) + 1;
    const misaligned = (registers[word(ASQ)] | registers[word(ACQ)]) & (pageSize(ctx) - 1);
    registers[word(CSTS)] &= ~SHST;
    const unsupported = ccField('mps', cc) > ctx.shape.mpsMax || ccField('css', cc) !== 0 || ccField('ams', cc) !== 0;
    if (unsupported || sqSize < 2 || cqSize < 2 || misaligned) {
      fail(ctx);
      return;
    }
    const cq = { lo: registers[word(ACQ)], hi: registers[word(ACQ_HI)], size: cqSize };
    openCq(ctx, 0, { ...cq, vector: 0, interrupts: true });
    openSq(ctx, 0, { lo: registers[word(ASQ)], hi: registers[word(ASQ_HI)], size: sqSize, cqid: 0 });
    registers[word(CSTS)] |= RDY;
  }

  /** CC.EN 1 → 0: all queues and outstanding commands vanish, features return to their defaults. NVMe 1.4 §7.3.2. */
  #resetController(): void {
    const { registers } = this.#ctx.state;
    for (const register of REGISTERS) if (!KEPT.has(register)) registers[word(register)] = 0;
    this.#setInitial();
  }

  /** Everything that a controller level reset sets, besides the registers that read zero after it. */
  #setInitial(): void {
    const { state, shape } = this.#ctx;
    [state.registers[word(CAP)], state.registers[word(CAP_HI)]] = capWords(shape);
    state.registers[word(VS)] = VERSION;
    state.vars[VAR.IO_QUEUES] = state.vars[VAR.NEXT_SQ] = 0;
    state.vars[VAR.AER_COUNT] = state.vars[VAR.AER_MASKED] = state.vars[VAR.AER_PENDING] = 0;
    state.aerCids.fill(0);
    state.sqs.fill(0);
    state.cqs.fill(0);
    resetFeatures(this.#ctx);
  }

  /** Shutdown notification: contents go to stable storage, and the status is complete at once. NVMe 1.4 §7.6.2. */
  #shutDown(): void {
    const { state, shape } = this.#ctx;
    const flushed = shape.namespaces.map((ns) => ns.flush()).every(Boolean);
    if (!flushed) fail(this.#ctx);
    const csts = state.registers[word(CSTS)];
    state.registers[word(CSTS)] = (csts & ~SHST) | (SHST_COMPLETE << CSTS.fields.shst.at);
  }

  /** True while doorbells have an effect: ready, not failed, not shut down. */
  #running(): boolean {
    return (this.#ctx.state.registers[word(CSTS)] & (RDY | CFS | SHST)) === RDY;
  }

  /** Doorbells: submission queue tails and completion queue heads by turns. NVMe 1.4 §3.1.24, §3.1.25. */
  #writeDoorbell(offset: number, value: number): void {
    const index = offset / (4 << this.#ctx.shape.doorbellStride);
    if (!Number.isInteger(index) || !this.#running()) return;
    const id = index >> 1;
    if ((index & 1) === 0) {
      if (writeTail(this.#ctx, id, value) && !this.#ctx.shape.defer) this.#drain(id);
    } else {
      const wasFull = cqRoom(this.#ctx, id) === 0;
      if (writeHead(this.#ctx, id, value)) {
        this.#interrupts.acknowledged(id);
        if (wasFull && !this.#ctx.shape.defer) this.#drainAll();
      }
    }
    this.#reportEvents();
  }

  /** Executes all that submission queue `id` holds and its completion queue has places for. */
  #drain(id: number): void {
    while (this.#running() && sqReady(this.#ctx, id)) this.#execute(id);
  }

  /** Executes what waited for places in completion queues. */
  #drainAll(): void {
    for (let id = this.#arbitrate(); id >= 0; id = this.#arbitrate()) this.#execute(id);
  }

  /** The next submission queue in turn that has a command to take, or −1. */
  #arbitrate(): number {
    const { vars } = this.#ctx.state;
    const queues = this.#ctx.shape.queuePairs + 1;
    if (!this.#running()) return -1;
    for (let i = 0; i < queues; i++) {
      const id = (vars[VAR.NEXT_SQ] + i) % queues;
      if (!sqReady(this.#ctx, id)) continue;
      vars[VAR.NEXT_SQ] = (id + 1) % queues;
      return id;
    }
    return -1;
  }

  /** Takes one command from a ready submission queue and executes it. NVMe 1.4 §7.2. */
  #execute(id: number): void {
    const ctx = this.#ctx;
    const entry = fetch(ctx, id);
    if (!entry) return;
    const req = decodeRequest(id, entry);
    // no fused operations; admin commands take PRPs only: §4.2, FUSE and PSDT
    const refused = (req.cdw[0] & 0x300) !== 0 || psdt(req) > (id === 0 ? 0 : 2);
    const status = refused ? STATUS.invalidFieldInCommand : id === 0 ? executeAdmin(ctx, req) : executeNvm(ctx, req);
    if (status !== OUTSTANDING) this.#interrupts.posted(finish(ctx, req, status));
    if (id === 0) this.#reportEvents();
  }

  /** Completes outstanding Asynchronous Event Requests for events that wait, as far as there are places. */
  #reportEvents(): void {
    while (this.#running() && cqRoom(this.#ctx, 0) > 0) {
      const event = takeEvent(this.#ctx);
      if (!event) return;
      this.#interrupts.posted(complete(this.#ctx, { sqid: 0, ...event }, STATUS.success));
    }
  }

  /** True if a command waits that {@link step} would take. */
  get hasWork(): boolean {
    if (!this.#running()) return false;
    for (let id = 0; id <= this.#ctx.shape.queuePairs; id++) if (sqReady(this.#ctx, id)) return true;
    return false;
  }

  /** Commands submitted to queue `id` and not taken yet; 0 if there is no such queue. */
  queued(id: number): number {
    const { sqs } = this.#ctx.state;
    const q = sqAt(id);
    const size = sqs[q + SQ.SIZE] ?? 0;
    return size === 0 ? 0 : (sqs[q + SQ.TAIL] - sqs[q + SQ.HEAD] + size) % size;
  }
}
