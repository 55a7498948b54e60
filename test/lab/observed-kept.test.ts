import { describe, expect, test } from 'vitest';
import { CONTROLLER_STATE } from '../../src/guest/index.ts';
import { GUEST_DOMAIN, type Machine } from '../../src/lab/machine.ts';
import { createIrq, destroyIrq } from '../../src/xen/host-irq.ts';
import { isMasked2l, PIRQ_ALLOCATED, viewIrqs } from '../../src/xen/index.ts';
import {
  Course,
  driverStates,
  FREES_NOTHING,
  LINUX_6_1,
  mappedPirqs,
  observedMachine,
  takeGsis,
  withRule,
} from './observed.ts';

/** A device model that frees nothing on disable (cases 1 and 2), Linux 6.1, as measured: docs/observed.md. */
const R1 = withRule('R1');
const { slow, failed, up } = CONTROLLER_STATE;
const DEAF = [false, false, false];

function booted(kernel = LINUX_6_1): Course {
  const machine = observedMachine({ kernel, deviceModel: FREES_NOTHING });
  takeGsis(machine);
  return new Course(machine);
}

const expectAllDeaf = (course: Course) => {
  expect(driverStates(course.machine)).toEqual([slow, slow, slow]);
  expect([0, 1, 2].map((task) => course.delivering(task))).toEqual([DEAF, DEAF, DEAF]);
};

/** Numbers in the order in which they were taken from the pool. */
const numbers = (followed: string) => followed.split(' ').map((told) => Number(told.slice(1)));
const downFrom = (first: number, last: number) => Array.from({ length: first - last + 1 }, (_, i) => first - i);

/** The other controllers enable when one has failed already, as in the measured run. */
const CASE_1 = 'A54 C53 B52 A>disable C>disable B>disable Cd C51 C50 C49 C>start-admin Ad A48 A47 Bd B46 A45 B44 B43';

describe('case 1, guest with rule R1', () => {
  test('the stage of one vector delivers in all three', () => {
    const course = booted(R1);
    course.load().go('A54 C53 B52 A>disable C>disable B>disable');
    for (const task of [0, 1, 2]) expect(course.delivering(task)[0]).toBe(true);
  });

  test('first load: calls and results; no stored pirq is used again', () => {
    const course = booted(R1);
    expect(course.load().follow(CASE_1)).toBe('A54 C53 B52 C51 C50 C49 A48 A47 B46 A45 B44 B43');
    expect(course.calls()).toEqual([
      ...['map pirq 54 for A entry 0: pirq 54', 'bind pirq 54 of A: 0'],
      ...['map pirq 53 for C entry 0: pirq 53', 'bind pirq 53 of C: 0'],
      ...['map pirq 52 for B entry 0: pirq 52', 'bind pirq 52 of B: 0'],
      ...['bind pirq 51 of C: -EPERM', 'unmap pirq 53 of C: 0'],
      ...['map pirq 50 for C entry 1: -EEXIST', 'map pirq 49 for C entry 2: -EEXIST'],
      ...['bind pirq 48 of A: -EPERM', 'unmap pirq 54 of A: 0'],
      ...['map pirq 47 for A entry 1: -EEXIST', 'map pirq 45 for A entry 2: -EEXIST'],
      ...['bind pirq 46 of B: -EPERM', 'unmap pirq 52 of B: 0'],
      ...['map pirq 44 for B entry 1: -EEXIST', 'map pirq 43 for B entry 2: -EEXIST'],
    ]);
    expect(mappedPirqs(course.machine)).toEqual([]);
    expectAllDeaf(course);
  });

  test('ports are bound to numbers that are only reserved, and the guest hears of no error', () => {
    const course = booted(R1);
    course.load().follow(CASE_1);
    const events = course.events();
    const domain = course.machine.hypervisor.domain(GUEST_DOMAIN);
    for (const pirq of downFrom(51, 43)) {
      expect(domain.irqOf(pirq)).toBe(PIRQ_ALLOCATED);
      expect(domain.evtchn[pirq]).toBeGreaterThan(0);
    }
    expect(events.filter((text) => /Failed to obtain|^bind_pirq \d+: -|goes nowhere/.test(text))).toEqual([]);
    expect(new Set(events.filter((text) => text.startsWith('log:')))).toEqual(
      new Set([0, 1, 2].map((queue) => `log: nvme: I/O QID ${queue} timeout, completion polled`)),
    );
    course.unload();
    expect(course.calls()).toEqual([]);
  });

  test('reload: none delivers even with one vector; left-over entries are tried again', () => {
    const course = booted(R1);
    course.load().follow(CASE_1);
    course.unload().calls();
    expect(numbers(course.load().follow())).toEqual(downFrom(42, 31));
    const calls = course.calls();
    // one vector is asked for, entries 1 and 2 are those of the first load
    expect(calls.slice(0, 6)).toEqual([
      ...['map pirq 42 for A entry 0: -EEXIST', 'map pirq 47 for A entry 1: -EEXIST'],
      ...['map pirq 45 for A entry 2: -EEXIST', 'map pirq 41 for A entry 0: -EEXIST'],
      ...['map pirq 40 for A entry 1: -EEXIST', 'map pirq 39 for A entry 2: -EEXIST'],
    ]);
    expect(calls.every((text) => text.endsWith(': -EEXIST'))).toBe(true);
    expectAllDeaf(course);
  });
});

describe('case 2, guest as it is', () => {
  test('a controller that starts after others have failed is deaf from its first enable', () => {
    const course = booted();
    course.load().go('A54 C53 A>disable C>disable');
    for (const task of [0, 2]) expect(course.delivering(task)[0]).toBe(true);
    course.go('Cd C52 C51 C50 C>start-admin B49 B>disable');
    expect(course.calls()).toContain('map pirq 49 for B entry 0: -EEXIST');
    expect(course.delivering(1)[0]).toBe(false);
    course.follow();
    expectAllDeaf(course);
  });

  test('numbers: 54 to 43, 42 to 31, then 7 are left, the second controller gets one and −19', () => {
    const course = booted();
    const { machine } = course;
    expect(numbers(course.load().follow('A54 B53 C52'))).toEqual(downFrom(54, 43));
    expect(mappedPirqs(machine)).toEqual([]);
    course.unload();
    expect(numbers(course.load().follow())).toEqual(downFrom(42, 31));
    expect(mappedPirqs(machine)).toEqual([]);
    course.unload().events();
    expect(course.load().follow('A30 B29 C28')).toBe('A30 B29 C28 A27 A26 A25 B24');
    expect(driverStates(machine)).toEqual([slow, failed, failed]);
    const log = course.events().filter((text) => /^log: (nvme: no|Xen)/.test(text));
    expect(log.slice(0, 2)).toEqual([
      'log: Xen PCI frontend has not registered MSI/MSI-X support!',
      'log: nvme: no interrupt vectors, error -19',
    ]);
  });

  test('before the third load a lower host irq is free: one map succeeds, its re-enable fails as before', () => {
    const machine = observedMachine({ deviceModel: FREES_NOTHING });
    const held = [24, 25].map(() => createIrq(machine.hypervisor.host, undefined));
    expect(held).toEqual([24, 25]);
    takeGsis(machine);
    const course = new Course(machine);
    course.load().follow('A54 B53 C52');
    course.unload().load().follow();
    course.unload().calls();
    destroyIrq(machine.hypervisor.host, 25);
    course.load().go('A30 A>disable');
    expect(viewIrqs(machine.hypervisor.host).map(({ irq }) => irq)).toEqual([24, 25]);
    expect(course.delivering(0)[0]).toBe(true);
    course.follow();
    const events = course.events();
    const ofEntry0 = /^(map .* A entry 0|(bind|unmap) pirq \d+ of A)/;
    expect(events.filter((text) => ofEntry0.test(text))).toEqual([
      ...['map pirq 30 for A entry 0: pirq 30', 'bind pirq 30 of A: 0'],
      ...['bind pirq 29 of A: -EPERM', 'unmap pirq 30 of A: 0'],
    ]);
    // A signal held back since the second load arrives before the guest has a port for it: reported once, as measured.
    expect(events.filter((text) => text.includes('goes nowhere'))).toEqual([
      'interrupt of pirq 30 goes nowhere: delivery-mode',
    ]);
    for (const task of [0, 1, 2]) expect(course.delivering(task)).toEqual(DEAF);
  });
});

describe('one controller alone', () => {
  test.each([['R1'], ['R2']])('fails at its first re-enable with rule %s: no race is needed', (rule) => {
    const machine = observedMachine({ kernel: withRule(rule), deviceModel: FREES_NOTHING, controllers: 1 });
    takeGsis(machine, []);
    const course = new Course(machine);
    expect(course.load('A').follow()).toBe('A55 A54 A53 A52');
    expect(course.calls()).toEqual([
      ...['map pirq 55 for A entry 0: pirq 55', 'bind pirq 55 of A: 0'],
      ...['bind pirq 54 of A: -EPERM', 'unmap pirq 55 of A: 0'],
      ...['map pirq 53 for A entry 1: -EEXIST', 'map pirq 52 for A entry 2: -EEXIST'],
    ]);
    expect(mappedPirqs(machine)).toEqual([]);
    expect(course.delivering(0)).toEqual(DEAF);
    course.unload('A');
    expect(course.load('A').follow()).toBe('A51 A50 A49 A48');
    expect(course.calls().every((text) => text.endsWith(': -EEXIST'))).toBe(true);
  });
});

describe('a guest that goes by the marker alone', () => {
  const LOAD = 'C54 A53 B52 Cd Ad Bd C=54 A=53 A51 A50 C49 C48 B=52 B47 B46';

  test.each([['Rideal'], ['R0']])('is correct with rule %s, without a call of the device model on reload', (rule) => {
    const course = booted(withRule(rule));
    const { machine } = course;
    const nine = [54, 53, 52, 51, 50, 49, 48, 47, 46];
    expect(course.load().follow(LOAD)).toBe('C54 A53 B52 C=54 A=53 A51 A50 C49 C48 B=52 B47 B46');
    const calls = course.calls();
    expect(calls.length).toBe(18);
    expect(calls.every((text) => / \d+$/.test(text))).toBe(true);
    for (let loads = 0; loads < 3; loads++) {
      expect(driverStates(machine)).toEqual([up, up, up]);
      expect([0, 1, 2].flatMap((task) => course.delivering(task))).toEqual(nine.map(() => true));
      expect(mappedPirqs(machine)).toEqual(nine);
      expect(maskedPirqs(machine)).toEqual(nine.map(() => false));
      course.unload();
      expect(mappedPirqs(machine)).toEqual(nine);
      expect(maskedPirqs(machine)).toEqual(nine.map(() => true));
      expect(course.load().follow()).toBe('A=53 A=53 A=51 A=50 B=52 B=52 B=47 B=46 C=54 C=54 C=49 C=48');
      expect(course.calls()).toEqual([]);
    }
  });
});

/**
 * Whether each mapped pirq counts as masked in the list that Xen prints of its irqs: the mask bit of its port. A pirq
 * without one has port 0, which Linux has masked at boot with all others. arch/x86/irq.c: dump_irqs
 */
function maskedPirqs(machine: Machine): boolean[] {
  const domain = machine.hypervisor.domain(GUEST_DOMAIN);
  return mappedPirqs(machine).map((pirq) => isMasked2l(domain, domain.evtchn[pirq]));
}
