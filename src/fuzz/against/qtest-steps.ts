import { ones, type Prng, readLe, type Width } from '../../core/index.ts';
import { registersAt } from '../../pci/index.ts';
import { type Access, KIND, NOT_APPLICABLE, REGION, RESET, SIGNAL } from '../access.ts';
import { access } from '../targets/function-subject.ts';
import { type Spot, spotsOf, valueFor, WIDTHS } from '../targets/spots.ts';
import type { QtestDuel } from './qtest-duel.ts';
import { MESSAGE_PAGE, MESSAGE_WORDS } from './qtest-peer.ts';

/** What is accessed: all of configuration space, or what decides about messages, and those raised. */
export type Aim = 'config' | 'msi' | 'msix';

/** Registers that are the device's own, or windows to something else. */
const NOT_OURS = /^(vendor|virtio|shpc)\./;
const ABOUT_MESSAGES: Record<Aim, RegExp | undefined> = {
  config: undefined,
  msi: /^(command|msi\.|pm\.pmcsr|pcie\.deviceControl$)/,
  msix: /^(command|msix\.ctrl|pm\.pmcsr|pcie\.deviceControl$)/,
};
/** Slot Control with its interrupts disabled, power and indicators off. */
const SLOT_QUIET = 0x07c0;
const BYTES_OUTSIDE = 3;

/** Makes accesses that know the tables, to a function of QEMU; what they are made from is what it shows. */
export class QtestSteps {
  readonly aim: Aim;
  readonly #duel: QtestDuel;
  readonly #spots: readonly Spot[];
  readonly #bdf: number;

  constructor(duel: QtestDuel, aim: Aim) {
    this.aim = aim;
    this.#duel = duel;
    this.#bdf = duel.peer.bdf;
    const { layout } = duel;
    const ours = { ...layout, registers: layout.registers.filter(({ register }) => !NOT_OURS.test(register.name)) };
    const spots = spotsOf(ours, 3, ABOUT_MESSAGES[aim]);
    const claimed = new Uint8Array(layout.configSize);
    for (const { at, sizeBytes } of layout.capabilities) claimed.fill(1, at, at + sizeBytes);
    const outside = [...claimed.keys()].filter((at) => at >= 0x40 && !claimed[at]);
    const between = outside.filter((at) => (at & 3) !== 0 && claimed[at & ~3]);
    for (const at of aim === 'config' ? [...between, ...outside.slice(0, BYTES_OUTSIDE)] : [])
      spots.push({ at, width: 1, fields: [0xff] });
    this.#spots = spots;
  }

  /** Accesses that make the function reachable, before an input; none where only configuration space is looked at. */
  bringUp(): Access[] {
    if (this.aim === 'config') return [];
    const writes = this.#duel.peer.bringUp().map((w) => this.#write(w.offset, w.width, w.value));
    return [...writes, this.#write(4, 2, 0x0006)];
  }

  reset(): Access {
    return access(KIND.reset, NOT_APPLICABLE, NOT_APPLICABLE, this.#bdf, 0, RESET.conventional);
  }

  next(prng: Prng): Access {
    if (this.aim === 'config') return this.#configAccess(prng);
    const { duel, canRaise } = { duel: this.#duel, canRaise: this.#duel.actions !== undefined };
    if (!duel.isReachable && duel.power === 0 && prng.below(4) !== 0) return this.#repair(prng);
    if (prng.below(4) === 0) return this.#towardsMessages(prng);
    const r = prng.below(16);
    if (r < 5 && canRaise && duel.isReachable) return this.#signal(prng, SIGNAL.begins);
    if (r < 7 && canRaise && duel.isReachable) return this.#signal(prng, SIGNAL.ends);
    const { msix } = duel;
    if (r < 12 && this.aim === 'msix' && msix && (duel.isReachable || duel.power === 3))
      return this.#tableAccess(prng, msix);
    if (r === 15 && prng.below(4) === 0) return this.reset();
    return this.#configAccess(prng);
  }

  /** Simpler steps that might do as well. */
  simpler(step: Access): Access[] {
    const list: Access[] = [];
    const with_ = (change: Partial<Access>) => list.push({ ...step, ...change });
    if (step.kind === KIND.raise && step.offset > 0) with_({ offset: 0 });
    if (step.kind === KIND.raise && step.value === SIGNAL.begins) with_({ value: SIGNAL.ends });
    if (step.kind !== KIND.write && step.kind !== KIND.read) return list;
    const { msix } = this.#duel;
    if (msix && step.region === msix.bar && step.offset >= msix.offset + 16)
      with_({ offset: msix.offset + ((step.offset - msix.offset) & 15) });
    if (step.region === REGION.config && step.width > 1) {
      const half = (step.width >> 1) as Width;
      for (const up of [0, half])
        with_({ offset: step.offset + up, width: half, value: (step.value >>> (8 * up)) & ones(half) });
    }
    if (step.kind === KIND.write) {
      if (step.value !== 0) with_({ value: 0 });
      for (let bit = 8 * step.width - 1; bit >= 0; bit--) {
        const value = (step.value & ~(1 << bit)) >>> 0;
        if (value !== step.value && value !== 0) with_({ value });
      }
    }
    return list;
  }

  /** Something without which no message is sent: enable, unmask, address, bus master. */
  #towardsMessages(prng: Prng): Access {
    const { layout, msix, oracle, actions, isReachable } = this.#duel;
    const at = (id: number) => layout.capabilities.find((c) => !c.extended && c.id === id)?.at ?? 0;
    const r = prng.below(5);
    if (r === 0) return this.#write(4, 2, oracle.read(4, 2) | 6);
    if (this.aim === 'msi') {
      if (r < 3) return this.#write(at(5) + 4, 4, this.#slotAddress(prng));
      return this.#write(at(5) + 2, 2, oracle.read(at(5) + 2, 2) | 1);
    }
    if (r === 1 || !msix || !isReachable) return this.#write(at(0x11) + 2, 2, oracle.read(at(0x11) + 2, 2) | 0x8000);
    if (r === 2) return this.#write(at(0x11) + 2, 2, oracle.read(at(0x11) + 2, 2) & ~0x4000);
    const entry = msix.offset + 16 * prng.below(actions?.vectors ?? 1);
    if (r === 3) return access(KIND.write, msix.bar, 4, this.#bdf, entry + 12, 0);
    return access(KIND.write, msix.bar, 4, this.#bdf, entry, this.#slotAddress(prng));
  }

  #signal(prng: Prng, what: number): Access {
    const vector = prng.below(this.aim === 'msi' ? 1 : this.#duel.actions!.vectors);
    return access(KIND.raise, NOT_APPLICABLE, NOT_APPLICABLE, this.#bdf, vector, what);
  }

  #write(offset: number, width: number, value: number): Access {
    return access(KIND.write, REGION.config, width, this.#bdf, offset, value >>> 0);
  }

  /** One of the writes that make the function reachable again. */
  #repair(prng: Prng): Access {
    const { oracle, peer } = this.#duel;
    const wrong = peer.bringUp().filter((w) => ((oracle.read(w.offset, w.width) ^ w.value) & ~15) >>> 0 !== 0);
    if (wrong.length > 0) return this.#write(wrong[0].offset, wrong[0].width, wrong[0].value);
    return this.#write(4, 2, prng.below(4) ? 6 : 2);
  }

  #configAccess(prng: Prng): Access {
    const { oracle, layout, slot } = this.#duel;
    if (this.aim !== 'config' && slot >= 0 && prng.below(12) === 0) return this.#write(slot, 2, SLOT_QUIET);
    const spot = prng.pick(this.#spots);
    let { offset, width } = this.#place(prng, spot);
    if (prng.below(8) === 0) return access(KIND.read, REGION.config, width, this.#bdf, offset, 0);
    if (this.aim === 'config' && prng.below(48) === 0) return this.reset();
    const present = readLe(oracle.bytes, offset, width as Width);
    let value = offset === spot.at ? valueFor(prng, spot, present) : prng.next();
    const covers = (at: number) => at >= offset && at < offset + width;
    // kept away from the ports of the machine itself
    const io = layout.bars.find((b) => b.kind === 'io' && [0, 1, 2, 3].some((i) => covers(0x10 + 4 * b.bar + i)));
    if (io) [offset, width, value] = [0x10 + 4 * io.bar, 4, value | 0x8000_0000];
    if (this.aim !== 'config') {
      const [found] = registersAt(layout, offset, 1);
      const name = found?.register.name ?? '';
      if (name === 'msi.address') [offset, width, value] = [found.at, 4, this.#slotAddress(prng)];
      if (name === 'msi.addressUpper') [offset, width, value] = [found.at, 4, 0];
      // memory stays decoded most of the time: nothing can be raised without
      if (covers(4) && prng.below(8) !== 0) value |= 2 << (8 * (4 - offset));
    }
    return this.#write(offset, width, (value & ones(width as Width)) >>> 0);
  }

  /** The register as it is, or another access of one to four bytes that stays in its dword. */
  #place(prng: Prng, spot: Spot): { offset: number; width: number } {
    if (prng.below(8) < 6) return { offset: spot.at, width: spot.width };
    const width = prng.pick(WIDTHS);
    const at = spot.at + prng.below(spot.width);
    return { offset: at & ~(width - 1), width };
  }

  #tableAccess(prng: Prng, msix: { bar: number; offset: number; count: number; pbaBar: number; pba: number }): Access {
    const vectors = Math.min(msix.count, 64, this.#duel.actions?.vectors ?? 4);
    const word = prng.pick([0, 0, 1, 2, 3, 3, 3, 3]);
    const offset = msix.offset + 16 * prng.below(vectors) + 4 * word;
    const asleep = this.#duel.power === 3;
    if (asleep || prng.below(8) === 0) return access(KIND.read, msix.bar, 4, this.#bdf, offset, 0);
    if (prng.below(24) === 0) return access(KIND.write, msix.pbaBar, 4, this.#bdf, msix.pba, prng.next());
    const value = [this.#slotAddress(prng), 0, prng.next(), prng.below(16) === 0 ? prng.next() : prng.below(2)][word];
    if (prng.below(24) === 0) return access(KIND.write, msix.bar, 1, this.#bdf, offset, value & 0xff);
    return access(KIND.write, msix.bar, 4, this.#bdf, offset, value >>> 0);
  }

  #slotAddress(prng: Prng): number {
    return MESSAGE_PAGE + 4 * prng.below(MESSAGE_WORDS);
  }
}
