import { describe, expect, test } from 'vitest';
import { getKernelProfile, oneDisableMany, type Task, withSwitches } from '../../src/guest/index.ts';
import { builtinDrive, DEFAULT_DRIVE } from '../../src/lab/case.ts';
import { explore } from '../../src/lab/explorer.ts';
import { Machine } from '../../src/lab/machine.ts';
import { Stepper } from '../../src/lab/stepper.ts';
import { deviceModel } from '../../src/xen/device-model/index.ts';
import { getXenProfile } from '../../src/xen/index.ts';

/**
 * A pool with too few numbers, and kernels that try again with as many vectors as they have got (up to 5.10): the places
 * in the second try are others than those in the first. The explorer takes tasks that stand at a place of the same name
 * for interchangeable; a count of all schedules that knows nothing of names must find the same.
 */
interface Scene {
  reuse: string;
  host: string;
  vectors: number;
  numbers: number;
}

const DISABLE = 'disable';
/** Places at which nothing that matters here can come between; without them there are few enough schedules to run all. */
const JOINED = ['.off', '.destroy', 'start-admin', 'start-queues', '.queue2', '.queue3'];
const isPlace = (name: string) => !JOINED.some((end) => name.endsWith(end));

function makeMachine({ reuse, host, vectors, numbers }: Scene): Machine {
  return new Machine({
    deviceModel: deviceModel(host),
    kernel: withSwitches(getKernelProfile('linux-4.4.0-59'), { reuse }),
    xen: getXenProfile('xen-4.17'),
    controllers: 2,
    vectors,
    drive: builtinDrive(DEFAULT_DRIVE),
    gsis: 24,
    extraGuestIrqs: numbers,
  });
}

const tasksOf = (machine: Machine) => machine.slots.map((slot) => () => oneDisableMany(machine.guest, slot.controller));

function lettersOf(machine: Machine): string {
  return machine
    .verdict()
    .map((state) => state[0])
    .join('');
}

/** Outcomes of all schedules from the first disable on, each run from the beginning with tasks of its own. */
function bruteForce(machine: Machine): { outcomes: Map<string, bigint>; places: Set<string> } {
  const outcomes = new Map<string, bigint>();
  const places = new Set<string>();
  const start = machine.arena.snapshot();
  for (let script: number[] | undefined = []; script; ) {
    machine.arena.restore(start);
    const tasks = tasksOf(machine).map((make, task) => new Running(machine, task, make(), places));
    for (const task of tasks) task.runTo((name) => name === DISABLE);
    const taken: { task: number; others: number[] }[] = [];
    for (;;) {
      const running = tasks.flatMap((task, i) => (task.isDone ? [] : [i]));
      if (running.length === 0) break;
      const task: number = script[taken.length] ?? running[0];
      taken.push({ task, others: running.filter((other) => other > task) });
      tasks[task].runTo(isPlace);
    }
    const letters = lettersOf(machine);
    outcomes.set(letters, (outcomes.get(letters) ?? 0n) + 1n);
    const last = taken.findLastIndex(({ others }) => others.length > 0);
    script = last < 0 ? undefined : [...taken.slice(0, last).map(({ task }) => task), taken[last].others[0]];
  }
  machine.arena.restore(start);
  return { outcomes, places };
}

class Running {
  readonly #machine: Machine;
  readonly #index: number;
  readonly #generator: Task<unknown>;
  readonly #places: Set<string>;
  #next: ReturnType<Task<unknown>['next']>;

  constructor(machine: Machine, index: number, generator: Task<unknown>, places: Set<string>) {
    this.#machine = machine;
    this.#index = index;
    this.#generator = generator;
    this.#places = places;
    this.#next = generator.next();
  }

  get isDone(): boolean {
    return this.#next.done === true;
  }

  /** Leaves the place at which the task stands and goes on to the next one that `isStop` accepts. */
  runTo(isStop: (name: string) => boolean): void {
    let isFirst = true;
    while (!this.#next.done) {
      const access = this.#next.value;
      if (access.op === 'step' && !isFirst && isStop(access.name)) return;
      if (access.op === 'step') this.#places.add(access.name);
      if (access.op !== 'step') isFirst = false;
      const answer = access.op === 'step' ? 0 : this.#machine.perform(this.#index, access);
      this.#next = this.#generator.next(answer);
    }
  }
}

/** The same by the explorer, in group steps, each of them a choice. */
function explored(machine: Machine, places: ReadonlySet<string>): ReturnType<typeof explore> {
  const joined = new Set([...places].filter((name) => !isPlace(name)));
  const plans = tasksOf(machine).map((make) => ({ make, coarseSteps: 0 }));
  const stepper = new Stepper(machine, plans, 'group', joined);
  const prefix: number[] = [];
  const before = machine.arena.snapshot();
  const positions = stepper.start();
  for (const task of positions.keys())
    while (stepper.stepName(positions[task]) !== DISABLE) {
      positions[task] = stepper.step(task, positions[task]);
      prefix.push(task);
    }
  machine.arena.restore(before);
  return explore(machine, stepper, { prefix, isMerging: false });
}

describe('a pool with too few numbers', () => {
  test.each<Scene & { retries: string }>([
    { reuse: 'R1', host: 'qemu-2.1', vectors: 2, numbers: 2, retries: 'reenable.msix1.enable' },
    { reuse: 'R2', host: 'qemu-2.1', vectors: 3, numbers: 3, retries: 'reenable.msix2.vector1' },
    { reuse: 'R0', host: 'qemu-2.0', vectors: 3, numbers: 5, retries: 'reenable.msix2.enable' },
    { reuse: 'Rideal', host: 'qemu-2.0', vectors: 3, numbers: 5, retries: 'reenable.msix2.enable' },
  ])('$host, $reuse, $vectors vectors, $numbers numbers: as many of each outcome as in all schedules', (scene) => {
    const machine = makeMachine(scene);
    const { outcomes, places } = bruteForce(machine);
    expect(places).toContain(scene.retries);
    const found = explored(machine, places);
    expect(found.complete).toBe(true);
    expect([...found.outcomes].sort()).toEqual([...outcomes].sort());
  });
});
