import { describe, expect, test } from 'vitest';
import { Footprint, Prng } from '../../src/core/index.ts';
import { getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import {
  type CaseConfig,
  caseConfig,
  exploreCase,
  type PreparedCase,
  prepareCase,
  runChoices,
} from '../../src/lab/case.ts';
import type { Exploration } from '../../src/lab/explorer.ts';
import { outcomeOf } from '../../src/lab/world.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';

const R1 = getKernelProfile('linux-4.4.0-59');
const SIDES: [name: string, given: Partial<CaseConfig>][] = [
  ['case 2', { deviceModel: deviceModel('qemu-2.0'), kernel: getKernelProfile('linux-4.4.0-61') }],
  ['case 3', { deviceModel: deviceModel('qemu-2.1'), kernel: R1 }],
  ['case 4', { deviceModel: deviceModel('qemu-2.1'), kernel: getKernelProfile('linux-4.4.0-61') }],
  ['case 1, R0', { deviceModel: deviceModel('qemu-2.0'), kernel: withSwitches(R1, { reuse: 'R0' }) }],
  ['linux-6.1', { deviceModel: deviceModel('qemu-7.2'), kernel: getKernelProfile('linux-6.1') }],
];

describe('learned steps find what running every step on the machine finds', () => {
  const cells = (['coarse', 'group'] as const).flatMap((steps) =>
    SIDES.map(([name, given]) => ({ name, given, steps })),
  );
  test.each(cells)('$name, $steps', ({ given, steps }) => {
    const question = { ...given, controllers: 2, vectors: steps === 'coarse' ? 3 : 1, steps };
    const [learned, plain] = [false, true].map((isPlain) =>
      exploreCase(prepareCase(caseConfig(question)), { isPlain, isMerging: false }),
    );
    expect(learned.outcomes).toEqual(plain.outcomes);
    expect(learned.interleavings).toBe(plain.interleavings);
    expect(learned.witnesses).toEqual(plain.witnesses);
    expect([...learned.violations.keys()].sort()).toEqual([...plain.violations.keys()].sort());
    // what nothing reads tells no states apart
    expect(learned.states).toBeLessThanOrEqual(plain.states);
  });
});

describe('states told without mere names', () => {
  const cells: { name: string; given: Partial<CaseConfig> }[] = [
    ...SIDES.map(([name, given]) => ({ name, given: { ...given, controllers: 2, vectors: 2 } })),
    ...SIDES.map(([name, given]) => ({
      name,
      given: { ...given, controllers: 2, vectors: 2, workload: 'reload' } as const,
    })),
    { name: 'case 2', given: { ...SIDES[0][1], controllers: 3, vectors: 1 } },
    { name: 'case 3', given: { ...SIDES[1][1], controllers: 2, vectors: 3, extraGuestIrqs: 4 } },
    { name: 'case 3', given: { ...SIDES[1][1], controllers: 3, vectors: 2, from: 'reenable' } },
  ];
  test.each(cells)(
    'give the counts of states compared in full: $name, $given.controllers × $given.vectors $given.workload',
    ({ given }) => {
      const prepared = prepareCase(caseConfig({ ...given, steps: 'group' }));
      const nameless = exploreCase(prepared);
      const full = exploreInFull(caseConfig({ ...given, steps: 'group' }));
      expect(nameless.complete && full.complete).toBe(true);
      expect([...nameless.outcomes].sort()).toEqual([...full.outcomes].sort());
      expect(nameless.interleavings).toBe(full.interleavings);
      expect([...nameless.violations.keys()].sort()).toEqual([...full.violations.keys()].sort());
      expect([...nameless.brokenAt].sort()).toEqual([...full.brokenAt].sort());
      expect(nameless.states).toBeLessThan(full.states);
      expectToReplay(prepared, nameless);
    },
  );

  test.each(SIDES.slice(0, 4))('leave out nothing with fine steps: %s', (_, given) => {
    const config = caseConfig({ ...given, controllers: 2, vectors: 1, steps: 'fine' });
    const prepared = prepareCase(config);
    const [nameless, full] = [exploreCase(prepared), exploreInFull(config)];
    expect(nameless.complete && full.complete).toBe(true);
    expect([...nameless.outcomes.keys()].sort()).toEqual([...full.outcomes.keys()].sort());
    expect([...nameless.violations.keys()].sort()).toEqual([...full.violations.keys()].sort());
    expectToReplay(prepared, nameless);
  });

  test('a part of the interleavings supposes nothing of the others', () => {
    const config = caseConfig({ ...SIDES[1][1], controllers: 2, vectors: 2, steps: 'group' });
    const parts = [0, 1, 2].map((index) =>
      exploreCase(prepareCase(config), { shard: { index, count: 3 }, statesToSplit: 4 }),
    );
    expect(new Set(parts.map(({ split }) => split)).size).toBe(1);
    const sum = parts.reduce((total, { interleavings }) => total + interleavings, 0n);
    expect(sum).toBe(exploreCase(prepareCase(config)).interleavings);
  });

  test('depend on nothing that tells states apart by itself', () => {
    const { machine, stepper } = prepareCase(caseConfig({ ...SIDES[1][1], controllers: 3, steps: 'group' }));
    const { arena } = machine;
    const footprint = new Footprint(arena.words.length);
    const twin = machine.watched(footprint);
    const initial = arena.snapshot();
    const changing = new Set<number>();
    const told = new Set<number>();
    const prng = new Prng(1);
    const positions = stepper.start();
    for (;;) {
      const running = positions.flatMap((position, task) => (stepper.isDone(task, position) ? [] : [task]));
      if (running.length === 0) break;
      const task = prng.pick(running);
      positions[task] = stepper.step(task, positions[task]);
      for (const [word, value] of arena.words.entries()) if (value !== initial[word]) changing.add(word);
      twin.arena.words.set(arena.words);
      footprint.begin();
      twin.names.tell(0, []);
      for (const word of footprint.end().reads) told.add(word);
    }
    expect([...told].filter((word) => changing.has(word) && arena.isIdentity(word))).toEqual([]);
    expect([...changing].some((word) => !arena.isIdentity(word))).toBe(true);
  });
});

/** States told apart by all that differs, names and what controllers are called included. */
function exploreInFull(config: CaseConfig): Exploration {
  const prepared = prepareCase(config);
  prepared.machine.arena.excludeFromIdentity(() => false);
  Object.assign(prepared.machine, { names: undefined });
  return exploreCase(prepared, { maxStates: 1e6 });
}

test('fine steps reach every outcome that group steps reach, and their witnesses replay', () => {
  const given = { ...SIDES[1][1], controllers: 2, vectors: 1 };
  const group = exploreCase(prepareCase(caseConfig({ ...given, steps: 'group' })));
  const prepared = prepareCase(caseConfig({ ...given, steps: 'fine' }));
  const fine = exploreCase(prepared);
  expect(fine.complete).toBe(true);
  expect(fine.merged).toBeGreaterThan(fine.transitions);
  expect([...fine.outcomes.keys()]).toEqual(expect.arrayContaining([...group.outcomes.keys()]));
  expectToReplay(prepared, fine);
});

function expectToReplay(prepared: PreparedCase, { witnesses }: Exploration): void {
  const { arena } = prepared.machine;
  const start = arena.snapshot();
  for (const [outcome, choices] of witnesses) {
    arena.restore(start);
    runChoices(prepared, [...prepared.prefix, ...choices]);
    expect(outcomeOf(prepared.machine.verdict())).toBe(outcome);
  }
  arena.restore(start);
}
