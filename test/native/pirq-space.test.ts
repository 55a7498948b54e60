import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import type { Native, NativePirqSpace } from '../../src/native/index.ts';
import { ERRNO, MAP_PIRQ_TYPE } from '../../src/xen/abi/index.ts';
import { buildAndLoad } from './toolchain.ts';

let native: Native | undefined;
let reason: string;
beforeAll(() => ({ native, reason } = buildAndLoad()));
afterAll(() => expect(native?.liveObjects() ?? 0).toBe(0));

function withSpace<T>(nrIrqsGsi: number, nrPirqs: number, isHvm: boolean, use: (space: NativePirqSpace) => T): T {
  const space = native!.createPirqSpace(nrIrqsGsi, nrPirqs, isHvm);
  try {
    return use(space);
  } finally {
    space.destroy();
  }
}

/** What a domain's pirqs are, in a few lines: which are taken, and by which irq. */
class Model {
  readonly taken = new Map<number, number>(); // pirq -> irq, or -1 reserved
  readonly gsi: number;
  readonly nr: number;

  constructor(gsi: number, nr: number) {
    this.gsi = gsi;
    this.nr = nr;
  }

  free(type: number): number {
    if (type === MAP_PIRQ_TYPE.gsi) for (let p = 16; p < this.gsi; p++) if (!this.taken.has(p)) return p;
    return this.run(1);
  }

  run(count: number): number {
    for (let p = this.nr - count; p >= this.gsi; p--)
      if (Array.from({ length: count }, (_, i) => p + i).every((q) => !this.taken.has(q))) return p;
    return -ERRNO.ENOSPC;
  }
}

describe('worked examples (gsi 16, 24 pirqs)', () => {
  const multi = (space: NativePirqSpace, n: number, remapping = true) => {
    const { ret, count } = space.allocate(60, -1, MAP_PIRQ_TYPE.multiMsi, remapping, n);
    return [ret, count];
  };
  const cases: [string, number[], number, (number | undefined)[]][] = [
    ['b: 4 vectors', [], 4, [20, 4]],
    ['c: 3 vectors count as 4', [], 3, [20, 4]],
    ['d: 5 vectors count as 8', [], 5, [16, 8]],
    ['e: 16 do not fit, 8 would', [], 16, [-ERRNO.ENOSPC, 8]],
    ['f: none at all', [], 0, [-ERRNO.EDOM, 0]],
    ['f: more than 32', [], 33, [-ERRNO.EDOM, 33]],
    ['h: unaligned base below a busy slot', [21], 4, [17, 4]],
    ['h: two above it', [21], 2, [22, 2]],
    ['h: one', [21], 1, [23, 1]],
    ['i: 8 do not fit', [21], 8, [-ERRNO.ENOSPC, 4]],
    ['j: 4 do not fit', [17, 20], 4, [-ERRNO.ENOSPC, 2]],
    ['k: every other slot busy', [16, 18, 20, 22], 4, [-ERRNO.ENOSPC, 1]],
    ['l: full, one wanted', [16, 17, 18, 19, 20, 21, 22, 23], 1, [-ERRNO.ENOSPC, 0]],
    ['l: full, four wanted', [16, 17, 18, 19, 20, 21, 22, 23], 4, [-ERRNO.ENOSPC, 1]],
  ];

  test.for(cases)('%s', ([, busy, n, wanted], ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(16, 24, false, (space) => {
      for (const pirq of busy) expect(space.map(pirq, 100 + pirq)).toBe(0);
      expect(multi(space, n)).toEqual(wanted);
    });
  });

  test('a: from the top down to the GSIs, then none', (ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(16, 24, false, (space) => {
      const got = Array.from({ length: 9 }, () => space.reserve(MAP_PIRQ_TYPE.msi));
      expect(got).toEqual([23, 22, 21, 20, 19, 18, 17, 16, -ERRNO.ENOSPC]);
    });
  });

  test('g: more than one vector wants interrupt remapping', (ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(16, 24, false, (space) => {
      expect(multi(space, 2, false)).toEqual([-ERRNO.EOPNOTSUPP, 2]);
      expect(multi(space, 1, false)).toEqual([23, 1]);
    });
  });

  test('m: a GSI goes upwards from 16 first (gsi 18)', (ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(18, 24, false, (space) => {
      const got = Array.from({ length: 9 }, () => space.reserve(MAP_PIRQ_TYPE.gsi));
      expect(got).toEqual([16, 17, 23, 22, 21, 20, 19, 18, -ERRNO.ENOSPC]);
    });
  });

  test('a forced unmap leaves the pirq and its irq marked until it is completed', (ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(48, 304, false, (space) => {
      space.map(303, 60);
      expect(space.unmap(303, 1, true)).toBe(0);
      expect([space.get(303).irq, space.pirqOfIrq(60)]).toEqual([-60, -303]);
      expect(space.allocate(60, -1, MAP_PIRQ_TYPE.msi, true, 1).ret).toBe(-ERRNO.EBUSY);
      expect(space.allocate(60, 303, MAP_PIRQ_TYPE.msi, true, 1).ret).toBe(-ERRNO.EEXIST);
      expect(space.getFree(MAP_PIRQ_TYPE.msi)).toBe(302);
      expect(space.complete(303)).toBe(0);
      expect(space.getFree(MAP_PIRQ_TYPE.msi)).toBe(303);
    });
  });

  test('only one pirq at a time is an emulated MSI; an emulated irq makes a pirq busy', (ctx) => {
    if (!native) ctx.skip(reason);
    withSpace(48, 80, true, (space) => {
      expect([space.mapEmuirq(79, -3), space.mapEmuirq(78, -3)]).toEqual([0, 0]);
      expect([space.get(79).emuirq, space.get(78).emuirq]).toEqual([-3, -1]);
      expect(space.getFree(MAP_PIRQ_TYPE.msi)).toBe(78);
      expect(space.unmapEmuirq(79)).toBe(0);
      expect(space.getFree(MAP_PIRQ_TYPE.msi)).toBe(79);
    });
  });
});

type Step =
  | { op: 'reserve'; type: number }
  | { op: 'take'; count: number }
  | { op: 'unmap'; pirq: number; count: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ op: fc.constant('reserve' as const), type: fc.constantFrom(0, 1, 2) }),
  fc.record({ op: fc.constant('take' as const), count: fc.constantFrom(1, 1, 2, 4, 8, 16, 32) }),
  fc.record({ op: fc.constant('unmap' as const), pirq: fc.nat(130), count: fc.constantFrom(1, 1, 4, 32) }),
);

function compareWithModel(gsi: number, nr: number, steps: Step[]): void {
  const model = new Model(gsi, nr);
  const { taken } = model;
  withSpace(gsi, nr, false, (space) => {
    for (const s of steps) {
      if (s.op === 'reserve') {
        const wanted = model.free(s.type);
        expect(space.reserve(s.type)).toBe(wanted);
        if (wanted >= 0) taken.set(wanted, -1);
      } else if (s.op === 'take') {
        const base = model.run(s.count);
        expect(space.getFreeRun(s.count)).toBe(base);
        for (let p = base; base >= 0 && p < base + s.count; p++) {
          expect(space.map(p, p + 1)).toBe(0);
          taken.set(p, p + 1);
        }
      } else {
        const isMapped = (taken.get(s.pirq) ?? 0) > 0;
        expect(space.unmap(s.pirq, s.count)).toBe(isMapped ? 0 : -ERRNO.EINVAL);
        for (let p = s.pirq; isMapped && p < s.pirq + s.count; p++) if ((taken.get(p) ?? 0) > 0) taken.delete(p);
      }
    }
    for (let p = 0; p < nr; p++) expect(space.get(p).irq).toBe(taken.get(p) ?? 0);
  });
}

test('random sequences: the numbers and owners of a ten-line model', (ctx) => {
  if (!native) ctx.skip(reason);
  const gsi = fc.integer({ min: 16, max: 40 });
  fc.assert(
    fc.property(gsi, fc.nat(90), fc.array(step, { maxLength: 80 }), (g, extra, steps) =>
      compareWithModel(g, g + extra, steps),
    ),
    { numRuns: 200, seed: 4 },
  );
});

const fold = (sum: number, word: number) => (Math.imul(sum ^ word, 0x01000193) ^ (sum >>> 15)) >>> 0;

describe('batches give the checksum of the same steps in TypeScript', () => {
  test('churn of single vectors', (ctx) => {
    if (!native) ctx.skip(reason);
    const [gsi, nr, filled, span, steps] = [24, 1024, 900, 900, 3000];
    const model = new Model(gsi, nr);
    for (let p = nr - 1; p >= nr - filled; p--) model.taken.set(p, p + 1);
    const prng = new Prng(7);
    let sum = 0x811c9dc5;
    for (let i = 0; i < steps; i++) {
      model.taken.delete(nr - 1 - prng.below(span));
      const p = model.free(MAP_PIRQ_TYPE.msi);
      if (p >= 0) model.taken.set(p, p + 1);
      sum = fold(sum, p);
    }
    withSpace(gsi, nr, false, (space) => {
      expect(space.fill(filled)).toBe(filled);
      expect(space.churn(7, steps, span)).toBe(sum);
    });
  });

  test('churn of runs', (ctx) => {
    if (!native) ctx.skip(reason);
    const [gsi, nr, slots, steps] = [24, 256, 32, 600];
    const model = new Model(gsi, nr);
    const owners = new Map<number, [base: number, count: number]>();
    const prng = new Prng(9);
    let sum = 0x811c9dc5;
    for (let i = 0; i < steps; i++) {
      const slot = prng.below(slots);
      const own = owners.get(slot);
      if (own) {
        for (let p = own[0]; p < own[0] + own[1]; p++) model.taken.delete(p);
        owners.delete(slot);
        sum = fold(sum, own[0]);
      } else {
        const count = 1 << prng.below(6);
        const base = model.run(count);
        for (let p = base; base >= 0 && p < base + count; p++) model.taken.set(p, p + 1);
        if (base >= 0) owners.set(slot, [base, count]);
        sum = fold(sum, base);
      }
    }
    withSpace(gsi, nr, false, (space) => {
      expect(space.churnRuns(9, steps, slots)).toBe(sum);
      expect(space.getFreeRun(32)).toBe(nr - 32); // all given back
    });
  });
});

test('a destroyed space and arguments out of range are refused', (ctx) => {
  if (!native) ctx.skip(reason);
  const space = native!.createPirqSpace(16, 24, false);
  expect(() => space.getFreeRun(33)).toThrow('out of range');
  space.destroy();
  expect(() => space.reserve(0)).toThrow('destroyed');
  expect(() => native!.createPirqSpace(16, 2 ** 21, false)).toThrow('out of range');
});
