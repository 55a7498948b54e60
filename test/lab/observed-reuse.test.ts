import { describe, expect, test } from 'vitest';
import { CONTROLLER_STATE } from '../../src/guest/index.ts';
import { Course, driverStates, entries, mappedPirqs, observedMachine, takeGsis, withRule } from './observed.ts';

/** Device model of today, Linux 6.1 made to trust the stored message (case 3), as measured: docs/observed.md. */
function booted(switches: Record<string, boolean> = {}): Course {
  const machine = observedMachine({ kernel: withRule('R1', switches) });
  takeGsis(machine);
  return new Course(machine);
}

const { up, slow } = CONTROLLER_STATE;
const FAILED_TO_OBTAIN = /^bind_pirq \d+: -EEXIST|Failed to obtain/;
const DELIVERY_MODE_7 = 'goes nowhere: delivery-mode';

describe('the rule as it was first emulated, which writes a re-used pirq again', () => {
  const COURSE = 'B54 A53 Bd C54 C>disable B=54 B52 B51 B>start-admin Ad A53 A50 A49 A. Cd B>start-queues C=54 C54 C48';

  test('who gets which number, who stays deaf', () => {
    const course = booted();
    const rewriting = booted({ reuseRewrites: true });
    const { machine } = rewriting;
    expect(rewriting.load().follow(COURSE)).toBe('B54 A53 C54 B=54 B54 B52 B51 A53 A50 A49 C=54 C54 C54 C48');
    expect(mappedPirqs(machine)).toEqual([54, 53, 52, 51, 50, 49, 48]);
    expect(driverStates(machine)).toEqual([up, slow, slow]);
    const events = rewriting.events();
    expect(events.filter((text) => FAILED_TO_OBTAIN.test(text)).length).toBe(4);
    expect(events.some((text) => text.endsWith(DELIVERY_MODE_7))).toBe(true);
    expect(rewriting.delivering(0)).toEqual([true, true, true]);
    expect(rewriting.delivering(1)[0]).toBe(false);
    expect(rewriting.delivering(2)[0]).toBe(false);
    // Without the writes the device model does not map 54 again, and C's next allocation gets it all the same.
    expect(course.load().follow(COURSE)).toBe('B54 A53 C54 B=54 B52 B51 A53 A50 A49 C=54 C54 C48');
    expect(course.calls().filter((text) => text === 'map pirq 54 for B entry 0: pirq 54').length).toBe(1);
  });

  test('the device model takes the same message for a change in an entry without pirq', () => {
    const course = booted({ reuseRewrites: true });
    course.load().follow(COURSE);
    const calls = course.calls();
    expect(calls.filter((text) => text === 'map pirq 54 for B entry 0: pirq 54').length).toBe(2);
    expect(calls.every((text) => / \d+$/.test(text))).toBe(true);
  });
});

describe('rule R1 without a write on re-use, as kernels had it', () => {
  const FIRST = 'C54 A53 B52 Cd C54 C51 Ad C53 A=53 Bd A52 A50 B=52 B49 B48 C. A>start-admin B>start-queues A.';
  const RELOAD = 'A54 B53 C=54 Ad C>disable A=54 A54 A52 Bd B53 B51 B50 A. B. Cd C=54 C=51 C=53';

  test('first load: numbers, calls of the device model, start-up, and how each controller ends', () => {
    const course = booted();
    const { machine } = course;
    expect(course.load().follow(FIRST)).toBe('C54 A53 B52 C54 C51 C53 A=53 A52 A50 B=52 B49 B48');
    const events = course.events();
    const calls = events.filter((text) => /^(map|bind|unbind|unmap) pirq/.test(text));
    const onlyAfter = calls.slice(calls.lastIndexOf('unmap pirq 52 of B: 0') + 1);
    expect(onlyAfter).toEqual([
      ...mapAndBind('C', [54, 51, 53]),
      ...mapAndBind('A', [52, 50], 1), // nothing for entry 0
      ...mapAndBind('B', [49, 48], 1), // nothing for entry 0
    ]);
    expect(calls.every((text) => / \d+$/.test(text))).toBe(true);

    // C's entry 2 has the port of 53; B's admin irq starts before A's queue 1 and has that of 52.
    const irqOf = (task: number, entry: number) => machine.records.vector(machine.slots[task].guestBdf, entry).irq;
    expect(events.filter((text) => FAILED_TO_OBTAIN.test(text))).toEqual([
      'bind_pirq 53: -EEXIST',
      `log: Failed to obtain physical IRQ ${irqOf(0, 0)}`,
      'bind_pirq 52: -EEXIST',
      `log: Failed to obtain physical IRQ ${irqOf(0, 1)}`,
    ]);
    expect(driverStates(machine)).toEqual([slow, slow, up]);
    expect([0, 1, 2].map((task) => course.delivering(task))).toEqual([
      [false, false, true],
      [false, true, true],
      [true, true, true],
    ]);
    // A's queue 1 interrupts run B's admin handler, which finds nothing of its own.
    expect(events).toContain('handler of B queue 0 runs and finds nothing');
    const slot = machine.slots[0];
    expect(machine.probeVector(slot, 1)).toEqual(['1.0']);
    expect(mappedPirqs(machine)).toEqual([54, 53, 52, 51, 50, 49, 48]);
  });

  test('reload: another controller is the good one', () => {
    const course = booted();
    const { machine } = course;
    course.load().follow(FIRST);
    course.unload();
    expect(mappedPirqs(machine)).toEqual([]);
    expect(course.calls().filter((text) => text.includes(': -'))).toEqual([]);

    expect(course.load().follow(RELOAD)).toBe('A54 B53 C=54 A=54 A54 A52 B53 B51 B50 C=54 C=51 C=53');
    const events = course.events();
    expect(events.filter((text) => /^map/.test(text))).toEqual([
      'map pirq 54 for A entry 0: pirq 54',
      'map pirq 53 for B entry 0: pirq 53',
      'map pirq 54 for A entry 1: pirq 54', // A re-uses 54 in entry 0, unmapped
      'map pirq 52 for A entry 2: pirq 52',
      'map pirq 53 for B entry 0: pirq 53',
      'map pirq 51 for B entry 1: pirq 51',
      'map pirq 50 for B entry 2: pirq 50', // and nothing for C
    ]);
    expect(events.filter((text) => /^bind_pirq \d+: -EEXIST/.test(text))).toEqual([
      ...['bind_pirq 54: -EEXIST', 'bind_pirq 54: -EEXIST'], // A's admin queue and queue 1
      ...['bind_pirq 51: -EEXIST', 'bind_pirq 53: -EEXIST'], // C's queues
    ]);
    expect(events.filter((text) => text.includes('Failed to obtain')).length).toBe(4);
    expect(entries(machine, 0)).toEqual(['fee36000 0 700 0', 'fee36000 0 700 0', 'fee34000 0 700 0']);
    expect(driverStates(machine)).toEqual([slow, up, slow]);
    expect(course.delivering(1)).toEqual([true, true, true]);
    expect(course.delivering(2)).toEqual([false, false, false]);
    course.unload();
    expect(course.calls().filter((text) => text.includes(': -'))).toEqual([]);
    expect(mappedPirqs(machine)).toEqual([]);
  });
});

function mapAndBind(name: string, pirqs: readonly number[], firstEntry = 0): string[] {
  return pirqs.flatMap((pirq, i) => [
    `map pirq ${pirq} for ${name} entry ${firstEntry + i}: pirq ${pirq}`,
    `bind pirq ${pirq} of ${name}: 0`,
  ]);
}
