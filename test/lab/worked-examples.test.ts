import { describe, expect, test } from 'vitest';
import { getKernelProfile, withSwitches } from '../../src/guest/index.ts';
import { caseConfig, prepareCase, runChoices, type WorkloadName } from '../../src/lab/case.ts';
import { GUEST_DOMAIN } from '../../src/lab/machine.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';
import { createIrq, destroyIrq } from '../../src/xen/host-irq.ts';

/** The examples of §4.3 to §4.7 of the reference on Linux guests: pirqs 55 … 24, four vectors, vector 0 shared. */
const R1 = getKernelProfile('linux-4.4.0-59');
const R2 = getKernelProfile('linux-4.4.0-61');
const RIDEAL = withSwitches(R1, { reuse: 'Rideal' });
const HOST = { old: 'qemu-2.0', new: 'qemu-2.1' };

interface Sides {
  host: keyof typeof HOST;
  kernel: typeof R1;
  vectors?: number;
  controllers?: number;
  workload?: WorkloadName;
}

function prepare({ host, kernel, vectors = 4, controllers = 3, workload = 'one-disable-many' }: Sides) {
  const given = { deviceModel: deviceModel(HOST[host]), kernel, vectors, controllers, workload };
  return prepareCase(caseConfig(given));
}

/** Steps as letters: each takes its controller one further of ①…⑤. */
function run(sides: Sides, steps: string) {
  const prepared = prepare(sides);
  runChoices(
    prepared,
    [...steps].filter((step) => step !== ' ').map((step) => step.charCodeAt(0) - 65),
  );
  return prepared.machine;
}

type Machine = ReturnType<typeof run>;
const numbers = (machine: Machine) =>
  machine.slots.map(({ model }) =>
    Array.from(
      { length: machine.options.vectors },
      (_, entry) => (model.msix!.entryMessage(entry).addressLo >>> 12) & 0xff,
    ),
  );
const good = (machine: Machine) => {
  const before = machine.arena.snapshot();
  const letters = machine
    .verdict()
    .map((state) => state[0])
    .join('');
  machine.arena.restore(before);
  return letters;
};
const LOCK_STEP = 'ABC ABC AAA BBB CCC';
const IN_TURN = 'AAAAA BBBBB CCCCC';

describe('§4.3 case 4', () => {
  test('A 55 to 52, B 51 to 48, C 47 to 44, and the same after unload', () => {
    const expected = [
      [55, 54, 53, 52],
      [51, 50, 49, 48],
      [47, 46, 45, 44],
    ];
    const machine = run({ host: 'new', kernel: R2 }, LOCK_STEP);
    expect([numbers(machine), good(machine)]).toEqual([expected, 'ggg']);
    const again = run({ host: 'new', kernel: R2, workload: 'reload' }, LOCK_STEP);
    expect([numbers(again), good(again)]).toEqual([expected, 'ggg']);
  });
});

describe('§4.4 and §4.5, a host that frees nothing', () => {
  test.each([[R1], [R2]])('every re-enable gets new numbers and fails', (kernel) => {
    const machine = run({ host: 'old', kernel }, LOCK_STEP);
    expect(numbers(machine)).toEqual([
      [52, 51, 50, 49],
      [48, 47, 46, 45],
      [44, 43, 42, 41],
    ]);
    expect(good(machine)).not.toContain('g');
    expect(machine.hypervisor.domain(GUEST_DOMAIN).irqOf(52)).toBe(-1);
  });

  test('the marker alone: correct in turn and in lock-step', () => {
    const machine = run({ host: 'old', kernel: RIDEAL }, LOCK_STEP);
    expect(numbers(machine)).toEqual([
      [55, 52, 51, 50],
      [54, 49, 48, 47],
      [53, 46, 45, 44],
    ]);
    expect(good(machine)).toBe('ggg');
    expect(good(run({ host: 'old', kernel: RIDEAL }, IN_TURN))).toBe('ggg');
  });

  test('where maps draw unmarked irqs only vector 0 of the re-enable is deaf', () => {
    const { machine, stepper } = prepare({ host: 'old', kernel: R2, controllers: 1 });
    const { host } = machine.hypervisor;
    const held = Array.from({ length: 8 }, () => createIrq(host, undefined));
    let [position] = stepper.start();
    const step = () => {
      position = stepper.step(0, position);
    };
    step();
    step();
    for (const irq of held) destroyIrq(host, irq);
    step();
    expect(numbers(machine)).toEqual([[54, 53, 52, 51]]);
    const { msix } = machine.slots[0].model;
    expect([0, 1, 2, 3].map((entry) => msix!.entryPirq(entry))).toEqual([-1, 53, 52, 51]);
  });
});

describe('§4.6 case 3', () => {
  const case3: Sides = { host: 'new', kernel: R1 };

  test('the failing interleaving: B re-uses 54 of A’s entry 1, C 53 of A’s entry 2', () => {
    const machine = run(case3, 'ABC ABC AAA BBB CCC');
    expect(numbers(machine)).toEqual([
      [55, 54, 53, 52],
      [54, 51, 50, 49],
      [53, 48, 47, 46],
    ]);
    expect(good(machine)).toBe('gff');
    expect(machine.slots.map(({ model }) => model.msix!.entryPirq(0))).toEqual([55, -1, -1]);
  });

  test('B’s admin irq started first takes the port of 54: none fully works', () => {
    expect(good(run(case3, 'AB AB A B BB AA'))[0]).not.toBe('g');
  });

  test.each([
    ['one after another', 'AAAAA BBBBB CCCCC', 'ggg'],
    ['all of B between A’s disable and A’s re-enable', 'AA BBBBB AAA', 'fg'],
    ['poisoning: A aliases B’s 55, then B finds it held by A’s dead record', 'AA B AAA BBBB', 'ff'],
    ['A and B disable, B re-enables first', 'AB AB BBB AAA', 'fg'],
    ['C disables after A’s re-enable and re-enables before B', 'ABC AB AAA C CCC BBB', 'gfg'],
  ])('%s', (_, steps, letters) => {
    expect(good(run(case3, steps)).slice(0, letters.length)).toBe(letters);
  });

  test('C disables after A’s re-enable: B’s entry 1 gets the 53 that this frees, so C loses as well', () => {
    const machine = run(case3, 'ABC AB AAA C BBB CCC');
    expect(numbers(machine).map((table) => table.slice(0, 2))).toEqual([
      [55, 54],
      [54, 53],
      [53, 48],
    ]);
    expect(good(machine)).toBe('gff');
  });

  test.each([
    ['in order', 'ABC ABC AAA BBB CCC', 'ggg', [55, 54, 53]],
    ['B before A', 'AB AB BBB AAA', 'fg', [55, 55]],
  ])('one vector, all disabled first, re-enabled %s', (_, steps, letters, pirqs) => {
    const machine = run({ ...case3, vectors: 1 }, steps);
    expect(numbers(machine).flat().slice(0, pirqs.length)).toEqual(pirqs);
    expect(good(machine).slice(0, letters.length)).toBe(letters);
  });

  test('under the marker alone none works, even in turn', () => {
    expect(good(run({ ...case3, kernel: RIDEAL }, IN_TURN))).not.toContain('g');
  });
});

describe('§4.7 reload in case 3', () => {
  test('a sequential reload after all drivers were unloaded is clean', () => {
    expect(good(run({ host: 'new', kernel: R1, workload: 'reload' }, IN_TURN))).toBe('ggg');
  });
});
