import { hex, readLe, type Width } from '../../core/index.ts';
import { type Layout, registersAt } from '../../pci/index.ts';
import type { NaiveFunction } from '../oracle/naive-function.ts';
import { type Cause, type Difference, type Law, lawOfReset, verdictOf } from './difference.ts';
import type { Duty, Obligations } from './obligations.ts';

const MSI_PENDING = 'msi.pending';
const OUTSIDE = 'outside capabilities';
const STATUS = 6;
const INTERRUPT_STATUS = 8;
const MME = 0x70;

/** What decides about a comparison besides the registers as they are. */
export interface ConfigState {
  /** Configuration space before the step. */
  before: Uint8Array;
  /** Interrupts are looked at as well. */
  watches: boolean;
  /** The function was in a power state that it does not offer. */
  wasNowhere: boolean;
}

/** Configuration space against what each of its bits is obliged to be. */
export class ConfigJudge {
  readonly #layout: Layout;
  readonly #duties: Obligations;
  /** Slot Control, −1 where there is none. */
  readonly #slot: number;

  constructor(layout: Layout, duties: Obligations, slot: number) {
    this.#layout = layout;
    this.#duties = duties;
    this.#slot = slot;
  }

  /** @param state what the function was and is in, besides its registers */
  compare(image: Uint8Array, oracle: NaiveFunction, { reset, written }: Cause, state: ConfigState): Difference[] {
    const { judged, bits, afterReset, afterFlr, duty } = this.#duties;
    const groups = new Map<string, { law: Law; at: number; name: string; bits: number; duty: Duty; bytes: number }>();
    const pm = bits.capabilities.get(1);
    const isWritten = (at: number) => written.some(([from, width]) => at >= from && at < from + width);
    // a command to the slot completes, and other things happen there
    const slotMoves = this.#slot >= 0 && (isWritten(this.#slot) || isWritten(this.#slot + 1));
    for (let at = 0; at < image.length; at++) {
      let differing = (image[at] ^ oracle.bytes[at]) & judged[at];
      if (differing === 0) continue;
      if (grantsTooMany(oracle) && at === bits.capabilities.get(5)! + 2) differing &= ~MME;
      if (slotMoves && (at === this.#slot + 2 || at === this.#slot + 3)) continue;
      if (this.#slot >= 0 && at === STATUS && !state.watches) differing &= ~INTERRUPT_STATUS;
      const writable = bits.rw[at] | bits.w1c[at];
      // a constant that was changed before is no matter of the reset that leaves it
      if (reset) differing &= writable | (image[at] ^ state.before[at]);
      if (reset === 'conventional') differing &= ~(writable & ~afterReset[at]);
      if (reset === 'flr') differing &= ~(writable & ~afterFlr[at]);
      if (reset === 'hot') differing &= ~(writable & ~(afterFlr[at] & ~bits.keptByFlr[at]));
      if (pm !== undefined && at === pm + 4 && (reset === 'hot' || (reset && state.wasNowhere))) differing &= ~3;
      if (pm !== undefined && reset === 'hot' && at >= pm && at < pm + 8) continue;
      for (let bit = 1; bit <= 0x80; bit <<= 1) {
        if (!(differing & bit)) continue;
        const [found] = registersAt(this.#layout, at, 1);
        const isPending = found?.register.name === MSI_PENDING && !reset;
        const law = isPending ? 'pending' : this.#lawOf(at, bit, reset, isWritten(at));
        const isOutside = duty[at].custom === true && duty[at].name === undefined;
        if (at === STATUS && bit === INTERRUPT_STATUS) continue; // with the line
        const where = found?.register.name ?? duty[at].name ?? `config+${hex(at, 2)}`;
        const name = isOutside ? OUTSIDE : reset === 'hot' ? 'registers' : where;
        const from = isOutside ? at : (found?.at ?? (duty[at].name ? duty[at].at : at));
        const key = `${law} ${name}`;
        const group = groups.get(key) ?? {
          law,
          at: from,
          name,
          bits: 0,
          duty: duty[at],
          bytes: found?.register.width ?? (isOutside ? 1 : duty[at].width),
        };
        if (!isOutside && reset !== 'hot') group.bits |= bit << (8 * (at - from));
        groups.set(key, group);
      }
    }
    return [...groups.values()].map((g) => {
      const width = (g.bytes === 2 || g.bytes === 1 ? g.bytes : 4) as Width;
      const [got, want] = [readLe(image, g.at, width), oracle.read(g.at, width)];
      const text = `${placeName(this.#layout, g.at)} is ${hex(got, 2 * width)}, should be ${hex(want, 2 * width)}`;
      const verdict = verdictOf(g.law, g.duty.custom);
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
}

/** Software's mistake; what then becomes of Multiple Message Enable is not said. §7.7.1.2 */
export function grantsTooMany({ bits, bytes }: NaiveFunction): boolean {
  const msi = bits.capabilities.get(5);
  if (msi === undefined) return false;
  return ((bytes[msi + 2] >> 4) & 7) > ((bytes[msi + 2] >> 1) & 7);
}

/** The register at an offset of configuration space, for people. */
export function placeName(layout: Layout, offset: number): string {
  const [found] = registersAt(layout, offset, 1);
  const place = `config+${hex(offset, 2)}`;
  return found ? `${found.register.name} (${place})` : place;
}

function sectionOf(law: Law, duty: Duty): string {
  if (law === 'reset') return `§6.6.1, ${duty.section}`;
  if (law === 'flr') return `§6.6.2, ${duty.section}`;
  return duty.section;
}
