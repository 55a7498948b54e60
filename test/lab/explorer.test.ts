import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena, type Footprint, type Shard } from '../../src/core/index.ts';
import type { Access, Grain, Task } from '../../src/guest/access.ts';
import { explore, goodCounts } from '../../src/lab/explorer.ts';
import { findingsDigest, findingsOf, mergeExplorations, parseExploration } from '../../src/lab/merge.ts';
import { countSwitches, formatSchedule, parseSchedule } from '../../src/lab/schedule.ts';
import { Stepper } from '../../src/lab/stepper.ts';
import { type ControllerState, outcomeOf, type World } from '../../src/lab/world.ts';

/** Shared cells that tasks load and store; a task is good if its own cell ends as 1. */
class Cells implements World {
  readonly arena: Arena;
  readonly cells: Int32Array;
  readonly #tasks: number;

  constructor(tasks: number, footprint?: Footprint) {
    this.#tasks = tasks;
    this.arena = new Arena(256, footprint);
    this.cells = this.arena.int32(8, 'cells');
  }

  perform(_task: number, access: Access): number {
    if (access.op === 'load') return this.cells[access.address];
    if (access.op === 'store') this.cells[access.address] = access.value;
    return 0;
  }

  takeViolations(): string[] {
    return [...this.takeBroken(), ...this.presentlyBroken()];
  }

  takeBroken(): string[] {
    return [];
  }

  presentlyBroken(): string[] {
    return this.cells[2] > 1 ? ['two in the section'] : [];
  }

  watched(footprint: Footprint): Cells {
    return new Cells(this.#tasks, footprint);
  }

  verdict(): ControllerState[] {
    return Array.from({ length: this.#tasks }, (_, i) => (this.cells[i] === 1 ? 'good' : 'failed'));
  }
}

/** Cell 0 is every task's own, so tasks that run the same are alike. */
class AlikeCells extends Cells {
  override perform(task: number, access: Access): number {
    const isOwn = (access.op === 'load' || access.op === 'store') && access.address === 0;
    return super.perform(task, isOwn ? { ...access, address: 5 + task } : access);
  }

  override watched(footprint: Footprint): AlikeCells {
    return new AlikeCells(this.verdict().length, footprint);
  }

  override verdict(): ControllerState[] {
    return super.verdict().map((_, task) => (this.cells[5 + task] === 1 ? 'good' : 'failed'));
  }
}

type Op = { kind: 'step' } | { kind: 'load'; address: number } | { kind: 'store'; address: number };

/** Runs the operations; a store writes one more than the last load, so outcomes depend on the order. */
function* program(ops: readonly Op[]): Task<void> {
  let last = 0;
  for (const [i, op] of ops.entries()) {
    if (op.kind === 'step') yield { op: 'step', grain: 'coarse', name: `${i}, having seen ${last}` };
    else if (op.kind === 'load') last = (yield { op: 'load', address: op.address }) as number;
    else yield { op: 'store', address: op.address, value: (last + 1) % 3 };
  }
}

/** Every schedule one by one, each from the beginning: what the explorer must agree with. */
function bruteForce(programs: readonly (readonly Op[])[], coarseSteps: number[]): Map<string, bigint> {
  const outcomes = new Map<string, bigint>();
  const visit = (choices: number[]) => {
    const world = new Cells(programs.length);
    const stepper = stepperOf(world, programs, coarseSteps);
    const positions = stepper.start();
    for (const task of choices) positions[task] = stepper.step(task, positions[task]);
    const running = positions.flatMap((p, t) => (stepper.isDone(t, p) ? [] : [t]));
    for (const task of running) visit([...choices, task]);
    if (running.length > 0) return;
    const key = world
      .verdict()
      .map((v) => v[0])
      .join('');
    outcomes.set(key, (outcomes.get(key) ?? 0n) + 1n);
  };
  visit([]);
  return outcomes;
}

function stepperOf(
  world: World,
  programs: readonly (readonly Op[])[],
  coarseSteps: number[],
  grain: Grain = 'coarse',
): Stepper {
  const plans = programs.map((ops, i) => ({ make: () => program(ops), coarseSteps: coarseSteps[i] }));
  return new Stepper(world, plans, grain);
}

const opArb: fc.Arbitrary<Op> = fc.oneof(
  fc.constant<Op>({ kind: 'step' }),
  fc.record({ kind: fc.constant<'load'>('load'), address: fc.nat(2) }),
  fc.record({ kind: fc.constant<'store'>('store'), address: fc.nat(2) }),
);

describe('explorer', () => {
  test('counts every interleaving exactly as running each of them does', () => {
    fc.assert(
      fc.property(fc.array(fc.array(opArb, { maxLength: 7 }), { minLength: 1, maxLength: 3 }), (programs) => {
        const steps = programs.map(() => 2);
        const world = new Cells(programs.length);
        const found = explore(world, stepperOf(world, programs, steps));
        const expected = bruteForce(programs, steps);
        expect(new Map([...found.outcomes].sort())).toEqual(new Map([...expected].sort()));
        expect(found.complete).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  const programsArb = fc.array(fc.array(opArb, { maxLength: 7 }), { minLength: 1, maxLength: 3 });

  test.each(['coarse', 'group'] as const)('learned steps find what running every step finds, %s', (grain) => {
    fc.assert(
      fc.property(programsArb, (programs) => {
        const steps = programs.map(() => 2);
        const [learned, plain] = [false, true].map((isPlain) => {
          const world = new Cells(programs.length);
          return explore(world, stepperOf(world, programs, steps, grain), { isPlain, isMerging: false });
        });
        expect(learned).toEqual(plain);
      }),
      { numRuns: 60 },
    );
  });

  test.each(['group', 'fine'] as const)('%s: what is merged leaves out no outcome, and a witness replays', (grain) => {
    fc.assert(
      fc.property(programsArb, (programs) => {
        const steps = programs.map(() => 2);
        const [learned, plain] = [false, true].map((isPlain) => {
          const world = new Cells(programs.length);
          return explore(world, stepperOf(world, programs, steps, grain), { isPlain });
        });
        expect([...learned.outcomes.keys()].sort()).toEqual([...plain.outcomes.keys()].sort());
        // transitions of several steps can lead to one state in several layers, which with group steps may outweigh the rest
        if (grain === 'fine') expect(learned.states).toBeLessThanOrEqual(plain.states);
        for (const [outcome, choices] of learned.witnesses) {
          const world = new Cells(programs.length);
          const stepper = stepperOf(world, programs, steps, grain);
          const positions = stepper.start();
          for (const task of choices) positions[task] = stepper.step(task, positions[task]);
          expect(positions.every((position, task) => stepper.isDone(task, position))).toBe(true);
          expect(outcomeOf(world.verdict())).toBe(outcome);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('fine: accesses to cells of one’s own are no choice points', () => {
    const own = (address: number): Op[] => [0, 1, 2, 3, 4].map((i) => ({ kind: i % 2 ? 'load' : 'store', address }));
    const world = new Cells(2);
    const found = explore(world, stepperOf(world, [own(0), own(1)], [1, 1], 'fine'));
    expect(found.interleavings).toBe(2n);
    expect(found.merged).toBe(4 * found.transitions);
    expect(found.accesses).toBe(5 * found.transitions);
  });

  test('a lost update: of the six orders of two load-store pairs two are good', () => {
    const increment: Op[] = [
      { kind: 'step' },
      { kind: 'load', address: 0 },
      { kind: 'step' },
      { kind: 'store', address: 0 },
    ];
    const world = new Cells(1);
    const found = explore(world, stepperOf(world, [increment, increment], [2, 2]));
    expect(found.interleavings).toBe(6n);
    expect(goodCounts(found)).toEqual(
      new Map([
        [0, 2n],
        [1, 4n],
      ]),
    );
  });

  test('a witness replays to its outcome and has the fewest switches', () => {
    const increment: Op[] = [
      { kind: 'step' },
      { kind: 'load', address: 0 },
      { kind: 'step' },
      { kind: 'store', address: 0 },
    ];
    const world = new Cells(1);
    const found = explore(world, stepperOf(world, [increment, increment], [2, 2]));
    expect(countSwitches(found.witnesses.get('f')!)).toBe(1);
    expect(countSwitches(found.witnesses.get('g')!)).toBe(2);
  });

  test.each([false, true])(
    'shards add up to the whole, and the best of their witnesses is its, alike: %s',
    (isSymmetric) => {
      const alikeArb = fc.tuple(
        programsArb,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        fc.boolean(),
      );
      fc.assert(
        fc.property(alikeArb, ([programs, count, statesToSplit, isPlain]) => {
          const alike = isSymmetric ? programs.map(() => programs[0]) : programs;
          const find = (shard?: Shard) => {
            const world = isSymmetric ? new AlikeCells(alike.length) : new Cells(alike.length);
            const stepper = stepperOf(
              world,
              alike,
              alike.map(() => 3),
            );
            return explore(world, stepper, { isSymmetric, isPlain, statesToSplit, ...(shard && { shard }) });
          };
          const whole = find();
          const shards = Array.from({ length: count }, (_, index) => find({ index, count }));
          expect(new Set(shards.map(({ split }) => split)).size).toBe(1);
          const question = { scenario: 'cells', case: '0123abcd', controllers: alike.length, symmetric: isSymmetric };
          const merged = mergeExplorations(
            shards.map((found, i) => {
              const part = {
                ...found,
                ...findingsOf(found, question.case),
                violations: Object.fromEntries(found.violations),
              };
              return parseExploration(JSON.stringify({ question, shard: `${i}/${count}`, ...part }), 'part');
            }),
          );
          const expected = findingsOf(whole, question.case);
          expect(merged).toMatchObject({ ...expected, complete: true });
          expect(merged.schedules).toEqual(expected.schedules);
          expect(merged.violated).toEqual([...whole.violations.keys()].sort());
          expect(merged.digest).toBe(findingsDigest(question, expected, whole.violations.keys()));
          for (const [name, states] of whole.violations) {
            const counts = shards.map(({ violations }) => violations.get(name) ?? 0);
            expect(Math.max(...counts)).toBeLessThanOrEqual(states);
            expect(counts.reduce((a, b) => a + b)).toBeGreaterThanOrEqual(states);
          }
        }),
        { numRuns: 100 },
      );
    },
  );

  test('of equal witnesses it is the first by name', () => {
    const world = new Cells(3);
    const one: Op[] = [{ kind: 'step' }, { kind: 'load', address: 3 }];
    const found = explore(world, stepperOf(world, [one, one, one], [2, 2, 2]));
    expect([...found.witnesses]).toEqual([['fff', [0, 0, 1, 1, 2, 2]]]);
  });

  test('a shard of steps of which some are no choice points is refused', () => {
    const own = (address: number): Op[] => [0, 1, 2].map((i) => ({ kind: i % 2 ? 'load' : 'store', address }));
    const world = new Cells(2);
    const stepper = stepperOf(world, [own(0), own(1)], [1, 1], 'fine');
    expect(() => explore(world, stepper, { shard: { index: 0, count: 2 } })).toThrow(/no choice points/);
  });

  test('a bound that stops it is reported as a bound', () => {
    const busy: Op[] = Array.from({ length: 12 }, (_, i) => (i % 2 ? { kind: 'store', address: 0 } : { kind: 'step' }));
    const world = new Cells(2);
    const found = explore(world, stepperOf(world, [busy, busy, busy], [6, 6, 6]), { maxStates: 20 });
    expect(found.complete).toBe(false);
  });
});

describe('schedule strings', () => {
  test('round-trip', () => {
    const digest = '0123abcd';
    fc.assert(
      fc.property(fc.array(fc.nat(3)), (choices) => {
        expect(parseSchedule(formatSchedule(digest, choices), digest, 4)).toEqual(choices);
      }),
    );
  });

  test.each([
    ['ABBA', /no schedule/],
    ['99999999:AB', /belongs to another run/],
    ['0123abcd:ABC', /names controller C/],
  ])('%s is refused with a reason', (text, reason) => {
    expect(() => parseSchedule(text, '0123abcd', 2)).toThrow(reason);
  });
});
