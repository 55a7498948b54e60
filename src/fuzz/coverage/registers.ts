import { fieldMask, readLe } from '../../core/index.ts';
import { createFunction, type EmulatedFunction, type FunctionSpec, registersAt } from '../../pci/index.ts';
import { type Access, KIND, REGION, RESET } from '../access.ts';

/** What inputs did to the registers of one name, in all functions that have one. */
export interface RegisterRow {
  /** `msi.ctrl`; what stands before the dot is its table. */
  name: string;
  reads: number;
  writes: number;
  /** Bits that software can change, and those of them that were seen both 0 and 1. */
  writableBits: number;
  toggledBits: number;
  /** Fields with a writable bit that kept its value throughout. */
  neverToggled: string[];
}

interface Seen {
  reads: number;
  writes: number;
  /** By field: its name, its mask, and bits seen as 0 and as 1 after an access to the register. */
  fields: { label: string; mask: number; zero: number; one: number }[];
}

/** Tells which registers of configuration space inputs reach, by carrying them out once more. */
export class RegisterTally {
  readonly #seen = new Map<string, Seen>();

  /** Carries out an input on a function of its own; accesses beyond configuration space count by what they change in it. */
  add(spec: FunctionSpec, steps: readonly Access[]): void {
    const fn = createFunction(spec);
    for (const { at, register } of fn.layout.registers) this.#note(fn, at, register.width);
    for (const step of steps) {
      const { kind, region, offset, value } = step;
      const width = step.width as 1 | 2 | 4;
      if (kind === KIND.reset) fn.reset(value === RESET.flr ? 'flr' : 'conventional');
      else if (region === REGION.config && kind === KIND.read) fn.readConfig(offset, width);
      else if (region === REGION.config && kind === KIND.write) fn.writeConfig(offset, width, value);
      else continue;
      fn.effects.length = 0;
      if (kind === KIND.reset) continue;
      for (const seen of this.#note(fn, offset, width)) kind === KIND.read ? seen.reads++ : seen.writes++;
    }
  }

  /** By name. */
  rows(): RegisterRow[] {
    const rows: RegisterRow[] = [];
    for (const [name, { reads, writes, fields }] of this.#seen) {
      const stuck = (f: Seen['fields'][number]) => f.mask & ~(f.zero & f.one);
      const count = (of: (f: Seen['fields'][number]) => number) => fields.reduce((sum, f) => sum + bits(of(f)), 0);
      const writableBits = count((f) => f.mask);
      const neverToggled = fields.filter((f) => stuck(f) !== 0).map((f) => f.label);
      rows.push({ name, reads, writes, writableBits, toggledBits: writableBits - count(stuck), neverToggled });
    }
    return rows.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Notes the values that the registers in a range have now. */
  #note(fn: EmulatedFunction, offset: number, width: number): Seen[] {
    return registersAt(fn.layout, offset, width).map(({ at, register }) => {
      const { name, fields } = register;
      const writable = readLe(fn.layout.writable, at, register.width) | readLe(fn.layout.w1c, at, register.width);
      let seen = this.#seen.get(name);
      if (!seen) {
        seen = { reads: 0, writes: 0, fields: [] };
        for (const label of Object.keys(fields)) seen.fields.push({ label, mask: 0, zero: 0, one: 0 });
        this.#seen.set(name, seen);
      }
      const value = fn.config.get(at, register.width);
      for (const field of seen.fields) {
        const described = fields[field.label];
        if (!described) continue;
        const mask = writable & fieldMask(described);
        field.mask |= mask;
        field.one |= value & mask;
        field.zero |= ~value & mask;
      }
      return seen;
    });
  }
}

function bits(word: number): number {
  let count = 0;
  for (let rest = word >>> 0; rest !== 0; rest = (rest & (rest - 1)) >>> 0) count++;
  return count;
}
