import { hex, type Prng, type Width } from '../../core/index.ts';
import { type FunctionSpec, registersAt } from '../../pci/index.ts';
import { type Access, KIND, REGION, RESET, SIGNAL } from '../access.ts';
import { NaiveFunction } from '../oracle/naive-function.ts';
import type { NaiveMessage } from '../oracle/naive-vectors.ts';
import type { FunctionTarget } from '../targets/devices.ts';
import type { FunctionSubject } from '../targets/function-subject.ts';
import type { PeerEvent } from './peer.ts';

/** A place that must read so: bits of `mask` equal to those of `value`. */
export interface Check {
  region: number;
  offset: number;
  width: Width;
  value: number;
  mask: number;
}

/**
 * What a peer ought to be: the naive function made from what the peer says of itself, and a subject of a target that makes
 * the accesses. Bits that belong to no register known here are the device's own and are not judged, nor are those that
 * were excused.
 */
export class Reference {
  readonly spec: FunctionSpec;
  readonly #subject: FunctionSubject;
  readonly #naive: NaiveFunction;
  /** Bits of each byte of configuration space that are compared. */
  readonly #judged: Uint8Array;
  /** The same of the four words of every table entry, and of the pending bits. */
  readonly #judgedEntry = [-1, -1, -1, -1];
  #judgedPending = -1;
  readonly #can: { raise: boolean; lower: boolean };

  /** @param can what the peer can be made to do, beside accesses */
  constructor(spec: FunctionSpec, target: FunctionTarget, can: { raise: boolean; lower: boolean }) {
    this.#subject = target.openSpec(spec);
    const { model } = this.#subject;
    this.spec = spec;
    this.#naive = new NaiveFunction(model.layout);
    this.#can = can;
    this.#judged = new Uint8Array(model.configSize);
    for (const { at, register } of model.layout.registers) this.#judged.fill(0xff, at, at + register.width);
    for (let at = 0; at < this.#judged.length; at++) this.#judged[at] &= ~this.#naive.bits.volatile[at];
    this.#judged[6] &= ~8; // the interrupt status of the moment it was read in
  }

  begin(): void {
    this.#subject.begin();
    this.#naive.begin();
  }

  /** An access that its target makes and the peer can be given. */
  generate(prng: Prng): Access {
    for (;;) {
      const step = this.#subject.generate(prng);
      if (step.kind === KIND.raise && !(step.value === SIGNAL.begins ? this.#can.raise : this.#can.lower)) continue;
      if (step.kind === KIND.reset && step.value === RESET.flr) continue;
      if (!this.#isWithin(step)) continue;
      return step;
    }
  }

  /** A peer may refuse what leaves a region; a function on a bus cannot be asked that, and answers with ones. */
  #isWithin({ kind, region, offset, width }: Access): boolean {
    if (kind !== KIND.read && kind !== KIND.write) return true;
    const bar = this.spec.bars.find((b) => b.bar === region);
    const size = region === REGION.config ? this.#judged.length : (bar?.sizeBytes ?? 0);
    return offset + width <= size;
  }

  simpler(step: Access): Access[] {
    return this.#subject.simpler(step).filter((simpler) => this.#isWithin(simpler));
  }

  /** In register terms; before {@link run}. */
  tell(step: Access): string {
    return this.#subject.tell(step);
  }

  /** What a read must give now. */
  expectRead({ region, offset, width }: Access): Check {
    return this.#check(region, offset, width as Width);
  }

  /** Carries out what is no read. @returns what can be seen of it in registers */
  run(step: Access): Check[] {
    const { kind, region, offset, width, value } = step;
    this.#subject.run(step); // keeps up with the peer what the next accesses are made from
    if (kind === KIND.reset) this.#naive.reset('conventional');
    else if (kind === KIND.raise) {
      if (value === SIGNAL.begins) this.#naive.raise(offset);
      else this.#naive.lower();
    } else if (region === REGION.config) this.#naive.write(offset, width, value);
    else this.#naive.writeBar(region, offset, width, value);
    if (kind !== KIND.write) return [];
    const checks: Check[] = [];
    for (let at = offset & ~3; at < offset + width; at += 4) checks.push(this.#check(region, at, 4));
    return checks.filter((check) => check.mask !== 0);
  }

  /** Every register, and every table entry that was touched. */
  all(): Check[] {
    const { msix } = this.#subject.model;
    const checks: Check[] = [];
    for (let at = 0; at < this.#judged.length; at += 4) checks.push(this.#check(REGION.config, at, 4));
    if (msix && this.#naive.msix)
      for (const [vector] of this.#naive.msix.touched)
        for (let at = 0; at < 16; at += 4)
          checks.push(this.#check(msix.tableBar, msix.tableOffset + 16 * vector + at, 4));
    return checks.filter((check) => check.mask !== 0);
  }

  /** The first difference between what the peer told and what it had to tell since the last call. */
  compareEvents(events: readonly PeerEvent[]): string | undefined {
    const want = this.#naive.effects.messages;
    this.#naive.effects.messages = [];
    const messages = events.filter((event) => event.kind === 'message');
    for (const [i, event] of messages.entries()) {
      if (i >= want.length) return `message: ${describe(event)} was sent, should not have been`;
      if (differs(event, want[i])) return `message: ${describe(event)} was sent, should be ${describe(want[i])}`;
    }
    if (messages.length < want.length) return `message: ${describe(want[messages.length])} was not sent`;
    const line = events.findLast((event) => event.kind === 'intx');
    if (line?.kind === 'intx' && (line.level ?? 1) !== this.#naive.effects.line)
      return `line: INTx is ${this.#naive.effects.line ? 'de' : ''}asserted`;
    return undefined;
  }

  /** Bits that were found different are left out from now on: what else is wrong shall show. */
  excuse({ region, offset, width }: Check, bits: number): void {
    const { msix } = this.#subject.model;
    for (let i = 0; i < width; i++) {
      const byte = (bits >>> (8 * i)) & 0xff;
      const at = offset + i;
      if (region === REGION.config) this.#judged[at] &= ~byte;
      else if (msix && region === msix.tableBar && at < msix.tableOffset + msix.tableBytes)
        this.#judgedEntry[((at - msix.tableOffset) >> 2) & 3] &= ~(byte << (8 * (at & 3)));
      else this.#judgedPending = byte ? 0 : this.#judgedPending;
    }
  }

  /** The register or table word at a place, without offsets of entries: what two differences have in common. */
  name(region: number, offset: number, width: number): string {
    if (region === REGION.config) {
      const [found] = registersAt(this.#subject.model.layout, offset, width);
      return found?.register.name ?? `config+${hex(offset, 2)}`;
    }
    const { msix } = this.#subject.model;
    if (!msix || region !== msix.tableBar || offset >= msix.tableOffset + msix.tableBytes) return 'msix.pba';
    return `msix.table.${['addressLo', 'addressHi', 'data', 'vectorControl'][((offset - msix.tableOffset) >> 2) & 3]}`;
  }

  #check(region: number, offset: number, width: Width): Check {
    if (region === REGION.config) {
      let mask = 0;
      for (let i = 0; i < width; i++) mask |= (this.#judged[offset + i] ?? 0) << (8 * i);
      return { region, offset, width, value: this.#naive.read(offset, width), mask };
    }
    const { msix } = this.#subject.model;
    const inTable = (at: number) =>
      region === msix?.tableBar && at >= msix.tableOffset && at < msix.tableOffset + msix.tableBytes;
    let mask = 0;
    for (let i = 0; i < width; i++) {
      const at = offset + i;
      const judged = inTable(at)
        ? this.#judgedEntry[((at - msix!.tableOffset) >> 2) & 3] >>> (8 * (at & 3))
        : this.#judgedPending;
      mask |= (judged & 0xff) << (8 * i);
    }
    return { region, offset, width, value: this.#naive.readBar(region, offset, width), mask };
  }
}

type Message = Partial<NaiveMessage>;

function differs(event: PeerEvent & Message, want: NaiveMessage): boolean {
  const fields = ['vector', 'addressLo', 'addressHi', 'data'] as const;
  return fields.some((field) => event[field] !== undefined && event[field] !== want[field]);
}

function describe({ vector, addressLo, addressHi = 0, data }: Message): string {
  const words = vector === undefined ? 'a message' : `the message of vector ${vector}`;
  return addressLo === undefined ? words : `${words} (${hex(data ?? 0)} to ${hex(addressHi)}:${hex(addressLo, 8)})`;
}
