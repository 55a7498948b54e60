import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena, FreeBitmap, Prng, UsageError } from '../../src/core/index.ts';
import { LinearScan } from './linear-scan.ts';

const make = (size: number, maxRunLog2: number) => {
  const arena = new Arena(1 << 21);
  return { arena, bitmap: new FreeBitmap(arena, size, 'free', maxRunLog2), scan: new LinearScan(size) };
};

/** Sizes at which a level begins or ends, and any others. */
const sizes = fc.oneof(fc.constantFrom(0, 1, 31, 32, 33, 63, 64, 1023, 1024, 1025), fc.nat(3000));

/** Every search of every run length from `at` gives the numbers of the scan. */
function compare({ bitmap, scan }: ReturnType<typeof make>, at: number): void {
  for (let k = 0; k <= bitmap.maxRunLog2; k++) {
    expect(bitmap.highest(at, k)).toBe(scan.highest(at, 1 << k));
    expect(bitmap.lowest(at, k)).toBe(scan.lowest(at, 1 << k));
  }
}

describe('free numbers', () => {
  test('are those of the linear scan in any sequence of runs taken and given back', () => {
    fc.assert(
      fc.property(sizes, fc.integer({ min: 0, max: 5 }), fc.boolean(), fc.integer(), (size, runs, full, seed) => {
        const both = make(size, runs);
        const { bitmap, scan, arena } = both;
        if (full) {
          bitmap.fill();
          scan.free.fill(1);
        }
        const prng = new Prng(seed);
        let saved: { words: Int32Array; free: Uint8Array } | undefined;
        for (let step = 0; step < 30; step++) {
          const from = prng.below(size + 1);
          const to = Math.min(size, from + prng.below(prng.below(3) ? 40 : size + 1));
          const free = prng.below(2) === 0;
          for (let i = from; i < to; i++) {
            bitmap.set(i, free);
            scan.set(i, free);
          }
          compare(both, size);
          compare(both, 0);
          compare(both, prng.below(size + 1));
          const i = prng.below(size);
          if (size > 0) expect(bitmap.isFree(i)).toBe(scan.free[i] === 1);
          const turn = prng.below(8);
          if (turn === 0) saved = { words: arena.snapshot(), free: scan.free.slice() };
          if (turn === 1 && saved) {
            arena.restore(saved.words);
            scan.free.set(saved.free);
          }
        }
      }),
    );
  });

  test('are those of the linear scan when single ones are taken and given back at random', () => {
    for (const size of [70, 1056, 33_000]) {
      const both = make(size, 5);
      both.bitmap.fill();
      both.scan.free.fill(1);
      const prng = new Prng(size);
      for (let step = 0; step < 2000; step++) {
        const k = prng.below(6);
        const base = both.bitmap.highest(size, k);
        expect(base).toBe(both.scan.highest(size, 1 << k));
        for (let i = base; base >= 0 && i < base + (1 << k); i++) {
          both.bitmap.set(i, false);
          both.scan.set(i, false);
        }
        for (let n = prng.below(20); n > 0; n--) {
          const i = prng.below(size);
          both.bitmap.set(i, true);
          both.scan.set(i, true);
        }
      }
    }
  });

  test('a million: four levels, less than a byte each with all run lengths', () => {
    const { arena, bitmap } = make(1 << 20, 5);
    expect(arena.usedBytes).toBeLessThan(0.8 * 2 ** 20);
    expect(bitmap.highest()).toBe(-1);
    bitmap.set(777_777, true);
    expect([bitmap.highest(), bitmap.lowest(), bitmap.lowest(777_778)]).toEqual([777_777, 777_777, -1]);
    bitmap.fill();
    expect([0, 1, 2, 3, 4, 5].map((k) => bitmap.highest(2 ** 20, k))).toEqual(
      [1, 2, 4, 8, 16, 32].map((count) => 2 ** 20 - count),
    );
  });

  test('the same free numbers are the same state, however they came about', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(99), { minLength: 1 }), (order) => {
        const a = make(100, 5);
        const b = make(100, 5);
        a.bitmap.fill();
        b.bitmap.fill();
        for (const i of order) a.bitmap.set(i, false);
        for (const i of order.toReversed()) b.bitmap.set(i, false);
        expect(a.arena.equals(b.arena.snapshot())).toBe(true);
      }),
    );
  });

  test('refuses run lengths that it has no index for', () => {
    expect(() => make(10, 6)).toThrow(UsageError);
    expect(() => make(10, 2).bitmap.highest(10, 3)).toThrow(UsageError);
    expect(() => make(10, 2).bitmap.lowest(0, -1)).toThrow(UsageError);
  });
});
