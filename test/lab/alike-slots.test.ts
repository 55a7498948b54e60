import fc from 'fast-check';
import { expect, test } from 'vitest';
import { getKernelProfile } from '../../src/guest/index.ts';
import { caseConfig, prepareCase } from '../../src/lab/case.ts';
import { RAM_STRIDE } from '../../src/lab/machine-setup.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';

const PAIRS = [
  ['qemu-2.0', 'linux-4.4.0-61'],
  ['qemu-2.1', 'linux-4.4.0-59'],
  ['qemu-7.2', 'linux-6.1'],
] as const;

function prepared([model, kernel]: readonly [string, string]) {
  const sides = { deviceModel: deviceModel(model), kernel: getKernelProfile(kernel) };
  return prepareCase(caseConfig({ ...sides, controllers: 3, vectors: 2, steps: 'group' }));
}

test.each(PAIRS)('what one controller does, another does, told as the first: %s, %s', (...pair) => {
  const { machine, stepper } = prepared(pair);
  const { arena, names } = machine;
  const initial = arena.snapshot();
  const { alike } = names;
  /** What is told after a schedule, the controllers in an order. */
  const told = (schedule: readonly number[], order: readonly number[]) => {
    arena.restore(initial);
    const positions = stepper.start();
    for (const task of schedule)
      if (!stepper.isDone(task, positions[task])) positions[task] = stepper.step(task, positions[task]);
    const own = order.map((task) =>
      Array.from(alike!.words[task], (word, k) =>
        arena.words[word] === initial[word] ? undefined : alike!.asFirst(task, k, arena.words[word]),
      ),
    );
    return { own, shared: [...names.tell(0, [], order)] };
  };
  const schedules = fc.array(fc.nat({ max: 2 }), { maxLength: 40 });
  fc.assert(
    fc.property(schedules, fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (schedule, renaming) => {
      const renamed = schedule.map((task) => renaming[task]);
      expect(told(renamed, renaming)).toEqual(told(schedule, [0, 1, 2]));
    }),
    { numRuns: 15 },
  );
  arena.restore(initial);
});

test('different values of a word stay different, and its own memory becomes that of the first', () => {
  const { alike } = prepared(PAIRS[0]).machine.names;
  const base = 0x1000_0000;
  const near = fc
    .integer({ min: -8, max: 8 })
    .chain((d) => fc.constantFrom(base + d, base + RAM_STRIDE + d, d & 0xffff));
  fc.assert(
    fc.property(fc.nat({ max: 500 }), near, near, (k, a, b) => {
      const [x, y] = [a, b].map((value) => alike!.asFirst(1, k, value | 0));
      expect(x === y).toBe((a | 0) === (b | 0));
    }),
  );
  const address = alike!.words[1].findIndex((_, k) => alike!.asFirst(1, k, base + RAM_STRIDE + 4) === base + 4);
  expect(address).toBeGreaterThanOrEqual(0);
});
