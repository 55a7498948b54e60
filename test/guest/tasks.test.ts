import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Access, Answer, Task } from '../../src/guest/access.ts';
import {
  COMPACT_QUEUES,
  CONTROLLER_STATE,
  enableOnce,
  getKernelProfile,
  KERNEL_PROFILES,
  loadAndReload,
  type NvmeController,
  oneDisableMany,
  probe,
  probeSteps,
  type ReuseRule,
  unload,
  WORKLOADS,
  type Workload,
  withSwitches,
} from '../../src/guest/index.ts';
import { ToyHost } from './toy-host.ts';

const RULES: ReuseRule[] = ['R0', 'R1', 'R2', 'Rideal'];
const TASKS: Record<string, Workload> = { enableOnce, oneDisableMany, loadAndReload };

function controllers(count: number, vectors: number): NvmeController[] {
  return Array.from({ length: count }, (_, i) => ({
    bdf: (3 + i) << 3,
    memoryBase: 0x100000 * (i + 1),
    vectors,
    ...COMPACT_QUEUES,
  }));
}

interface Scene {
  kernel: string;
  reuse: ReuseRule;
  task: string;
  vectors: number;
  freesOnDisable: boolean;
}

const sceneArb: fc.Arbitrary<Scene> = fc.record({
  kernel: fc.constantFrom(...KERNEL_PROFILES.map((p) => p.name)),
  reuse: fc.constantFrom(...RULES),
  task: fc.constantFrom(...Object.keys(TASKS)),
  vectors: fc.integer({ min: 1, max: 4 }),
  freesOnDisable: fc.boolean(),
});

function hostOf(scene: Scene, all: NvmeController[]): ToyHost {
  const profile = withSwitches(getKernelProfile(scene.kernel), { reuse: scene.reuse });
  return new ToyHost({ profile }, all, scene.freesOnDisable);
}

/** Runs tasks to group steps in the order of `choices`, then one after another to their ends. */
function interleave(
  host: ToyHost,
  tasks: Generator<Access, unknown, Answer>[],
  choices: readonly number[],
  seen: (task: number, access: Access, answer: Answer) => void = () => {},
): void {
  const next = tasks.map((task) => task.next());
  const runToStep = (i: number) => {
    do {
      if (next[i].done) return;
      const access = next[i].value as Access;
      const answer = host.perform(i, access);
      seen(i, access, answer);
      next[i] = tasks[i].next(answer);
    } while (!next[i].done && (next[i].value as Access).op !== 'step');
  };
  for (const choice of choices) runToStep(choice % tasks.length);
  for (const i of tasks.keys()) while (!next[i].done) runToStep(i);
}

describe('a task is a pure function of its answers', () => {
  test('replayed with the same answers it yields the same accesses', () => {
    fc.assert(
      fc.property(sceneArb, fc.array(fc.nat(1), { maxLength: 60 }), (scene, choices) => {
        const all = controllers(2, scene.vectors);
        const host = hostOf(scene, all);
        const make = (i: number) => TASKS[scene.task](host.guest, all[i]);
        const tape: [Access, Answer][][] = [[], []];
        interleave(host, [make(0), make(1)], choices, (i, access, answer) => tape[i].push([access, answer]));
        for (const i of [0, 1]) {
          const replay = make(i);
          let next = replay.next();
          for (const [access, answer] of tape[i]) {
            expect(next.value).toEqual(access);
            next = replay.next(answer);
          }
          expect(next.done).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('what follows a step depends on its name and the answers after it, not on those before', () => {
    fc.assert(
      fc.property(sceneArb, fc.array(fc.nat(1), { maxLength: 60 }), fc.nat(1000), (scene, choices, pick) => {
        const all = controllers(2, scene.vectors);
        const host = hostOf(scene, all);
        const make = () => TASKS[scene.task](host.guest, all[0]);
        // Task 0 alone, and the same task when another one is about: other pirqs, ports, outcomes.
        const tape: [Access, Answer][] = [];
        interleave(host, [make()], [], (_, access, answer) => tape.push([access, answer]));
        const busy = hostOf(scene, all);
        const steps = tape.flatMap(([access], at) => (access.op === 'step' ? [at] : []));
        const at = steps[pick % steps.length];
        const name = (tape[at][0] as { name: string }).name;

        const task = make();
        const other = TASKS[scene.task](host.guest, all[1]);
        let mine = task.next();
        let theirs = other.next();
        for (const choice of [...choices, ...new Array(100).fill(0)]) {
          if (isAt(mine.value, name) || mine.done) break;
          if (choice === 1 && !theirs.done) theirs = advance(busy, 1, other, theirs);
          else mine = advance(busy, 0, task, mine, name);
        }
        // Another course of events may never come to that place.
        fc.pre(!mine.done && isAt(mine.value, name));
        for (const [access, answer] of tape.slice(at)) {
          expect(mine.value).toEqual(access);
          mine = task.next(answer);
        }
        expect(mine.done).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

function isAt(access: unknown, name: string): boolean {
  return (access as Access | undefined)?.op === 'step' && (access as { name: string }).name === name;
}

/** One access of a task, then on to its next step. */
function advance(
  host: ToyHost,
  i: number,
  task: Task<void>,
  from: IteratorResult<Access, void>,
  stopAt?: string,
): IteratorResult<Access, void> {
  let next = from;
  do next = task.next(host.perform(i, next.value as Access));
  while (!next.done && next.value.op !== 'step' && !(stopAt && isAt(next.value, stopAt)));
  return next;
}

describe('steps', () => {
  function stepsOf(kernel: string, make: Workload, vectors: number): { grain: string; name: string }[] {
    const all = controllers(1, vectors);
    const host = new ToyHost({ profile: getKernelProfile(kernel) }, all, true);
    const steps: { grain: string; name: string }[] = [];
    interleave(host, [make(host.guest, all[0])], [], (_, access) => {
      if (access.op === 'step') steps.push({ grain: access.grain, name: access.name });
    });
    return steps;
  }

  test('the five coarse steps of Xenial, and what one lock section is inside them', () => {
    const steps = stepsOf('linux-4.4.0-59', probe, 4);
    expect(steps.filter((s) => s.grain === 'coarse').map((s) => s.name)).toEqual([
      'enable',
      'disable',
      'reenable',
      'start-admin',
      'start-queues',
    ]);
    expect(steps.map((s) => s.name)).toEqual([
      ...['enable', 'enable.msix1.enable', 'enable.controller', 'enable.request', 'enable.admin'],
      ...['disable', 'disable.off', 'disable.destroy'],
      ...['reenable', 'reenable.msix4.vector1', 'reenable.msix4.vector2', 'reenable.msix4.vector3'],
      'reenable.msix4.enable',
      'start-admin',
      ...['start-queues', 'start-queues.queue2', 'start-queues.queue3', 'start-queues.queue4'],
    ]);
  });

  test('names are unique in every task', () => {
    for (const { name: kernel } of KERNEL_PROFILES)
      for (const make of Object.values(TASKS)) {
        const names = stepsOf(kernel, make, 3).map((s) => s.name);
        expect(new Set(names).size).toBe(names.length);
      }
  });

  test('a controller that has given up still takes its coarse steps', () => {
    for (const { coarseSteps, make, kernel } of Object.values(WORKLOADS)) {
      const all = controllers(1, 4);
      const profile = kernel(withSwitches(getKernelProfile('linux-6.1'), { nvmeTimeoutPolls: false }));
      const host = new ToyHost({ profile }, all, true);
      const seen: string[] = [];
      const task = make(host.guest, all[0]);
      for (let next = task.next(); !next.done; ) {
        const access = next.value;
        if (access.op === 'step' && access.grain === 'coarse') seen.push(access.name);
        next = task.next(access.op === 'wait' ? 2 : host.perform(0, access));
      }
      expect(seen).toEqual(coarseSteps);
    }
  });

  test('the probe of each kernel has the steps that are told of it', () => {
    for (const profile of KERNEL_PROFILES) {
      const coarse = stepsOf(profile.name, probe, 2).flatMap((s) => (s.grain === 'coarse' ? [s.name] : []));
      expect(coarse).toEqual(probeSteps(profile));
    }
  });
});

describe('records', () => {
  test('after unload nothing is left, whatever happened before', () => {
    fc.assert(
      fc.property(sceneArb, fc.array(fc.nat(2), { maxLength: 80 }), (scene, choices) => {
        const all = controllers(3, scene.vectors);
        const host = hostOf(scene, all);
        const tasks = all.map((c) => TASKS[scene.task](host.guest, c));
        interleave(host, tasks, choices);
        const live = host.records.irqs();
        // Each irq belongs to exactly one descriptor, each port to exactly one irq.
        for (const record of live) expect(host.records.vector(record.bdf!, record.entry).irq).toBe(record.irq);
        const ports = live.filter((r) => r.port > 0);
        expect(new Set(ports.map((r) => r.port)).size).toBe(ports.length);
        for (const record of ports) expect(host.records.irqOfPort(record.port)).toBe(record.irq);
        interleave(
          host,
          all.map((c) => unload(host.guest, c)),
          choices,
        );
        expect(host.records.irqs()).toEqual([]);
        for (let port = 0; port < 64; port++) expect(host.records.irqOfPort(port)).toBe(-1);
        for (const { bdf } of all) {
          expect(host.records.controller(bdf).state).toBe(CONTROLLER_STATE.unbound);
          expect(host.records.device(bdf)).toMatchObject({ mode: 0, vectors: 0 });
        }
      }),
      { numRuns: 60 },
    );
  });

  test('names of controllers decide nothing', () => {
    fc.assert(
      fc.property(
        sceneArb,
        fc.array(fc.nat(2), { maxLength: 80 }),
        fc.shuffledSubarray([0x18, 0x20, 0x28, 0x3b, 0xff00], { minLength: 3, maxLength: 3 }),
        (scene, choices, bdfs) => {
          const outcome = (names: number[]) => {
            const all = controllers(3, scene.vectors).map((c, i) => ({ ...c, bdf: names[i] }));
            const host = hostOf(scene, all);
            interleave(
              host,
              all.map((c) => TASKS[scene.task](host.guest, c)),
              choices,
            );
            const pirqs = host.records.irqs().map((r) => [names.indexOf(r.bdf!), r.entry, r.pirq, r.port]);
            return { pirqs, verdict: host.verdict(), states: names.map((n) => host.records.controller(n).state) };
          };
          expect(outcome(bdfs)).toEqual(outcome([0x18, 0x20, 0x28]));
        },
      ),
      { numRuns: 30 },
    );
  });

  test('restoring a snapshot restores the records', () => {
    const all = controllers(2, 4);
    const host = new ToyHost({ profile: getKernelProfile('linux-4.4.0-59') }, all, true);
    const before = host.arena.snapshot();
    interleave(
      host,
      all.map((c) => probe(host.guest, c)),
      [],
    );
    const after = { irqs: host.records.irqs(), hash: host.arena.hash() };
    host.arena.restore(before);
    expect(host.records.irqs()).toEqual([]);
    expect(host.records.controller(all[1].bdf).state).toBe(CONTROLLER_STATE.unbound);
    interleave(
      host,
      all.map((c) => probe(host.guest, c)),
      [],
    );
    expect({ irqs: host.records.irqs(), hash: host.arena.hash() }).toEqual(after);
  });
});

describe('loading, unloading and loading again, one controller after another (reference §4.7)', () => {
  function numbers(kernel: string, freesOnDisable: boolean, reuse?: ReuseRule): number[][] {
    const all = controllers(3, 4);
    const profile = withSwitches(getKernelProfile(kernel), reuse ? { reuse } : {});
    const host = new ToyHost({ profile }, all, freesOnDisable);
    const loads: number[][] = [];
    for (let load = 0; load < 2; load++) {
      for (const c of all) host.run(probe(host.guest, c));
      expect(host.verdict()).toEqual(['good', 'good', 'good']);
      loads.push(all.flatMap((_, i) => host.pirqs(i, 4)));
      for (const c of all) host.run(unload(host.guest, c));
    }
    return loads;
  }

  test('case 4: the same numbers every time', () => {
    const [first, second] = numbers('linux-4.4.0-61', true);
    expect(first).toEqual([55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44]);
    expect(second).toEqual(first);
  });

  test('case 3 without interleaving works', () => {
    const [first, second] = numbers('linux-4.4.0-59', true);
    expect(first).toEqual([55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44]);
    expect(second).toEqual(first);
  });

  test.each(['R0', 'Rideal'] as const)('case 1 under %s: own numbers kept, no growth (§4.5)', (reuse) => {
    const [first, second] = numbers('linux-4.4.0-59', false, reuse);
    expect(first).toEqual([55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44]);
    expect(second).toEqual(first);
  });
});

test('three controllers in lock step, case 1 under Rideal: the numbers of §4.6', () => {
  const all = controllers(3, 4);
  const profile = withSwitches(getKernelProfile('linux-4.4.0-59'), { reuse: 'Rideal' });
  const host = new ToyHost({ profile }, all, false);
  const tasks = all.map((c) => oneDisableMany(host.guest, c));
  const next = tasks.map((t) => t.next());
  for (let round = 0; round < 5; round++)
    for (const [i, task] of tasks.entries()) {
      do next[i] = task.next(host.perform(i, next[i].value as Access));
      while (
        !next[i].done &&
        !((next[i].value as Access).op === 'step' && (next[i].value as { grain: string }).grain === 'coarse')
      );
    }
  expect(host.verdict()).toEqual(['good', 'good', 'good']);
  expect(all.map((_, i) => host.pirqs(i, 4))).toEqual([
    [55, 52, 51, 50],
    [54, 49, 48, 47],
    [53, 46, 45, 44],
  ]);
});
