import { hex, readLe, type Width } from '../../core/index.ts';
import { type Layout, registersAt } from '../../pci/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { NaiveFunction } from '../oracle/naive-function.ts';
import { ConfigJudge, grantsTooMany, placeName } from './config-judge.ts';
import type { Cause, Difference } from './difference.ts';
import { InterruptJudge, narrow } from './interrupt-judge.ts';
import { type Obligations, obligationsOf } from './obligations.ts';
import { type Actions, actionsOf, type Poke } from './qtest-actions.ts';
import type { MsixPlace } from './qtest-notation.ts';
import type { QtestPeer } from './qtest-peer.ts';

/** Of a read: what was taken over from the table is known already. */
const READ_JUDGED = [0xffff_fffc, -1, -1, 1];
const MSI_PENDING = 'msi.pending';
const STATUS = 6;
const INTERRUPT_STATUS = 8;
const BUS_MASTER = 4;
const HOT_PLUG_ENABLE = 0x20;
const ENTRY = ['addressLo', 'addressHi', 'data', 'vectorControl'];

class Oracle extends NaiveFunction {
  /** The reset that the last access amounted to. */
  wasReset: Cause['reset'] = undefined;

  override reset(kind: 'conventional' | 'hot' | 'flr'): void {
    this.wasReset = kind;
    const { rw, w1c, image } = this.bits;
    // what was taken over from the other side and is no state by rights is not state that a reset keeps
    for (let at = 0; at < image.length; at++) {
      const state = rw[at] | w1c[at];
      this.bytes[at] = (this.bytes[at] & state) | (image[at] & ~state);
    }
    super.reset(kind);
  }
}

/**
 * A function of QEMU and what the specifications oblige it to do, side by side. After each access everything that shows is
 * compared, and what differs is taken over, so that the two go on from the same state and further differences show.
 */
export class QtestDuel {
  readonly peer: QtestPeer;
  readonly layout: Layout;
  readonly actions: Actions | undefined;
  readonly oracle: Oracle;
  readonly #duties: Obligations;
  readonly #slot: number;
  readonly #isPort: boolean;
  readonly msix: MsixPlace | undefined;
  readonly #config: ConfigJudge;
  readonly #interrupts: InterruptJudge;
  /** Messages and line are looked at; otherwise only configuration space is. */
  #watches = false;
  /** Configuration space before the step. */
  readonly #before: Uint8Array;
  /** The function was in a power state that it does not offer. */
  #wasNowhere = false;

  constructor(peer: QtestPeer) {
    const { layout, writable } = peer.measured;
    this.peer = peer;
    this.layout = layout;
    this.actions = actionsOf(peer);
    this.#duties = obligationsOf(layout, writable);
    this.oracle = new Oracle(layout, this.#duties.bits);
    this.#before = this.oracle.bytes.slice();
    const express = this.#duties.bits.capabilities.get(0x10);
    this.#isPort = layout.traits.headerType === 1;
    this.#slot = this.#isPort && express && layout.image[express + 3] & 1 ? express + 24 : -1;
    this.msix = msixOf(layout, this.#duties.bits.capabilities.get(0x11));
    this.#config = new ConfigJudge(layout, this.#duties, this.#slot);
    this.#interrupts = new InterruptJudge(peer, this.oracle, this.actions, this.msix);
  }

  /** Messages of the last step that had to be sent and were. */
  get arrived(): number {
    return this.#interrupts.arrived;
  }

  /** Both as they were at first. @returns offsets of the function that nothing restores */
  async begin(watches: boolean): Promise<number[]> {
    const lost = await this.peer.pristine();
    this.oracle.begin();
    this.#watches = watches;
    this.peer.line();
    await this.peer.clearMessages();
    return lost;
  }

  /** BARs are where the bench looks for them, decoding is on and the function awake. */
  get isReachable(): boolean {
    const awake = this.power === 0;
    const { oracle } = this;
    const placed = this.peer.bringUp().every(({ offset, width, value }) => {
      const mask = width === 4 && offset < 0x28 ? ~15 : -1;
      return (oracle.read(offset, width) & mask) === (value & mask);
    });
    return awake && placed && (oracle.bytes[4] & 2) !== 0;
  }

  /** Slot Control of a port with a slot, else −1. */
  get slot(): number {
    return this.#slot;
  }

  get power(): number {
    const pm = this.#duties.bits.capabilities.get(1);
    return pm === undefined ? 0 : this.oracle.bytes[pm + 4] & 3;
  }

  /** Carries out a step on both. @returns what is wrong afterwards */
  async step(step: Access): Promise<Difference[]> {
    const { peer, oracle } = this;
    oracle.effects.messages = [];
    this.#interrupts.arrived = 0;
    oracle.wasReset = undefined;
    this.#before.set(oracle.bytes);
    this.#wasNowhere = this.power === 1 || this.power === 2;
    const written: [number, number][] = [];
    const width = step.width as Width;
    if (!this.#arrives(step)) return [];
    switch (step.kind) {
      case KIND.read:
        return this.#read(step);
      case KIND.write:
        if (step.region === REGION.config) written.push([step.offset, width]);
        await peer.write(step.region, step.offset, width, step.value);
        if (step.region === REGION.config) oracle.write(step.offset, width, step.value);
        if (step.region === REGION.config) this.#slotChanged(step.offset, width);
        else oracle.writeBar(step.region, step.offset, width, step.value);
        break;
      case KIND.raise:
        if (step.value === SIGNAL.begins) await this.#raise(step.offset, written);
        else await this.#lower(step.offset, written);
        break;
      case KIND.reset:
        if (step.value !== RESET.conventional) return [];
        await peer.reset();
        oracle.reset('conventional');
        break;
    }
    return this.#compare({ reset: oracle.wasReset as Cause['reset'], written }, step);
  }

  /** Accesses by a BAR that is not where the bench looks for it are left out, as are those that raise something so. */
  #arrives({ kind, region }: Access): boolean {
    const byBar = kind === KIND.raise ? this.actions?.isLevel !== true : region < REGION.rom;
    if (kind === KIND.reset || !byBar) return true;
    if (kind === KIND.raise && this.actions?.needsMaster && !(this.oracle.bytes[4] & BUS_MASTER)) return false;
    return this.isReachable || (kind === KIND.read && this.power === 3);
  }

  /** With its interrupt disabled a slot has no condition any more. */
  #slotChanged(offset: number, width: number): void {
    const isControl = this.#slot >= 0 && offset < this.#slot + 2 && offset + width > this.#slot;
    if (isControl && this.#watches && !(this.oracle.bytes[this.#slot] & HOT_PLUG_ENABLE)) this.oracle.lower();
  }

  async #pokes(pokes: readonly Poke[], written: [number, number][]): Promise<void> {
    for (const poke of pokes) {
      await this.peer.poke(poke);
      if (poke.region !== REGION.config) continue;
      this.oracle.write(poke.offset, poke.width, poke.value);
      written.push([poke.offset, poke.width]);
    }
  }

  async #raise(vector: number, written: [number, number][]): Promise<void> {
    const { actions } = this;
    if (!actions) return;
    if (actions.settleMs !== undefined) await pause(actions.settleMs);
    const isOn = this.#slot >= 0 && (readLe(await this.peer.image(), this.#slot + 2, 2) & 0x10) !== 0;
    if (isOn) await this.#lower(vector, written);
    await this.#pokes(actions.raise(vector), written);
    if (actions.settleMs !== undefined) await pause(actions.settleMs);
    if (actions.restarts) {
      this.oracle.lower();
      this.#dropPending(vector);
    }
    this.oracle.raise(vector);
  }

  async #lower(vector: number, written: [number, number][]): Promise<void> {
    const { actions, oracle } = this;
    if (!actions) return;
    await this.#pokes(actions.lower(vector), written);
    oracle.lower();
    if (actions.isLevel) this.#dropPending(vector);
  }

  #dropPending(vector: number): void {
    const { oracle } = this;
    const v = oracle.msix?.vector(vector);
    if (v?.pending) oracle.msix!.adopt(vector, v.words, false);
    const pending = this.layout.registers.find(({ register }) => register.name === MSI_PENDING);
    if (pending) oracle.bytes[pending.at + (vector >> 3)] &= ~(1 << (vector & 7));
  }

  async #read({ region, offset, width }: Access): Promise<Difference[]> {
    const got = await this.peer.read(region, offset, width as Width);
    const inConfig = region === REGION.config;
    const asleep = !inConfig && this.power === 3;
    const want = inConfig
      ? this.oracle.read(offset, width)
      : asleep
        ? ones(width)
        : this.oracle.readBar(region, offset, width);
    let differing = (got ^ want) >>> 0;
    if (inConfig)
      for (let i = 0; i < width; i++) differing &= ~((~this.#duties.judged[offset + i] & 0xff) << (8 * i)) >>> 0;
    else if (!asleep && this.msix && region === this.msix.bar)
      differing &= READ_JUDGED[((offset - this.msix.offset) >> 2) & 3];
    if (differing === 0) return [];
    const register = this.nameOf(region, offset);
    const text = `${this.where(region, offset, width)} reads ${hex(got, 2 * width)}, should be ${hex(want, 2 * width)}`;
    if (asleep)
      return [{ law: 'decode in d3hot', register: 'BAR', bits: 0, section: '§5.3.1.4.1', verdict: 'violates', text }];
    if (!inConfig && width < 4) return [narrow(text)];
    return [
      { law: 'read', register, bits: differing, section: this.#section(region, offset), verdict: 'violates', text },
    ];
  }

  async #compare(cause: Cause, step: Access): Promise<Difference[]> {
    const image = await this.peer.image();
    const state = { before: this.#before, watches: this.#watches, wasNowhere: this.#wasNowhere };
    const found = this.#config.compare(image, this.oracle, cause, state);
    const { line } = this.oracle.effects;
    const status = ((image[STATUS] ^ this.oracle.bytes[STATUS]) & INTERRUPT_STATUS) !== 0;
    this.oracle.adopt(image);
    if (!this.#watches) return found;
    const messages = await this.peer.messages();
    const isSilent = this.#messagesUndefined;
    const table = this.isReachable && this.msix ? await this.#interrupts.table(cause, step, isSilent) : [];
    // what follows from bytes that were written or not is no finding of its own
    if (table.some((d) => d.law === 'narrow')) return [...found, ...table.filter((d) => d.law === 'narrow')];
    if (!isSilent) table.push(...this.#interrupts.messages(messages, this.power));
    return [...found, ...table, ...this.#interrupts.line(line, status, cause.reset === 'hot')];
  }

  /** Both mechanisms on, or more MSI vectors granted than there are: what is sent is not defined. §6.1.4, §7.7.1.2 */
  get #messagesUndefined(): boolean {
    const { capabilities } = this.#duties.bits;
    const { bytes } = this.oracle;
    const [msi, msix] = [capabilities.get(5), capabilities.get(0x11)];
    const on = msi !== undefined && (bytes[msi + 2] & 1) !== 0;
    if (on && msix !== undefined && bytes[msix + 3] & 0x80) return true;
    if (this.#isPort && !(bytes[4] & 4)) return true; // what Bus Master Enable means for a port's own messages is not said
    if (this.power === 1 || this.power === 2) return true; // a state that it should not have entered
    return on && grantsTooMany(this.oracle);
  }

  nameOf(region: number, offset: number): string {
    if (region === REGION.config)
      return registersAt(this.layout, offset, 1)[0]?.register.name ?? `config+${hex(offset, 2)}`;
    const m = this.msix;
    if (m && region === m.bar && offset >= m.offset && offset < m.offset + 16 * m.count)
      return `msix.table.${ENTRY[((offset - m.offset) >> 2) & 3]}`;
    return m && region === m.pbaBar && offset >= m.pba ? 'msix.pba' : `BAR ${region}`;
  }

  where(region: number, offset: number, width: number): string {
    const name = this.nameOf(region, offset);
    if (region === REGION.config) return placeName(this.layout, offset);
    return `${name} (BAR ${region}+${hex(offset)}, width ${width})`;
  }

  #section(region: number, offset: number): string {
    return region === REGION.config ? this.#duties.duty[offset].section : '§7.7.2';
  }
}

function msixOf({ image }: Layout, at: number | undefined): MsixPlace | undefined {
  if (at === undefined) return undefined;
  const [table, pba] = [readLe(image, at + 4, 4), readLe(image, at + 8, 4)];
  const count = (readLe(image, at + 2, 2) & 0x7ff) + 1;
  return { bar: table & 7, offset: table & ~7, count, pbaBar: pba & 7, pba: pba & ~7 };
}

const ones = (width: number) => 2 ** (8 * width) - 1;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
