import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM, type NvmeOptions } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';
import type { ToyDriver } from './toy-driver.ts';

const flush = { opcode: NVM.flush, nsid: 1 };

function ready(options: NvmeOptions = {}) {
  const parts = setUp({ namespaces: [new MemoryNamespace(1 << 16)], ...options });
  parts.driver.enable();
  return parts;
}

/** Event that an outstanding request reports, if any. */
function event(driver: ToyDriver): number | undefined {
  return driver.reap(0)[0]?.result;
}

describe('queues', () => {
  test('heads, phase tags and identifiers over several turns of small queues', () => {
    const { driver } = ready();
    driver.createPair(3, 4);
    for (let i = 1; i <= 25; i++) {
      const cid = driver.push(3, flush);
      driver.ring(3);
      const done = driver.reap(3);
      expect(done).toEqual([{ result: 0, sqHead: i % 4, sqid: 3, cid, status: 0, flags: 0 }]);
    }
  });

  test('a full completion queue holds commands back until there is room', () => {
    const { driver, controller } = ready();
    driver.createPair(1, 4);
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 3; i++) driver.push(1, flush);
      driver.ring(1);
      driver.push(1, flush);
      driver.ring(1);
      expect(controller.queued(1)).toBe(1);
      expect(driver.reap(1, false)).toHaveLength(3);
      driver.acknowledge(1);
      expect(controller.queued(1)).toBe(0);
      expect(driver.reap(1)).toHaveLength(1);
    }
  });

  test('with defer, step takes one command at a time, queue by queue', () => {
    const { driver, controller } = ready({ defer: true });
    driver.push(0, { opcode: ADMIN.asyncEventRequest });
    const cid = driver.push(0, { opcode: 0xff });
    driver.ring(0);
    expect(controller.queued(0)).toBe(2);
    expect(controller.hasWork).toBe(true);
    expect(controller.step()).toBe(true);
    expect(driver.reap(0)).toEqual([]);
    expect(controller.step()).toBe(true);
    expect(driver.reap(0).map((c) => c.cid)).toEqual([cid]);
    expect(controller.step()).toBe(false);
    expect(controller.hasWork).toBe(false);
  });

  test('a deleted queue is silent', () => {
    const { driver, host } = ready();
    driver.createPair(1, 8);
    driver.admin({ opcode: ADMIN.deleteIoSq, cdw10: 1 });
    driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 });
    host.drain();
    driver.push(1, flush);
    driver.ring(1);
    expect(driver.reap(1, false)).toEqual([]);
    expect(host.drain()).toEqual([]);
  });
});

// NVMe 1.4 §4.1 and §5.2.1: type 0 (error), information in bits 15:8, log page 1
describe('invalid doorbells are reported as events', () => {
  const BAD_REGISTER = 0x01_00_00;
  const BAD_VALUE = 0x01_01_00;

  function watched() {
    const parts = ready();
    parts.driver.createPair(1, 4);
    parts.driver.push(0, { opcode: ADMIN.asyncEventRequest });
    parts.driver.ring(0);
    return parts;
  }

  test.each<[string, number, number, number]>([
    ['tail out of range', 0x1008, 4, BAD_VALUE],
    ['tail repeated', 0x1008, 0, BAD_VALUE],
    ['head out of range', 0x100c, 4, BAD_VALUE],
    ['head repeated', 0x100c, 0, BAD_VALUE],
    ['head past the last entry', 0x100c, 1, BAD_VALUE],
    ['queue that was not made', 0x1010, 1, BAD_REGISTER],
    ['queue beyond the last', 0x2000, 1, BAD_REGISTER],
  ])('%s', (_, offset, value, expected) => {
    const { controller, driver } = watched();
    controller.writeRegister(offset, 4, value);
    expect(event(driver)).toBe(expected);
  });

  test('more commands than a submission queue has places', () => {
    const { controller, driver } = watched();
    for (let i = 0; i < 3; i++) driver.push(1, flush);
    driver.ring(1);
    driver.push(1, flush);
    driver.ring(1); // waits, as the completion queue is full
    expect(controller.queued(1)).toBe(1);
    controller.writeRegister(0x1008, 4, 3);
    expect(event(driver)).toBe(BAD_VALUE);
    expect(controller.queued(1)).toBe(1);
  });

  test('a submission queue with a bad tail gives no more commands until it is made anew', () => {
    const { controller, driver } = watched();
    controller.writeRegister(0x1008, 4, 9);
    driver.push(1, flush);
    driver.ring(1);
    expect(driver.reap(1)).toEqual([]);
    driver.reap(0);
    driver.admin({ opcode: ADMIN.deleteIoSq, cdw10: 1 });
    driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 });
    driver.createPair(1, 4);
    expect(driver.run(1, flush).status).toBe(0);
  });

  test('a type is reported once until its log page is read; Retain keeps it masked', () => {
    const { controller, driver } = watched();
    const readLog = (retain: boolean) =>
      driver.admin({
        opcode: ADMIN.getLogPage,
        prp1: driver.allocate(),
        cdw10: 1 | (retain ? 0x8000 : 0) | (15 << 16),
      });
    controller.writeRegister(0x1010, 4, 1);
    expect(event(driver)).toBe(BAD_REGISTER);
    driver.push(0, { opcode: ADMIN.asyncEventRequest });
    driver.ring(0);
    controller.writeRegister(0x100c, 4, 0);
    expect(event(driver)).toBeUndefined();
    readLog(true);
    expect(event(driver)).toBeUndefined();
    const cid = driver.push(0, {
      opcode: ADMIN.getLogPage,
      prp1: driver.allocate(),
      cdw10: 1 | (15 << 16),
    });
    driver.ring(0);
    const [log, reported] = driver.reap(0);
    expect(log.cid).toBe(cid);
    expect(reported.result).toBe(BAD_VALUE);
  });

  test('without a request the event waits', () => {
    const { controller, driver } = ready();
    controller.writeRegister(0x1010, 4, 1);
    driver.push(0, { opcode: ADMIN.asyncEventRequest });
    driver.ring(0);
    expect(event(driver)).toBe(BAD_REGISTER);
  });
});
