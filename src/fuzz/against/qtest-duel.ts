import { hex, readLe, type Width } from '../../core/index.ts';
import { type Layout, registersAt } from '../../pci/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { NaiveFunction } from '../oracle/naive-function.ts';
import { type Duty, type Obligations, obligationsOf } from './obligations.ts';
import { type Actions, actionsOf, type Poke } from './qtest-actions.ts';
import { MESSAGE_PAGE, MESSAGE_WORDS, type QtestPeer } from './qtest-peer.ts';

/** A difference between a function and what it is obliged to do. */
export interface Difference {
  /** What kind of thing is wrong; with the register it makes what counts as one finding. */
  law: Law;
  register: string;
  /** Bits of the register, 0 where there are none to name. */
  bits: number;
  section: string;
  /** `custom`: no specification forbids it, hardware does otherwise. */
  verdict: 'violates' | 'custom';
  text: string;
}

export type Law =
  | 'constant'
  | 'writable'
  | 'write-1-to-clear'
  | 'power state'
  | 'side effect'
  | 'read'
  | 'reset'
  | 'flr'
  | 'd3hot to d0'
  | 'decode in d3hot'
  | 'table'
  | 'narrow'
  | 'pending'
  | 'message'
  | 'line'
  | 'missing'
  | 'abort';

/** What brought about the present state of the registers. */
interface Cause {
  reset: 'conventional' | 'hot' | 'flr' | undefined;
  /** Bytes that were written. */
  written: readonly (readonly [offset: number, width: number])[];
}

const ENTRY = ['addressLo', 'addressHi', 'data', 'vectorControl'];
/** Address bits 1:0 may be read-only or not, PCI 3.0 §6.8.2.6: not judged. */
const ENTRY_JUDGED = [0xffff_fffc, -1, -1, -1];
/** Of a read: what was taken over from the table is known already. */
const READ_JUDGED = [0xffff_fffc, -1, -1, 1];
/** The reset that the way from D3hot to D0 is: one law for all registers. */
const WAKE = { law: 'd3hot to d0', register: 'registers' } as const;
const MSI_PENDING = 'msi.pending';
const OUTSIDE = 'outside capabilities';
const MME = 0x70;
const BUS_MASTER = 4;
const STATUS = 6;
const HOT_PLUG_ENABLE = 0x20;
const INTERRUPT_STATUS = 8;

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
  readonly #msix: { table: [bar: number, at: number]; pba: [bar: number, at: number]; count: number } | undefined;
  /** Messages of the last step that had to be sent and were. */
  arrived = 0;
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
    const at = this.#duties.bits.capabilities.get(0x11);
    if (at === undefined) return;
    const [table, pba] = [readLe(layout.image, at + 4, 4), readLe(layout.image, at + 8, 4)];
    const count = (readLe(layout.image, at + 2, 2) & 0x7ff) + 1;
    this.#msix = { table: [table & 7, table & ~7], pba: [pba & 7, pba & ~7], count };
  }

  get msix(): { bar: number; offset: number; count: number; pbaBar: number; pba: number } | undefined {
    const m = this.#msix;
    return m && { bar: m.table[0], offset: m.table[1], count: m.count, pbaBar: m.pba[0], pba: m.pba[1] };
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
    this.arrived = 0;
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
    else if (!asleep && this.#msix && region === this.#msix.table[0])
      differing &= READ_JUDGED[((offset - this.#msix.table[1]) >> 2) & 3];
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
    const found = this.#compareImage(image, cause);
    const { line } = this.oracle.effects;
    const status = ((image[STATUS] ^ this.oracle.bytes[STATUS]) & INTERRUPT_STATUS) !== 0;
    this.oracle.adopt(image);
    if (!this.#watches) return found;
    const messages = await this.peer.messages();
    const table = this.isReachable && this.#msix ? await this.#compareTable(cause, step) : [];
    // what follows from bytes that were written or not is no finding of its own
    if (table.some((d) => d.law === 'narrow')) return [...found, ...table.filter((d) => d.law === 'narrow')];
    if (!this.#messagesUndefined) table.push(...this.#compareMessages(messages));
    return [...found, ...table, ...this.#compareLine(line, status, cause.reset === 'hot')];
  }

  #compareImage(image: Uint8Array, { reset, written }: Cause): Difference[] {
    const { judged, bits, afterReset, afterFlr, duty } = this.#duties;
    const groups = new Map<string, { law: Law; at: number; name: string; bits: number; duty: Duty; bytes: number }>();
    const pm = bits.capabilities.get(1);
    const isWritten = (at: number) => written.some(([from, width]) => at >= from && at < from + width);
    // a command to the slot completes, and other things happen there
    const slotMoves = this.#slot >= 0 && (isWritten(this.#slot) || isWritten(this.#slot + 1));
    for (let at = 0; at < image.length; at++) {
      let differing = (image[at] ^ this.oracle.bytes[at]) & judged[at];
      if (differing === 0) continue;
      if (this.#grantsTooMany && at === bits.capabilities.get(5)! + 2) differing &= ~MME;
      if (slotMoves && (at === this.#slot + 2 || at === this.#slot + 3)) continue;
      if (this.#slot >= 0 && at === STATUS && !this.#watches) differing &= ~INTERRUPT_STATUS;
      const writable = bits.rw[at] | bits.w1c[at];
      // a constant that was changed before is no matter of the reset that leaves it
      if (reset) differing &= writable | (image[at] ^ this.#before[at]);
      if (reset === 'conventional') differing &= ~(writable & ~afterReset[at]);
      if (reset === 'flr') differing &= ~(writable & ~afterFlr[at]);
      if (reset === 'hot') differing &= ~(writable & ~(afterFlr[at] & ~bits.keptByFlr[at]));
      if (pm !== undefined && at === pm + 4 && (reset === 'hot' || (reset && this.#wasNowhere))) differing &= ~3;
      if (pm !== undefined && reset === 'hot' && at >= pm && at < pm + 8) continue;
      for (let bit = 1; bit <= 0x80; bit <<= 1) {
        if (!(differing & bit)) continue;
        const [found] = registersAt(this.layout, at, 1);
        const isPending = found?.register.name === MSI_PENDING && !reset;
        const law = isPending ? 'pending' : this.#lawOf(at, bit, reset, isWritten(at));
        const isCustom = duty[at].custom === true;
        if (at === STATUS && bit === INTERRUPT_STATUS) continue; // with the line
        const where = found?.register.name ?? duty[at].name ?? `config+${hex(at, 2)}`;
        const name = isCustom ? OUTSIDE : reset === 'hot' ? 'registers' : where;
        const from = isCustom ? at : (found?.at ?? (duty[at].name ? duty[at].at : at));
        const key = `${law} ${name}`;
        const group = groups.get(key) ?? {
          law,
          at: from,
          name,
          bits: 0,
          duty: duty[at],
          bytes: found?.register.width ?? (isCustom ? 1 : duty[at].width),
        };
        if (!isCustom && reset !== 'hot') group.bits |= bit << (8 * (at - from));
        groups.set(key, group);
      }
    }
    return [...groups.values()].map((g) => {
      const width = (g.bytes === 2 || g.bytes === 1 ? g.bytes : 4) as Width;
      const [got, want] = [readLe(image, g.at, width), this.oracle.read(g.at, width)];
      const text = `${this.where(REGION.config, g.at, width)} is ${hex(got, 2 * width)}, should be ${hex(want, 2 * width)}`;
      const verdict = g.duty.custom ? 'custom' : 'violates';
      return { law: g.law, register: g.name, bits: g.bits >>> 0, section: sectionOf(g.law, g.duty), verdict, text };
    });
  }

  #lawOf(at: number, bit: number, reset: Cause['reset'], isWritten: boolean): Law {
    const { rw, w1c, capabilities } = this.#duties.bits;
    const law = lawOfReset(reset);
    if (law) return law;
    if (!isWritten) return 'side effect';
    const pm = capabilities.get(1);
    if (pm !== undefined && at === pm + 4 && bit & 3) return 'power state';
    return rw[at] & bit ? 'writable' : w1c[at] & bit ? 'write-1-to-clear' : 'constant';
  }

  async #compareTable({ reset }: Cause, step: Access): Promise<Difference[]> {
    const { oracle, peer } = this;
    const msix = oracle.msix!;
    const { table, pba, count } = this.#msix!;
    const shown = Math.min(count, 64);
    const [entries, pending] = await Promise.all([
      peer.bar(table[0], table[1], 16 * shown),
      peer.bar(pba[0], pba[1], 8 * Math.ceil(shown / 64)),
    ]);
    const found: Difference[] = [];
    // whether a reset of the device's own drops what waits while MSI-X is off is not said
    const isOn = (oracle.read(this.#duties.bits.capabilities.get(0x11)! + 2, 2) & 0x8000) !== 0;
    const isOpen = step.kind === KIND.raise && this.actions?.restarts === true && !isOn;
    const isNarrow = step.kind === KIND.write && step.region !== REGION.config && step.width < 4;
    for (let v = 0; v < shown; v++) {
      const words = [0, 4, 8, 12].map((at) => readLe(entries, 16 * v + at, 4));
      for (let w = 0; w < 4; w++) {
        const want = readLe(
          Uint8Array.from({ length: 4 }, (_, i) => msix.tableByte(16 * v + 4 * w + i)),
          0,
          4,
        );
        // after a reset address and data are what they are
        const judged = reset && w < 3 ? 0 : ENTRY_JUDGED[w];
        const bits = ((words[w] ^ want) & judged) >>> 0;
        if (bits === 0) continue;
        const text = `msix.table[${v}].${ENTRY[w]} is ${hex(words[w])}, should be ${hex(want)}`;
        if (isNarrow) found.push(narrow(text));
        else {
          const isReserved = w === 3 && (bits & 1) === 0;
          const verdict = isReserved ? 'custom' : 'violates';
          const register = reset === 'hot' ? 'registers' : `msix.table.${ENTRY[w]}`;
          found.push({ law: lawOfReset(reset) ?? 'table', register, bits, section: '§7.7.2.8', verdict, text });
        }
      }
      const bit = ((pending[v >> 3] >> (v & 7)) & 1) === 1;
      const should = oracle.msix!.vector(v)?.pending ?? false;
      if (bit !== should && !this.#messagesUndefined && !isOpen) {
        const text = `vector ${v} is ${bit ? '' : 'not '}pending, should ${should ? '' : 'not '}be`;
        const [law, register] =
          reset === 'hot'
            ? (['d3hot to d0', 'registers'] as const)
            : ([lawOfReset(reset) ?? 'pending', `msix.pba, ${bit ? 'set' : 'clear'}`] as const);
        found.push({ law, register, bits: 0, section: '§6.1.4.5', verdict: 'violates', text });
      }
      if (bit !== should || msix.vector(v) || words.some((word, w) => word !== (w === 3 ? 1 : 0)))
        msix.adopt(v, words, bit);
    }
    return found;
  }

  /** Software's mistake; what then becomes of Multiple Message Enable is not said. §7.7.1.2 */
  get #grantsTooMany(): boolean {
    const msi = this.#duties.bits.capabilities.get(5);
    if (msi === undefined) return false;
    const ctrl = this.oracle.bytes[msi + 2];
    return ((ctrl >> 4) & 7) > ((ctrl >> 1) & 7);
  }

  /** Both mechanisms on, or more MSI vectors granted than there are: what is sent is not defined. §6.1.4, §7.7.1.2 */
  get #messagesUndefined(): boolean {
    const { capabilities } = this.#duties.bits;
    const { bytes } = this.oracle;
    const [msi, msix] = [capabilities.get(5), capabilities.get(0x11)];
    const on = msi !== undefined && (bytes[msi + 2] & 1) !== 0;
    if (on && msix !== undefined && bytes[msix + 3] & 0x80) return true;
    if (this.#isPort && !(bytes[4] & 4)) return true; // what Bus Master Enable means for a port's own messages is not said
    return on && this.#grantsTooMany;
  }

  #compareMessages(arrived: Map<number, number>): Difference[] {
    const expected = new Map<number, number>();
    for (const { addressLo, addressHi, data } of this.oracle.effects.messages) {
      const word = (addressLo - MESSAGE_PAGE) >> 2;
      if (addressHi === 0 && word >= 0 && word < MESSAGE_WORDS) expected.set(word, data);
    }
    const wrong = (what: string, text: string): Difference => {
      const section = this.power === 0 ? '§6.1.4' : '§5.3.1.4.1';
      return { law: 'message', register: `message, ${what}`, bits: 0, section, verdict: 'violates', text };
    };
    for (const [word, data] of arrived) {
      const want = expected.get(word);
      if (want === data) this.arrived++;
      if (want === data) continue;
      const place = hex(MESSAGE_PAGE + 4 * word);
      if (want !== undefined) return [wrong('data', `${hex(data)} was sent to ${place}, should be ${hex(want)}`)];
      return [wrong('unasked', `${hex(data)} was sent to ${place}, should not have been`)];
    }
    for (const [word, data] of expected)
      if (!arrived.has(word))
        return [wrong('missing', `${hex(data)} should have been sent to ${hex(MESSAGE_PAGE + 4 * word)}`)];
    return [];
  }

  #compareLine(want: number, status: boolean, isWake: boolean): Difference[] {
    const got = this.peer.line() ?? want;
    const found: Difference[] = [];
    const add = (register: string, section: string, text: string) =>
      found.push({
        ...(isWake ? WAKE : { law: 'line', register }),
        ...{ bits: 0, section, verdict: 'violates', text },
      });
    const command = hex(this.oracle.read(4, 2), 4);
    if (status) {
      const now = (this.oracle.bytes[STATUS] & INTERRUPT_STATUS) !== 0;
      add(
        `Interrupt Status, ${now ? 'set' : 'clear'}`,
        '§7.5.1.1.4',
        `Interrupt Status is ${Number(now)}, should be ${Number(!now)}`,
      );
    } else if (got !== want)
      add(
        `INTx, ${got ? 'asserted' : 'deasserted'}`,
        '§7.5.1.1.3',
        `the interrupt line is ${got ? '' : 'not '}asserted, should ${want ? '' : 'not '}be; Command is ${command}`,
      );
    return found;
  }

  nameOf(region: number, offset: number): string {
    if (region === REGION.config)
      return registersAt(this.layout, offset, 1)[0]?.register.name ?? `config+${hex(offset, 2)}`;
    const m = this.#msix;
    if (m && region === m.table[0] && offset >= m.table[1] && offset < m.table[1] + 16 * m.count)
      return `msix.table.${ENTRY[((offset - m.table[1]) >> 2) & 3]}`;
    return m && region === m.pba[0] && offset >= m.pba[1] ? 'msix.pba' : `BAR ${region}`;
  }

  where(region: number, offset: number, width: number): string {
    const name = this.nameOf(region, offset);
    if (region === REGION.config) return name.startsWith('config+') ? name : `${name} (config+${hex(offset, 2)})`;
    return `${name} (BAR ${region}+${hex(offset)}, width ${width})`;
  }

  #section(region: number, offset: number): string {
    return region === REGION.config ? this.#duties.duty[offset].section : '§7.7.2';
  }
}

/** Accesses to table and pending bits other than of aligned dwords and quadwords are not defined. PCI 3.0 §6.8.2 */
function narrow(text: string): Difference {
  return { law: 'narrow', register: 'msix.table', bits: 0, section: 'PCI 3.0 §6.8.2', verdict: 'custom', text };
}

function lawOfReset(reset: Cause['reset']): Law | undefined {
  if (reset === 'conventional') return 'reset';
  if (reset === 'flr') return 'flr';
  return reset && 'd3hot to d0';
}

function sectionOf(law: Law, duty: Duty): string {
  if (law === 'reset') return `§6.6.1, ${duty.section}`;
  if (law === 'flr') return `§6.6.2, ${duty.section}`;
  return duty.section;
}

const ones = (width: number) => 2 ** (8 * width) - 1;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
