import { describe, expect, test } from 'vitest';
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

describe('group steps that are no choice points', () => {
  const cells = [
    ...SIDES.map(([name, given]) => ({ name, given, controllers: 2, vectors: 2 })),
    { name: SIDES[0][0], given: SIDES[0][1], controllers: 3, vectors: 1 },
  ];
  test.each(cells)('leave out no outcome: $name, $controllers × $vectors', ({ given, controllers, vectors }) => {
    const prepared = prepareCase(caseConfig({ ...given, controllers, vectors, steps: 'group' }));
    const [merged, every] = [true, false].map((isMerging) => exploreCase(prepared, { isMerging }));
    expect(merged.complete && every.complete).toBe(true);
    expect([...merged.outcomes.keys()].sort()).toEqual([...every.outcomes.keys()].sort());
    expect([...merged.violations.keys()].sort()).toEqual([...every.violations.keys()].sort());
    expect(every.merged).toBe(0);
    expect(merged.merged).toBeGreaterThan(0);
    expect(merged.states).toBeLessThan(every.states);
    expectToReplay(prepared, merged);
  });
});

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
    runChoices(prepared, choices);
    expect(outcomeOf(prepared.machine.verdict())).toBe(outcome);
  }
  arena.restore(start);
}
