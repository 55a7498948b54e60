import { describe, expect, test } from 'vitest';
import { Arena } from '../../../../src/core/index.ts';
import { setUp } from './setup.ts';

const RDY = 1;
const CFS = 2;

describe('controller registers', () => {
  test('CAP and VS tell of the shape', () => {
    const { controller } = setUp({ maxQueueEntries: 1024, doorbellStride: 2, mpsMax: 4 });
    expect(controller.readRegister(0, 4)).toBe(0x0f01_03ff);
    expect(controller.readRegister(4, 4)).toBe(0x0040_0022);
    expect(controller.readRegister(8, 4)).toBe(0x0001_0400);
  });

  test('a read of any width sees the same bytes', () => {
    const { controller } = setUp();
    expect(controller.readRegister(2, 2)).toBe(0x0f01);
    expect(controller.readRegister(3, 1)).toBe(0x0f);
    expect(controller.readRegister(9, 4)).toBe(0x0000_0104);
  });

  test('reserved registers, NSSR, CMB and doorbells read zero and ignore writes', () => {
    const { controller } = setUp();
    for (const offset of [0x18, 0x20, 0x38, 0x3c, 0x40, 0xe00, 0xffc, 0x1000, 0x1004]) {
      controller.writeRegister(offset, 4, 0x4e564d65);
      expect(controller.readRegister(offset, 4)).toBe(0);
    }
  });

  test('writes narrower than a register word are dropped', () => {
    const { controller } = setUp();
    controller.writeRegister(0x24, 2, 0xfff);
    controller.writeRegister(0x24, 1, 0xff);
    controller.writeRegister(0x26, 4, 0xfff);
    expect(controller.readRegister(0x24, 4)).toBe(0);
  });

  test('INTMS sets and INTMC clears one mask that both read', () => {
    const { controller } = setUp();
    controller.writeRegister(0x0c, 4, 0xf0f0);
    controller.writeRegister(0x10, 4, 0x00ff);
    expect(controller.readRegister(0x0c, 4)).toBe(0xf000);
    expect(controller.readRegister(0x10, 4)).toBe(0xf000);
  });

  test('admin queue addresses keep only page bits', () => {
    const { controller } = setUp();
    controller.writeRegister(0x28, 4, 0xffff_ffff);
    controller.writeRegister(0x24, 4, 0xffff_ffff);
    expect(controller.readRegister(0x28, 4)).toBe(0xffff_f000);
    expect(controller.readRegister(0x24, 4)).toBe(0x0fff_0fff);
  });

  test('enable makes it ready, disable not ready; admin queue registers stay, the rest resets', () => {
    const { controller, driver } = setUp();
    driver.enable();
    expect(driver.csts).toBe(RDY);
    controller.writeRegister(0x0c, 4, 1);
    driver.writeCc(0x00460000);
    expect(driver.csts).toBe(0);
    expect(controller.readRegister(0x24, 4)).toBe(0x001f_001f);
    expect(controller.readRegister(0x28, 4)).toBe(driver.rings.get(0)!.sq);
    expect(controller.readRegister(0x0c, 4)).toBe(0);
    expect(controller.readRegister(0x14, 4)).toBe(0x00460000);
  });

  test.each([
    ['admin submission queue of one entry', 0x24, 0x001f_0000, 0x00460001],
    ['admin completion queue of one entry', 0x24, 0x0000_001f, 0x00460001],
    ['page size above CAP.MPSMAX', 0x24, 0x001f_001f, 0x00460001 | (5 << 7)],
    ['ASQ not aligned to the chosen page', 0x28, 0x0000_1000, 0x00460001 | (1 << 7)],
    ['unknown command set', 0x24, 0x001f_001f, 0x00460001 | (6 << 4)],
    ['unknown arbitration', 0x24, 0x001f_001f, 0x00460001 | (1 << 11)],
  ])('enable with %s is fatal until reset', (_, offset, value, cc) => {
    const { controller, driver } = setUp();
    controller.writeRegister(0x24, 4, 0x001f_001f);
    controller.writeRegister(offset, 4, value);
    driver.writeCc(cc);
    expect(driver.csts).toBe(CFS);
    driver.writeCc(0);
    expect(driver.csts).toBe(0);
    driver.enable();
    expect(driver.csts).toBe(RDY);
  });

  test('CSS, MPS and AMS keep their value while enabled', () => {
    const { controller, driver } = setUp();
    driver.enable();
    driver.writeCc(0x00463ff1);
    expect(controller.readRegister(0x14, 4)).toBe(0x00460001);
  });

  test('an unreadable admin queue is fatal', () => {
    const { controller, driver } = setUp();
    driver.enable();
    driver.writeCc(0);
    controller.writeRegister(0x2c, 4, 0x0100_0000);
    driver.writeCc(0x00460001);
    driver.push(0, { opcode: 6 });
    driver.ring(0);
    expect(driver.csts & CFS).toBe(CFS);
  });

  test('without bus mastering a doorbell is fatal', () => {
    const { host, driver } = setUp();
    driver.enable();
    host.master = false;
    driver.push(0, { opcode: 6 });
    driver.ring(0);
    expect(driver.csts).toBe(RDY | CFS);
  });

  test.each([1, 2])('shutdown notification %i completes; commands wait for a reset', (shn) => {
    const { driver } = setUp();
    driver.enable();
    driver.writeCc(0x00460001 | (shn << 14));
    expect(driver.csts).toBe(RDY | 8);
    driver.push(0, { opcode: 6, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    expect(driver.reap(0)).toEqual([]);
    driver.enable();
    expect(driver.csts).toBe(RDY);
    expect(driver.identify(1).status).toBe(0);
  });

  test('function reset clears admin queue registers too', () => {
    const { controller, driver, host } = setUp();
    host.mode = 'intx';
    driver.enable();
    driver.push(0, { opcode: 6, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    expect(host.level).toBe(1);
    controller.reset();
    expect(host.level).toBe(0);
    for (const offset of [0x14, 0x1c, 0x24, 0x28, 0x30]) expect(controller.readRegister(offset, 4)).toBe(0);
    expect(controller.readRegister(8, 4)).toBe(0x0001_0400);
  });

  test('a small controller takes less than 1 KiB of arena', () => {
    const arena = new Arena();
    setUp({ queuePairs: 4 }, { arena });
    expect(arena.usedBytes).toBeLessThan(1024);
  });

  test('restoring the arena brings back a running controller', () => {
    const arena = new Arena();
    const { driver, ram } = setUp({}, { arena });
    driver.enable();
    driver.createPair(1);
    const then = arena.snapshot();
    const memory = ram.bytes.slice();
    driver.writeCc(0);
    arena.restore(then);
    ram.bytes.set(memory);
    expect(driver.csts).toBe(RDY);
    expect(driver.identify(1).status).toBe(0);
    expect(driver.run(1, { opcode: 0, nsid: 0xffffffff }).status).toBe(0);
  });
});
