import { type Arena, explainRegister, hex, ones, type Width } from '../../core/index.ts';
import {
  createFunction,
  type EmulatedFunction,
  type FunctionSpec,
  type ResetKind,
  registersAt,
} from '../../pci/index.ts';
import { type Access, REGION } from '../access.ts';
import { checkLaws, type Facts, factsOf } from '../oracle/laws.ts';
import { NaiveFunction, type NaiveState } from '../oracle/naive-function.ts';
import type { Place, SeenEffects, SeenRead } from '../reproducers/script.ts';

const ENTRY_WORDS = ['addressLo', 'addressHi', 'data', 'vectorControl'];

/** What {@link Twin.restore} takes; the model's state is in the arena it was made in. */
export interface TwinState {
  oracle: NaiveState;
  line: number;
}

/** A function twice: as the model has it and as {@link NaiveFunction} tells it, and the comparisons between the two. */
export class Twin {
  readonly spec: FunctionSpec;
  readonly model: EmulatedFunction;
  readonly oracle: NaiveFunction;
  readonly #facts: Facts;
  /** What the interrupt line was last told to be. */
  line = 0;
  /** What the last step did, while `telling`: in words, what was read, and what was sent. */
  did = '';
  seenRead: SeenRead | undefined;
  seenEffects: SeenEffects | undefined;
  telling = false;

  /** @param make makes the model, where it is more than a function with registers */
  constructor(
    spec: FunctionSpec,
    arena: Arena,
    make: (spec: FunctionSpec) => EmulatedFunction = (s) => createFunction(s, { arena }),
  ) {
    const image = spec.image.slice();
    image[6] &= ~8; // the interrupt status of a dump's moment, which nobody can know
    this.spec = { ...spec, image };
    this.model = make(this.spec);
    this.oracle = new NaiveFunction(this.model.layout);
    this.#facts = factsOf(this.oracle.bits);
  }

  /** The arena is back where it was when the twin was made. */
  begin(): void {
    this.model.effects.length = 0;
    this.oracle.begin();
    this.line = 0;
    this.telling = false;
  }

  save(): TwinState {
    return { oracle: this.oracle.save(), line: this.line };
  }

  restore(saved: TwinState): void {
    this.model.effects.length = 0;
    this.oracle.restore(saved.oracle);
    this.line = saved.line;
  }

  /** Forgets the messages of the last step. */
  clear(): void {
    if (this.oracle.effects.messages.length > 0) this.oracle.effects.messages = [];
    this.seenRead = undefined;
  }

  readConfig(offset: number, width: Width): string | undefined {
    const got = this.model.readConfig(offset, width);
    const want = this.oracle.read(offset, width);
    if (this.telling) this.seenRead = { got, want, mask: this.#judged(offset, width) };
    if (got === want || !this.#differs(offset, width, got ^ want)) return undefined;
    return `read: ${this.where(REGION.config, offset, width)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  writeConfig(offset: number, width: Width, value: number): string | undefined {
    this.model.writeConfig(offset, width, value);
    this.oracle.write(offset, width, value);
    return this.compareConfig(offset & ~3, 8);
  }

  readBar(bar: number, offset: number, width: Width): string | undefined {
    const got = this.model.readBar(bar, offset, width);
    const want = this.oracle.readBar(bar, offset, width);
    if (this.telling) this.seenRead = { got, want, mask: ones(width) };
    if (got === want) return undefined;
    return `read: ${this.where(bar, offset, width)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  writeBar(bar: number, offset: number, width: Width, value: number): void {
    this.model.writeBar(bar, offset, width, value);
    this.oracle.writeBar(bar, offset, width, value);
  }

  raise(vector: number): void {
    this.model.raise(vector);
    this.oracle.raise(vector);
  }

  lower(): void {
    this.model.lower();
    this.oracle.lower();
  }

  reset(kind: ResetKind): void {
    this.model.reset(kind);
    this.oracle.reset(kind);
  }

  /** Every register and every entry, and that the width of a read does not matter. */
  compareAll(): string | undefined {
    const { model, oracle } = this;
    const { msix } = model;
    const wrong = this.compareConfig(0, model.configSize);
    if (wrong) return wrong;
    for (let at = 0; at < 0x100; at += 4) {
      const dword = model.readConfig(at, 4);
      const high = model.readConfig(at + 2, 2);
      const odd = model.readConfig(at + 1, 1);
      if (high !== dword >>> 16 || odd !== ((dword >>> 8) & 0xff))
        return `width: config+${hex(at)} reads ${hex(dword)} as a dword, ${hex(high)} and ${hex(odd)} in parts`;
    }
    if (!msix || !oracle.msix) return undefined;
    const { words, pending } = msix.table;
    let touched = 0;
    for (const [index, vector] of oracle.msix.touched) {
      for (let w = 0; w < 4; w++) {
        const offset = msix.tableOffset + 16 * index + 4 * w;
        const got = model.readBar(msix.tableBar, offset, 4);
        if (got !== vector.words[w])
          return `table: vector ${index} ${ENTRY_WORDS[w]} is ${hex(got)}, should be ${hex(vector.words[w])}`;
        const byte = model.readBar(msix.tableBar, offset + 1, 1);
        if (byte !== ((got >>> 8) & 0xff)) return `width: byte ${hex(offset + 1)} of the table reads ${hex(byte)}`;
      }
      const bit = (model.readBar(msix.pbaBar, msix.pbaOffset + (index >> 3), 1) >> (index & 7)) & 1;
      if ((bit === 1) !== vector.pending)
        return `pending: vector ${index} is ${bit ? '' : 'not '}pending, should ${vector.pending ? '' : 'not '}be`;
      touched++;
    }
    for (let v = 0; v < msix.count && touched < msix.count; v++) {
      if (words[4 * v + 3] === 1 && (words[4 * v] | words[4 * v + 1] | words[4 * v + 2]) === 0) continue;
      if (!oracle.msix.vector(v)) return `table: vector ${v} changed though nothing was written to it`;
    }
    for (let w = 0; w < pending.length; w++)
      for (let bits = pending[w]; bits !== 0; bits &= bits - 1) {
        const v = 32 * w + 31 - Math.clz32(bits & -bits);
        if (!oracle.msix.vector(v)?.pending) return `pending: vector ${v} is pending, should not be`;
      }
    return undefined;
  }

  compareConfig(from: number, length: number): string | undefined {
    const { model, oracle } = this;
    const { bytes } = model.config;
    const { volatile } = oracle.bits;
    const { words } = model.config;
    const end = Math.min(from + length, bytes.length);
    for (let at = from; at < end; at++) {
      while (at < end && (at & 3) === 0 && words[at >> 2] === oracle.words[at >> 2]) at += 4;
      if (at >= end) break;
      if (bytes[at] === oracle.bytes[at]) continue;
      if (((bytes[at] ^ oracle.bytes[at]) & ~volatile[at]) === 0) {
        oracle.bytes[at] = bytes[at];
        continue;
      }
      const [found] = registersAt(model.layout, at, 1);
      const name = found ? found.register.name : `byte ${hex(at)}`;
      return `bits of ${name}: byte ${hex(at)} holds ${hex(bytes[at], 2)}, should be ${hex(oracle.bytes[at], 2)}`;
    }
    return undefined;
  }

  /** The laws of {@link FUNCTION_LAWS}; messages are those of the last step, which were as they should be. */
  checkLaws(access: Access): string | undefined {
    return checkLaws({ device: this.model, facts: this.#facts, access, sent: this.oracle.effects.messages });
  }

  /** What was told to the outside against what must have been. */
  compareEffects(): string | undefined {
    const { effects } = this.model;
    const want = this.oracle.effects.messages;
    if (this.telling) this.#tellEffects();
    if (effects.length === 0 && want.length === 0 && this.line === this.oracle.effects.line) return undefined;
    let n = 0;
    let wrong: string | undefined;
    for (const effect of effects) {
      if (effect.kind === 'intx') {
        this.line = effect.level;
        continue;
      }
      const expected = want[n++];
      if (wrong) continue;
      if (!expected) wrong = `message: vector ${effect.vector} fired, should not have`;
      else if (effect.vector !== expected.vector)
        wrong = `message: vector ${effect.vector} fired where vector ${expected.vector} should have`;
      else if (
        effect.addressLo !== expected.addressLo ||
        effect.addressHi !== expected.addressHi ||
        effect.data !== expected.data
      )
        wrong =
          `message bytes: vector ${effect.vector} wrote ${hex(effect.data)} to ${hex(effect.addressHi)}:${hex(effect.addressLo, 8)}, ` +
          `should be ${hex(expected.data)} to ${hex(expected.addressHi)}:${hex(expected.addressLo, 8)}`;
    }
    effects.length = 0;
    if (!wrong && n < want.length) wrong = `message: vector ${want[n].vector} should have fired and did not`;
    if (!wrong && this.line !== this.oracle.effects.line)
      wrong = `line: INTx is ${this.line ? '' : 'de'}asserted, should be ${this.oracle.effects.line ? '' : 'de'}asserted`;
    return wrong;
  }

  #tellEffects(): void {
    const { effects } = this.model;
    const levels = effects.flatMap((e) => (e.kind === 'intx' ? [e.level] : []));
    this.seenEffects = {
      got: { messages: effects.filter((e) => e.kind === 'message'), line: levels.at(-1) ?? this.line },
      want: { messages: this.oracle.effects.messages.slice(), line: this.oracle.effects.line },
    };
    this.did = '';
    for (const e of this.model.effects) {
      if (e.kind === 'intx') this.did += ` INTx ${e.level ? 'asserts' : 'deasserts'}`;
      else this.did += ` message ${e.vector}`;
      if (this.did.length > 200) break;
    }
  }

  /** The place of an access in register terms. */
  where(region: number, offset: number, width: number): string {
    const { msix } = this.model;
    if (region === REGION.config) {
      const [found] = registersAt(this.model.layout, offset, width);
      return `config+${hex(offset, 2)} width ${width}${found ? ` (${found.register.name})` : ''}`;
    }
    const inside = (bar: number, at: number, size: number) => region === bar && offset >= at && offset < at + size;
    if (msix && inside(msix.tableBar, msix.tableOffset, msix.tableBytes)) {
      const at = offset - msix.tableOffset;
      return `msix.table[${at >> 4}].${ENTRY_WORDS[(at >> 2) & 3]}${at & 3 ? `+${at & 3}` : ''} width ${width}`;
    }
    if (msix && inside(msix.pbaBar, msix.pbaOffset, msix.pbaBytes))
      return `msix.pba+${hex(offset - msix.pbaOffset)} width ${width}`;
    return `BAR ${region}+${hex(offset)} width ${width}`;
  }

  /** Reads that show where the model's registers are not what they should be, widest first. */
  differences(): Place[] {
    const places: Place[] = [];
    const { model, oracle } = this;
    const { msix } = model;
    const look = (region: number, from: number, bytes: number, width: Width) => {
      for (let offset = from; offset < from + bytes; offset += width) {
        const inConfig = region === REGION.config;
        const got = inConfig ? model.readConfig(offset, width) : model.readBar(region, offset, width);
        const want = inConfig ? oracle.read(offset, width) : oracle.readBar(region, offset, width);
        if (((got ^ want) & (inConfig ? this.#judged(offset, width) : -1)) !== 0)
          places.push({ region, offset, width });
      }
    };
    for (const width of [4, 2, 1] as const) {
      look(REGION.config, 0, model.configSize, width);
      if (msix) look(msix.tableBar, msix.tableOffset, msix.tableBytes, width);
      if (msix) look(msix.pbaBar, msix.pbaOffset, msix.pbaBytes, width);
      if (places.length > 0) break;
    }
    return places;
  }

  #differs(offset: number, width: number, difference: number): boolean {
    return (difference & this.#judged(offset, width)) !== 0;
  }

  /** Bits of a read that are compared, unsigned. */
  #judged(offset: number, width: number): number {
    const { volatile } = this.oracle.bits;
    let mask = 0;
    for (let i = 0; i < width; i++) mask |= (~(volatile[offset + i] ?? 0) & 0xff) << (8 * i);
    return mask >>> 0;
  }

  /** The fields of a written value, where it is a whole register. */
  fields(step: Access): string {
    if (step.region !== REGION.config) return '';
    const [found] = registersAt(this.model.layout, step.offset, step.width);
    if (!found || found.at !== step.offset || found.register.width !== step.width) return '';
    return `: ${explainRegister(found.register, step.value)}`;
  }
}
