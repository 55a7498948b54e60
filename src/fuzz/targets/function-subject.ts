import { Arena, hex, ones, type Prng, type Width } from '../../core/index.ts';
import type { EmulatedFunction, FunctionSpec } from '../../pci/index.ts';
import { type Access, KIND, NOT_APPLICABLE, REGION, RESET, SIGNAL } from '../access.ts';
import type { ScriptSource } from '../reproducers/script.ts';
import type { Subject } from '../target.ts';
import { placeFor, type Spot, spotsOf, valueFor, WIDTHS } from './spots.ts';
import { Twin, type TwinState } from './twin.ts';

/** How often each kind of access is made; whatever is missing is not. */
export interface Weights {
  configWrite: number;
  configRead: number;
  tableWrite?: number;
  tableRead?: number;
  pbaRead?: number;
  pbaWrite?: number;
  raise?: number;
  lower?: number;
  reset?: number;
}

interface Saved {
  model: Int32Array;
  twin: TwinState;
}

/** One function against its naive twin: every access to its configuration space and its MSI-X windows. */
export class FunctionSubject implements Subject<Access> {
  readonly label: string;
  readonly model: EmulatedFunction;
  readonly functions: readonly FunctionSpec[];
  readonly #arena = new Arena(1 << 18);
  readonly #twin: Twin;
  readonly #clean: Int32Array;
  readonly #spots: readonly Spot[];
  readonly #menu: readonly (keyof Weights)[];

  constructor(spec: FunctionSpec, weights: Weights, only?: RegExp) {
    this.label = spec.name;
    this.#twin = new Twin(spec, this.#arena);
    this.model = this.#twin.model;
    this.functions = [this.#twin.spec];
    this.#clean = this.#arena.snapshot();
    this.#spots = spotsOf(this.model.layout, 6, only);
    const menu: (keyof Weights)[] = [];
    for (const [name, weight] of Object.entries(weights) as [keyof Weights, number][]) {
      if (!this.model.msix && /^(table|pba)/.test(name)) continue;
      for (let n = 0; n < weight; n++) menu.push(name);
    }
    this.#menu = menu;
  }

  begin(): void {
    this.#arena.restore(this.#clean);
    this.#twin.begin();
  }

  save(): Saved {
    return { model: this.#arena.snapshot(), twin: this.#twin.save() };
  }

  restore(saved: Saved): void {
    this.#arena.restore(saved.model);
    this.#twin.restore(saved.twin);
  }

  generate(prng: Prng): Access {
    const { model } = this;
    const { msix } = model;
    const what = this.#menu[prng.below(this.#menu.length)];
    switch (what) {
      case 'configWrite': {
        const spot = this.#spots[prng.below(this.#spots.length)];
        const { offset, width } = placeFor(prng, spot, model.configSize);
        const value = valueFor(prng, spot, model.config.get(offset, width as Width));
        return access(KIND.write, REGION.config, width, model.bdf, offset, (value & ones(width as Width)) >>> 0);
      }
      case 'configRead': {
        const spot = this.#spots[prng.below(this.#spots.length)];
        const { offset, width } = placeFor(prng, spot, model.configSize);
        return access(KIND.read, REGION.config, width, model.bdf, offset, 0);
      }
      case 'tableWrite':
      case 'tableRead': {
        const word = prng.below(8);
        const at = 16 * this.#vector(prng) + (word < 4 ? 4 * word : 12);
        const odd = prng.below(8) === 0;
        const offset = msix!.tableOffset + at + (odd ? prng.below(4) : 0);
        const width = odd ? WIDTHS[prng.below(3)] : 4;
        const kind = what === 'tableWrite' ? KIND.write : KIND.read;
        const value = kind === KIND.read ? 0 : prng.below(4) ? prng.below(4) : prng.next();
        return access(kind, msix!.tableBar, width, model.bdf, offset, (value & ones(width)) >>> 0);
      }
      case 'pbaRead':
      case 'pbaWrite': {
        const width = prng.below(4) ? 4 : WIDTHS[prng.below(3)];
        const offset = msix!.pbaOffset + (prng.below(4) ? (this.#vector(prng) >> 5) * 4 : prng.below(msix!.pbaBytes));
        const write = what === 'pbaWrite';
        const value = write ? (prng.below(2) ? 0xffffffff : prng.next()) & ones(width) : 0;
        return access(write ? KIND.write : KIND.read, msix!.pbaBar, width, model.bdf, offset, value >>> 0);
      }
      case 'raise':
        return access(KIND.raise, NOT_APPLICABLE, NOT_APPLICABLE, model.bdf, this.#vector(prng), SIGNAL.begins);
      case 'lower':
        return access(KIND.raise, NOT_APPLICABLE, NOT_APPLICABLE, model.bdf, 0, SIGNAL.ends);
      default:
        return access(KIND.reset, NOT_APPLICABLE, NOT_APPLICABLE, model.bdf, 0, prng.below(2));
    }
  }

  mutate(prng: Prng, step: Access): Access {
    // of the one shape that all steps have: a spread would give it another, and slow all that reads steps
    const copy = access(step.kind, step.region, step.width, step.function, step.offset, step.value);
    if (step.kind === KIND.write) {
      const r = prng.below(4);
      if (r === 0) copy.value = (step.value ^ (1 << prng.below(8 * step.width))) >>> 0;
      else if (r === 1) copy.offset = Math.max(0, step.offset + prng.below(9) - 4);
      else if (r === 2) {
        copy.width = WIDTHS[prng.below(3)];
        copy.value = (copy.value & ones(copy.width as Width)) >>> 0;
      } else return this.generate(prng);
    } else if (step.kind === KIND.raise && prng.below(2)) copy.offset = this.#vector(prng);
    else return this.generate(prng);
    return copy;
  }

  run(step: Access): string | undefined {
    const twin = this.#twin;
    const { region, offset, value } = step;
    const width = step.width as Width;
    let wrong: string | undefined;
    twin.clear();
    switch (step.kind) {
      case KIND.read:
        wrong = region === REGION.config ? twin.readConfig(offset, width) : twin.readBar(region, offset, width);
        break;
      case KIND.write:
        if (region === REGION.config) wrong = twin.writeConfig(offset, width, value);
        else twin.writeBar(region, offset, width, value);
        break;
      case KIND.raise:
        if (value === SIGNAL.ends) twin.lower();
        else twin.raise(offset);
        break;
      case KIND.reset:
        twin.reset(value === RESET.flr ? 'flr' : 'conventional');
        break;
    }
    const sent = twin.compareEffects();
    return wrong ?? sent ?? twin.checkLaws(step);
  }

  finish(): string | undefined {
    return this.#twin.compareAll();
  }

  /** Enables, masks and power state, the line, and of the first vectors touched whether masked and pending. */
  abstractState(): number {
    const { model, oracle } = this.#twin;
    const { config, msi, msix } = model;
    let h = config.get(4, 4) & 0xf908_0547;
    const mix = (value: number) => {
      h = Math.imul(h ^ value, 0x01000193);
      h ^= h >>> 15;
    };
    const pm = oracle.bits.capabilities.get(1);
    if (pm) mix(config.get(pm + 4, 1) & 3);
    if (msi) {
      mix(msi.control & 0x471);
      mix((msi.maskBits & 15) | ((msi.pendingBits & 15) << 4));
    }
    if (msix && oracle.msix) {
      mix(msix.control >>> 14);
      let n = 0;
      for (const [index, v] of oracle.msix.touched) {
        if (++n > 5) break;
        mix((index === 0 ? 4 : 0) | (index === msix.count - 1 ? 8 : 0) | (v.masked ? 1 : 0) | (v.pending ? 2 : 0));
      }
    }
    mix(this.#twin.line);
    return h;
  }

  simpler(step: Access): Access[] {
    const list: Access[] = [];
    const with_ = (change: Partial<Access>) => list.push({ ...step, ...change });
    if (step.kind === KIND.write) {
      if (step.value !== 0) with_({ value: 0 });
      for (let bit = 0; bit < 8 * step.width; bit++)
        if (step.value & (1 << bit) && (step.value & ~(1 << bit)) !== 0)
          with_({ value: (step.value & ~(1 << bit)) >>> 0 });
    }
    if (step.kind === KIND.write || step.kind === KIND.read) {
      if (step.width > 1)
        with_({ width: step.width >> 1, value: (step.value & ones((step.width >> 1) as Width)) >>> 0 });
      if (step.width === 1 && step.offset & 1)
        with_({ offset: step.offset - 1, width: 2, value: (step.value << 8) >>> 0 });
      const { msix } = this.model;
      if (msix && step.region === msix.tableBar && step.offset >= msix.tableOffset + 16)
        with_({ offset: step.offset - 16 * ((step.offset - msix.tableOffset) >> 4) });
    }
    if (step.kind === KIND.raise && step.offset > 0) {
      with_({ offset: 0 });
      with_({ offset: step.offset >> 1 });
    }
    return list;
  }

  tell(step: Access): string {
    this.#twin.telling = true;
    switch (step.kind) {
      case KIND.read:
        return `read ${step.width} at ${this.#twin.where(step.region, step.offset, step.width)}`;
      case KIND.write:
        return `write ${hex(step.value, 2 * step.width)} to ${this.#twin.where(step.region, step.offset, step.width)}${this.#twin.fields(step)}`;
      case KIND.raise:
        return step.value === SIGNAL.ends ? 'the condition ends' : `the device signals vector ${step.offset}`;
      default:
        return step.value === RESET.flr ? 'function level reset' : 'conventional reset';
    }
  }

  outcome(): string {
    return this.#twin.did;
  }

  get script(): ScriptSource {
    const twin = this.#twin;
    return {
      behind: [-1],
      seen: () => ({ read: twin.seenRead, effects: [twin.seenEffects] }),
      differences: () =>
        twin
          .differences()
          .map(({ region, offset, width }) => access(KIND.read, region, width, twin.model.bdf, offset, 0)),
    };
  }

  #vector(prng: Prng): number {
    const count = this.model.msix?.count ?? 32;
    const r = prng.below(8);
    if (r < 4) return prng.below(Math.min(4, count));
    if (r === 4) return count - 1;
    if (r === 5) return Math.max(0, Math.min(count, [31, 32, 63, 64][prng.below(4)]));
    return prng.below(count + (prng.below(16) === 0 ? 2 : 0));
  }
}

export function access(kind: number, region: number, width: number, fn: number, offset: number, value: number): Access {
  return { kind, region, width, function: fn, offset, value, data: undefined };
}
