import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';

const INTMS = 0x0c;
const INTMC = 0x10;
const flush = { opcode: NVM.flush, nsid: 1 };

function ready(mode: 'msix' | 'msi' | 'intx', vectors = 32) {
  const parts = setUp({ namespaces: [new MemoryNamespace(1 << 16)] });
  parts.host.mode = mode;
  parts.host.vectors = vectors;
  parts.driver.enable();
  return parts;
}

describe('MSI-X', () => {
  test('each queue signals its vector; entries of one doorbell share a message', () => {
    const { host, driver } = ready('msix');
    driver.createPair(1, 8, 5);
    expect(new Set(host.drain())).toEqual(new Set([0]));
    driver.run(1, flush);
    expect(host.drain()).toEqual([5]);
    for (let i = 0; i < 4; i++) driver.push(1, flush);
    driver.ring(1);
    expect(host.drain()).toEqual([5]);
    expect(driver.reap(1)).toHaveLength(4);
  });

  test('INTMS does not touch it, a queue without interrupts stays silent', () => {
    const { host, controller, driver } = ready('msix');
    driver.createPair(1, 8, 5);
    driver.createPair(2, 8, 6, false);
    host.drain();
    controller.writeRegister(INTMS, 4, 0xffffffff);
    driver.run(1, flush);
    driver.run(2, flush);
    expect(host.drain()).toEqual([5]);
  });

  test('vectors beyond the table are refused', () => {
    const { driver } = ready('msix', 4);
    expect(() => driver.createCq(1, 8, 4)).toThrow('108');
  });
});

describe('INTx', () => {
  test('is asserted while any queue holds entries that were not taken', () => {
    const { host, driver } = ready('intx');
    driver.createPair(1, 8, 0);
    expect(host.level).toBe(0);
    driver.push(1, flush);
    driver.push(1, flush);
    driver.ring(1);
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    expect(host.level).toBe(1);
    driver.reap(0);
    expect(host.level).toBe(1);
    driver.reap(1);
    expect(host.level).toBe(0);
  });

  test('INTMS withdraws it and INTMC brings it back', () => {
    const { host, controller, driver } = ready('intx');
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    controller.writeRegister(INTMS, 4, 1);
    expect(host.level).toBe(0);
    controller.writeRegister(INTMC, 4, 1);
    expect(host.level).toBe(1);
    driver.writeCc(0);
    expect(host.level).toBe(0);
  });

  test('deleting a completion queue takes its entries along', () => {
    const { host, driver } = ready('intx');
    driver.createPair(1, 8, 0);
    driver.push(1, flush);
    driver.ring(1);
    driver.admin({ opcode: ADMIN.deleteIoSq, cdw10: 1 });
    expect(host.level).toBe(1);
    driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 });
    expect(host.level).toBe(0);
  });

  test('allows vector 0 only', () => {
    expect(() => ready('intx').driver.createCq(1, 8, 1)).toThrow(STATUS.invalidInterruptVector.toString(16));
  });

  test('after a change from MSI-X the line takes the level that is due', () => {
    const { host, controller, driver } = ready('msix');
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    host.mode = 'intx';
    controller.refreshIntx();
    expect(host.level).toBe(1);
  });
});

// NVMe 1.4 §7.5.1, figure "Pin Based, Single MSI, and Multiple MSI Behavior"
describe('MSI', () => {
  test('a message when the first entry comes, none for more, again when only some were taken', () => {
    const { host, driver } = ready('msi', 4);
    driver.createPair(1, 8, 2);
    host.drain();
    driver.push(1, flush);
    driver.ring(1);
    expect(host.drain()).toEqual([2]);
    driver.push(1, flush);
    driver.ring(1);
    expect(host.drain()).toEqual([]);
    const ring = driver.rings.get(1)!;
    ring.head = 1;
    driver.acknowledge(1);
    expect(host.drain()).toEqual([2]);
    ring.head = 2;
    driver.acknowledge(1);
    expect(host.drain()).toEqual([]);
  });

  test('a masked vector is silent until INTMC', () => {
    const { host, controller, driver } = ready('msi', 4);
    driver.createPair(1, 8, 3);
    host.drain();
    controller.writeRegister(INTMS, 4, 1 << 3);
    driver.push(1, flush);
    driver.ring(1);
    expect(host.drain()).toEqual([]);
    controller.writeRegister(INTMC, 4, 1 << 3);
    expect(host.drain()).toEqual([3]);
    controller.writeRegister(INTMC, 4, 1 << 3);
    expect(host.drain()).toEqual([]);
  });

  test('with a single message all queues share vector 0', () => {
    const { host, driver } = ready('msi', 1);
    driver.createPair(1, 8, 0);
    host.drain();
    driver.run(1, flush);
    expect(host.drain()).toEqual([0]);
  });
});
