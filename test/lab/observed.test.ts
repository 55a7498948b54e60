import { describe, expect, test } from 'vitest';
import { CONTROLLER_STATE } from '../../src/guest/index.ts';
import { GUEST_DOMAIN, type Machine } from '../../src/lab/machine.ts';
import { DOMID_SELF, MAP_PIRQ_TYPE } from '../../src/xen/abi/index.ts';
import { viewIrqs, viewMessages } from '../../src/xen/index.ts';
import { barOf, DOM0, device, machine as host } from '../xen/machine.ts';
import { Course, driverStates, entries, mappedPirqs, observedMachine, takeGsis } from './observed.ts';

/**
 * Device model and guest of today (case 4), Xen 4.17.7, Linux 6.1, as measured: docs/observed.md. The orders in which
 * messages were written, device:pirq, the slash where the stage of one vector ends; and courses that lead to them.
 */
const ORDERS = {
  load: 'C54 B53 A52 / A52 A51 A53 B54 B50 C48 B49 C47 C46',
  reload: 'B54 A53 C52 / A54 A53 A51 B52 B50 C49 B48 C47 C46',
  'reload again': 'A54 B53 C52 / B53 B51 B54 C52 C50 C49 A48 A47 A46',
  'bind A': 'A54 / A54 A53 A51',
  'bind B': 'B48 / B48 B47 B46',
  'bind C': 'C52 / C52 C50 C49',
};
const COURSES = {
  load: 'C54 B53 A52 Ad A52 A51 Bd A53 Cd B54 B50 B? C48 B49 C47 C46',
  reload: 'B54 A53 C52 Bd Ad A54 A53 A51 Cd B52 B50 C49 B48 C47 C46',
  'reload again': 'A54 B53 C52 Bd B53 B51 Ad B54 Cd C52 C50 C49 A48 A47 A46',
};
const NINE = [54, 53, 52, 51, 50, 49, 48, 47, 46];
const written = (order: keyof typeof ORDERS) => ORDERS[order].replace(' /', '');

function booted(): Machine {
  const machine = observedMachine();
  takeGsis(machine);
  return machine;
}

function expectAllGood(course: Course): void {
  expect(driverStates(course.machine)).toEqual([CONTROLLER_STATE.up, CONTROLLER_STATE.up, CONTROLLER_STATE.up]);
  for (const task of [0, 1, 2]) expect(course.delivering(task)).toEqual([true, true, true]);
  const log = course.events().filter((text) => /^log:|goes nowhere/.test(text));
  expect(log).toEqual([]);
}

describe('numbers', () => {
  test('GSIs of the guest take 16 and up, pins of the host their own number, then one from the top', () => {
    const taken = takeGsis(observedMachine());
    expect([9, 8, 12, 1, 6].map((gsi) => taken.get(gsi))).toEqual([16, 17, 18, 19, 20]);
    expect([21, 22, 23].map((gsi) => taken.get(gsi))).toEqual([21, 22, 23]);
    expect(taken.get(24)).toBe(55);
  });

  test('a guest has 56 pirqs, and its messages get them from the top, or from 54 if gsi 24 has taken 55', () => {
    const machine = observedMachine();
    expect(machine.hypervisor.domain(GUEST_DOMAIN).nrPirqs).toBe(56);
    takeGsis(machine, []);
    expect(new Course(machine).load('A').follow()).toBe('A55 A55 A54 A53');
    expect(new Course(booted()).load('A').follow()).toBe('A54 A54 A53 A52');
  });

  test('dom0 has 416, gets them from 415 downwards, and host irqs from 24 upwards', () => {
    const drive = device(3, { msix_entries: 65 });
    const { xen } = host({ gsis: 24, cpus: 2, intremap: false, domains: [DOM0], devices: [drive] });
    expect(xen.domain(0).nrPirqs).toBe(416);
    const dom0 = xen.as(0);
    expect(dom0.prepareMsix(drive.sbdf)).toBe(0);
    const map = (entry_nr: number) =>
      dom0.mapPirq({ domid: DOMID_SELF, type: MAP_PIRQ_TYPE.msi, bus: 3, entry_nr, table_base: barOf(3) }).pirq;
    expect([0, 1, 2].map(map)).toEqual([415, 414, 413]);
    expect(dom0.unmapPirq(DOMID_SELF, 414)).toBe(0);
    expect(map(1)).toBe(414);
    expect(viewIrqs(xen.host).map(({ irq }) => irq)).toEqual([24, 25, 26]);
    for (const pirq of [415, 414, 413]) expect(dom0.bindPirq(pirq).ret).toBe(0);
    for (const { addressLo, addressHi, data } of viewMessages(xen.host, drive.sbdf)) {
      expect([0xfee0100c, 0xfee0200c]).toContain(addressLo);
      expect(addressHi).toBe(0);
      expect(data & ~0xff).toBe(0x4100);
    }
  });
});

describe('registers', () => {
  const TABLE = 0x2000;
  const raw = (machine: Machine, entry: number) =>
    [0, 4, 8, 12].map((word) => machine.slots[0].fn.readBar(0, TABLE + 16 * entry + word, 4));
  const config = (machine: Machine) => {
    const { model } = machine.slots[0];
    return { control: model.readConfig(0x42, 2), command: model.readConfig(0x04, 2) };
  };

  test('a guest reads its own messages, in use and stale after unload; the device has those of the host', () => {
    const course = new Course(booted());
    const { machine } = course;
    course.load().follow(COURSES.load);
    const inUse = ['fee34000 0 700 0', 'fee33000 0 700 0', 'fee35000 0 700 0'];
    expect(entries(machine, 0)).toEqual(inUse);
    expect(config(machine)).toEqual({ control: 0x8040, command: 0x0406 });
    const hostMessages = [0, 1, 2].map((entry) => raw(machine, entry));
    for (const [lo, hi, data, control] of hostMessages) {
      expect([lo, hi, control]).toEqual([0xfee0100c, 0, 0]);
      expect(data & ~0xff).toBe(0x4100);
    }
    course.unload();
    expect(entries(machine, 0)).toEqual(inUse);
    expect(config(machine)).toEqual({ control: 0x0040, command: 0x0002 });
    expect([0, 1, 2].map((entry) => raw(machine, entry))).toEqual(hostMessages.map((words) => words.with(3, 1)));
  });
});

describe('courses', () => {
  test('messages are written in the observed orders, nine pirqs are mapped, none after unload', () => {
    const course = new Course(booted());
    const { machine } = course;
    for (const order of ['load', 'reload', 'reload again'] as const) {
      expect(course.load().follow(COURSES[order])).toBe(written(order));
      expect(mappedPirqs(machine)).toEqual(NINE);
      expectAllGood(course);
      if (order === 'reload again') break;
      course.unload();
      expect(mappedPirqs(machine)).toEqual([]);
      expect(viewIrqs(machine.hypervisor.host)).toEqual([]);
    }
    course.unload('A').unload('B');
    expect(course.load('A').follow()).toBe(written('bind A'));
    expect(entries(machine, 0)).toEqual(['fee36000 0 700 0', 'fee35000 0 700 0', 'fee33000 0 700 0']);
    expect(entries(machine, 1)).toEqual(['fee35000 0 700 0', 'fee33000 0 700 0', 'fee36000 0 700 0']);
    expect(course.load('B').follow()).toBe(written('bind B'));
    expect(course.unload('C').load('C').follow()).toBe(written('bind C'));
    expect(mappedPirqs(machine)).toEqual(NINE);
    expectAllGood(course);
    expect(machine.takeViolations()).toEqual([]);
  });

  test('each entry is mapped and bound, and given back by the disable', () => {
    const course = new Course(booted());
    course.load('A').follow();
    expect(course.calls()).toEqual([
      ...['map pirq 54 for A entry 0: pirq 54', 'bind pirq 54 of A: 0'],
      ...['unbind pirq 54 of A: 0', 'unmap pirq 54 of A: 0'],
      ...['map pirq 54 for A entry 0: pirq 54', 'bind pirq 54 of A: 0'],
      ...['map pirq 53 for A entry 1: pirq 53', 'bind pirq 53 of A: 0'],
      ...['map pirq 52 for A entry 2: pirq 52', 'bind pirq 52 of A: 0'],
    ]);
  });
});
