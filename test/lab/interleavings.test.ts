import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import { type CaseConfig, caseConfig, exploreCase, prepareCase, runChoices } from '../../src/lab/case.ts';
import { goodCounts } from '../../src/lab/explorer.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';
import { countByRules, goodAfter } from './rules-oracle.ts';

const QEMU_2_0 = deviceModel('qemu-2.0');
const QEMU_2_1 = deviceModel('qemu-2.1');
const R1 = getKernelProfile('linux-4.4.0-59');
const R2 = getKernelProfile('linux-4.4.0-61');
const R0 = withSwitches(R1, { reuse: 'R0' });
const RIDEAL = withSwitches(R1, { reuse: 'Rideal' });

function counts(given: Partial<CaseConfig>): Record<number, number> {
  const found = exploreCase(prepareCase(caseConfig(given)));
  expect(found.complete).toBe(true);
  const total = [...found.outcomes.values()].reduce((sum, paths) => sum + paths, 0n);
  expect(total).toBe(found.interleavings);
  return Object.fromEntries([...goodCounts(found)].map(([good, paths]) => [good, Number(paths)]));
}

interface Row {
  name: string;
  given: Partial<CaseConfig>;
  vectors: number[];
  good: Record<number, number>;
}

const two = { controllers: 2 };
const three = { controllers: 3 };
const case4 = { deviceModel: QEMU_2_1, kernel: R2 };
const case3 = { deviceModel: QEMU_2_1, kernel: R1 };
const case2 = { deviceModel: QEMU_2_0, kernel: R2 };
const case1 = (kernel: typeof R1) => ({ deviceModel: QEMU_2_0, kernel });
const reenable = { ...three, from: 'reenable' as const };

/** Every row of the table in §4.6 of the reference on Linux guests. */
const ROWS: Row[] = [
  { name: 'case 4, two controllers', given: { ...case4, ...two }, vectors: [1, 2, 4], good: { 2: 252 } },
  { name: 'case 2, two controllers', given: { ...case2, ...two }, vectors: [1, 2, 4], good: { 0: 252 } },
  { name: 'case 3, two controllers', given: { ...case3, ...two }, vectors: [1], good: { 0: 54, 1: 56, 2: 142 } },
  { name: 'case 3, two controllers', given: { ...case3, ...two }, vectors: [2, 4], good: { 0: 82, 1: 68, 2: 102 } },
  { name: 'case 3, three re-enable', given: { ...case3, ...reenable }, vectors: [1], good: { 1: 420, 2: 980, 3: 280 } },
  { name: 'case 3, three re-enable', given: { ...case3, ...reenable }, vectors: [2], good: { 0: 740, 1: 620, 2: 320 } },
  { name: 'case 3, three re-enable', given: { ...case3, ...reenable }, vectors: [4], good: { 0: 1304, 1: 376 } },
  {
    name: 'case 3, three re-enable, each at once',
    given: { ...case3, ...reenable, atomicReenable: true },
    vectors: [4],
    good: { 1: 6 },
  },
  { name: 'case 3, one after another', given: { ...case3, ...three, sequential: true }, vectors: [4], good: { 3: 1 } },
  { name: 'case 1 R1, two controllers', given: { ...case1(R1), ...two }, vectors: [1, 2, 4], good: { 0: 252 } },
  {
    name: 'case 1 Rideal, in sequence',
    given: { ...case1(RIDEAL), ...three, sequential: true },
    vectors: [4],
    good: { 3: 1 },
  },
  { name: 'case 1 R0, in sequence', given: { ...case1(R0), ...three, sequential: true }, vectors: [4], good: { 3: 1 } },
  { name: 'case 1 Rideal, two controllers', given: { ...case1(RIDEAL), ...two }, vectors: [4], good: { 2: 252 } },
  {
    name: 'case 3 Rideal, two controllers',
    given: { deviceModel: QEMU_2_1, kernel: RIDEAL, ...two },
    vectors: [4],
    good: { 0: 252 },
  },
  {
    name: 'case 3 Rideal, in sequence',
    given: { deviceModel: QEMU_2_1, kernel: RIDEAL, ...three, sequential: true },
    vectors: [4],
    good: { 0: 1 },
  },
];

describe('interleavings by the number of good controllers', () => {
  for (const { name, given, vectors, good } of ROWS)
    test.each(vectors)(`${name}, %i vectors`, (n) => {
      expect(counts({ ...given, vectors: n })).toEqual(good);
    });

  test('case 3 from the start with three controllers: all 756,756', () => {
    expect(counts({ ...case3, ...three })).toEqual({ 0: 230574, 1: 284562, 2: 163464, 3: 78156 });
  });
});

describe('against a naive model of the rules', () => {
  test.each([1, 2, 3, 4, 5])('case 3, three controllers re-enable %i vectors', (vectors) => {
    const expected = countByRules('R1', 3, vectors, [0, 1, 2, 0, 1, 2]);
    const numbers = Object.fromEntries([...expected].map(([good, paths]) => [good, Number(paths)]));
    expect(counts({ ...case3, ...reenable, vectors })).toEqual(numbers);
  });

  test('case 3 and Rideal, schedules at random', () => {
    const prepared = [R1, R2, RIDEAL].map((kernel) =>
      prepareCase(caseConfig({ deviceModel: QEMU_2_1, kernel, controllers: 3, vectors: 3 })),
    );
    const starts = prepared.map(({ machine }) => machine.arena.snapshot());
    const schedules = fc.shuffledSubarray([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2], { minLength: 15 });
    fc.assert(
      fc.property(schedules, (schedule) => {
        for (const [i, rule] of (['R1', 'R2', 'Rideal'] as const).entries()) {
          const { machine } = prepared[i];
          machine.arena.restore(starts[i]);
          runChoices(prepared[i], schedule);
          const good = machine.verdict().filter((state) => state === 'good').length;
          expect(good).toBe(goodAfter(rule, 3, 3, schedule));
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('names decide nothing', () => {
  test('renaming the controllers of a schedule renames its outcome', () => {
    const prepared = prepareCase(caseConfig({ ...case3, ...three }));
    const start = prepared.machine.arena.snapshot();
    const outcome = (schedule: readonly number[]) => {
      prepared.machine.arena.restore(start);
      runChoices(prepared, schedule);
      return prepared.machine.verdict();
    };
    const schedules = fc.shuffledSubarray([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2], { minLength: 15 });
    fc.assert(
      fc.property(schedules, fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (schedule, names) => {
        const plain = outcome(schedule);
        const renamed = outcome(schedule.map((task) => names[task]));
        expect(names.map((name) => renamed[name])).toEqual(plain);
      }),
      { numRuns: 25 },
    );
  });

  test('states merged by name and by symmetry give the counts of states compared in full', () => {
    for (const kernel of [R0, R1, R2, RIDEAL]) {
      const config = caseConfig({ deviceModel: QEMU_2_1, kernel, controllers: 2, vectors: 3 });
      const merged = exploreCase(prepareCase(config));
      const prepared = prepareCase(config);
      prepared.machine.arena.excludeFromIdentity(() => false);
      const full = exploreCase(prepared);
      expect(full.states).toBeGreaterThan(merged.states);
      expect([...merged.outcomes].sort()).toEqual([...full.outcomes].sort());
    }
  });
});
