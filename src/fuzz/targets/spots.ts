import { fieldMask, type Prng } from '../../core/index.ts';
import type { Layout } from '../../pci/index.ts';

/** A place worth accessing and the bits that mean something there. */
export interface Spot {
  readonly at: number;
  readonly width: 1 | 2 | 4;
  /** Masks of the register's fields. */
  readonly fields: readonly number[];
}

/** Registers whose bits decide about interrupts; they are picked more often. */
const CONTROL =
  /^(command|status|bridgeControl|secondaryBus|subordinateBus|msi\..*|msix\.ctrl|pm\.pmcsr|pcie\.deviceControl|af\.control)$/;

/** Places of all registers of a function, those that decide about interrupts `weight` times. */
export function spotsOf(layout: Layout, weight: number, only?: RegExp): Spot[] {
  const spots: Spot[] = [];
  for (const { at, register } of layout.registers) {
    if (only && !only.test(register.name)) continue;
    const fields = Object.values(register.fields).map((f) => fieldMask(f));
    if (register.reserved) fields.push(register.reserved);
    const spot = { at, width: register.width, fields };
    for (let n = CONTROL.test(register.name) ? weight : 1; n > 0; n--) spots.push(spot);
  }
  return spots;
}

/** A value for a register: fields turned over in what it holds, one field's bits, an extreme, or anything. */
export function valueFor(prng: Prng, spot: Spot, present: number): number {
  const r = prng.below(16);
  if (r < 9) {
    let value = present;
    for (let n = r < 6 ? 1 : 2; n > 0; n--) {
      const mask = prng.pick(spot.fields);
      const bit = mask & -mask;
      value ^= r & 1 ? mask : r & 2 ? bit : mask & prng.next();
    }
    return value >>> 0;
  }
  if (r === 9) return 0;
  if (r === 10) return 0xffffffff;
  if (r === 11) return prng.pick(spot.fields);
  return prng.next();
}

/** The access's place and width: mostly the register's own, else shifted, wider or narrower. */
export function placeFor(prng: Prng, spot: Spot, limit: number): { offset: number; width: number } {
  const r = prng.below(8);
  if (r === 6 && prng.below(8) === 0) return atEdge(prng, limit);
  if (r < 5) return { offset: spot.at, width: spot.width };
  const width = prng.pick(WIDTHS);
  if (r === 5) return { offset: spot.at + prng.below(spot.width), width };
  return { offset: Math.max(0, Math.min(limit - 1, spot.at + prng.below(8) - 4)), width };
}

/** Around the end of the space, and where conventional space ends. */
function atEdge(prng: Prng, limit: number): { offset: number; width: number } {
  return { offset: (prng.below(2) ? limit : 256) - 5 + prng.below(7), width: prng.pick(WIDTHS) };
}

export const WIDTHS = [1, 2, 4] as const;
