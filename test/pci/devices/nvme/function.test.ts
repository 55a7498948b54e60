import { describe, expect, test } from 'vitest';
import {
  ADMIN,
  createNvmeFunction,
  MemoryNamespace,
  NVM,
  type NvmeFunction,
  type NvmeFunctionOptions,
} from '../../../../src/pci/devices/nvme/index.ts';
import { builtinDump, parseDump } from '../../../../src/pci/dump/index.ts';
import type { FunctionSpec } from '../../../../src/pci/index.ts';
import { Ram } from './fake-host.ts';
import { ToyDriver } from './toy-driver.ts';

const flush = { opcode: NVM.flush, nsid: 1 };

const dumpSpec = (id: string): FunctionSpec => parseDump(builtinDump(id))[0].spec;

function setUp(options: NvmeFunctionOptions = {}) {
  const ram = new Ram();
  const fn = createNvmeFunction({ queuePairs: 4, namespaces: [new MemoryNamespace(1 << 16)], dma: ram, ...options });
  const regs = {
    readRegister: (offset: number, width: 1 | 2 | 4) => fn.readBar(0, offset, width),
    writeRegister: (offset: number, width: 1 | 2 | 4, value: number) => fn.writeBar(0, offset, width, value),
  };
  fn.writeConfig(4, 2, 0x0006);
  return { fn, ram, driver: new ToyDriver(regs, ram) };
}

function enableMsix(fn: NvmeFunction): void {
  const msix = fn.msix!;
  fn.writeConfig(msix.at + 2, 2, 0xc000);
  for (let v = 0; v < msix.count; v++) {
    fn.writeBar(0, msix.tableOffset + 16 * v, 4, 0xfee00000);
    fn.writeBar(0, msix.tableOffset + 16 * v + 8, 4, 0x4000 + v);
    fn.writeBar(0, msix.tableOffset + 16 * v + 12, 4, 0);
  }
  fn.writeConfig(msix.at + 2, 2, 0x8000);
}

const datas = (fn: NvmeFunction) => fn.effects.splice(0).map((e) => (e.kind === 'message' ? e.data : -1));
const lines = (fn: NvmeFunction) => fn.effects.splice(0).map((e) => (e.kind === 'intx' ? e.level : -1));

describe('an NVMe function made from options', () => {
  test('is found as an NVMe controller with PM, MSI, PCI Express and MSI-X', () => {
    const { fn } = setUp();
    expect(fn.readConfig(8, 4)).toBe(0x01080201);
    expect(fn.layout.capabilities.map((c) => c.id)).toEqual([1, 5, 0x10, 0x11, 1]);
    expect(fn.msix!.count).toBe(5);
  });

  test('delivers completions by MSI-X', () => {
    const { fn, driver } = setUp();
    enableMsix(fn);
    driver.enable();
    driver.createPair(1, 8, 3);
    fn.effects.length = 0;
    driver.run(1, flush);
    expect(datas(fn)).toEqual([0x4003]);
  });

  test('delivers completions by MSI, as many vectors as were granted', () => {
    const { fn, driver } = setUp();
    const msi = fn.msi!;
    fn.writeConfig(msi.at + 4, 4, 0xfee00000);
    fn.writeConfig(msi.at + 12, 2, 0x4300);
    fn.writeConfig(msi.at + 2, 2, 0x0021);
    driver.enable();
    driver.createPair(1, 8, 3);
    expect(() => driver.createCq(2, 8, 4)).toThrow();
    fn.effects.length = 0;
    driver.run(1, flush);
    expect(datas(fn)).toEqual([0x4303]);
  });

  test('asserts INTx while entries wait, with its status bit', () => {
    const { fn, driver } = setUp();
    driver.enable();
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    expect(lines(fn)).toEqual([1]);
    expect(fn.readConfig(6, 2) & 8).toBe(8);
    driver.reap(0);
    expect(lines(fn)).toEqual([0]);
  });

  test('INTx takes over when MSI-X is disabled with entries waiting', () => {
    const { fn, driver } = setUp();
    enableMsix(fn);
    driver.enable();
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    expect(datas(fn)).toEqual([0x4000]);
    fn.writeConfig(fn.msix!.at + 2, 2, 0);
    expect(lines(fn)).toEqual([1]);
  });

  test('a message for a masked vector waits in the PBA', () => {
    const { fn, driver } = setUp();
    enableMsix(fn);
    driver.enable();
    driver.createPair(1, 8, 2);
    fn.writeBar(0, fn.msix!.tableOffset + 16 * 2 + 12, 4, 1);
    fn.effects.length = 0;
    driver.run(1, flush);
    expect(fn.effects).toEqual([]);
    expect(fn.readBar(0, fn.msix!.pbaOffset, 4)).toBe(4);
    fn.writeBar(0, fn.msix!.tableOffset + 16 * 2 + 12, 4, 0);
    expect(datas(fn)).toEqual([0x4002]);
  });

  test('Function Level Reset by configuration write stops the controller', () => {
    const { fn, driver } = setUp();
    driver.enable();
    driver.push(0, { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate() });
    driver.ring(0);
    const express = fn.layout.capabilities.find((c) => c.id === 0x10)!.at;
    fn.writeConfig(express + 8, 2, 0x8000);
    expect(lines(fn)).toEqual([1, 0]);
    expect(driver.csts).toBe(0);
    expect(fn.readBar(0, 0x28, 4)).toBe(0);
    fn.writeConfig(4, 2, 6);
    driver.enable();
    expect(driver.identify(1).status).toBe(0);
  });

  test('a difference of states names the controller', () => {
    const { fn, driver } = setUp({ bdf: 0x0300 });
    const before = fn.arena.snapshot();
    driver.enable();
    expect(fn.arena.explainDifference(before)).toMatch(/^0000:03:00\.0 nvme\.nvme\.registers\+0x14: 0 then/);
  });

  test('2048 queue pairs and vectors fit, none hides another', () => {
    const { fn, driver } = setUp({ queuePairs: 2048 });
    expect(fn.msix!.count).toBe(2048);
    expect(fn.msix!.tableOffset).toBe(0x6000);
    driver.enable();
    const granted = driver.admin({ opcode: ADMIN.setFeatures, cdw10: 7, cdw11: 0xfffe_fffe }).result;
    expect(granted).toBe(0x07ff_07ff);
  });

  test('refuses what cannot be', () => {
    expect(() => createNvmeFunction({ queuePairs: 2049 })).toThrow('queuePairs is 2049');
    expect(() => createNvmeFunction({ vectors: 0 })).toThrow('from 1 to 2048');
    expect(() => createNvmeFunction({ serial: 'ü' })).toThrow('ASCII');
  });
});

describe('an NVMe function made from a real dump', () => {
  test.each<[string, number, number]>([
    ['144d-a826', 129, 128],
    ['8086-0953', 32, 31],
    ['2646-5013', 33, 32],
    ['1b36-0010', 65, 64],
    ['15b7-7e9a', 512, 511],
  ])('%s keeps its MSI-X size', (id, vectors, pairs) => {
    const fn = createNvmeFunction({ spec: dumpSpec(id) });
    expect(fn.msix!.count).toBe(vectors);
    expect(fn.shape.queuePairs).toBe(pairs);
  });

  test('runs commands and signals its own vectors', () => {
    const { fn, driver } = setUp({ spec: dumpSpec('8086-0953') });
    enableMsix(fn);
    driver.enable();
    expect(driver.identify(1).data.getUint16(0, true)).toBe(0x8086);
    driver.createPair(4, 8, 31);
    fn.effects.length = 0;
    driver.run(4, flush);
    expect(datas(fn)).toEqual([0x401f]);
  });

  test('more queue pairs than its BAR has doorbells for are refused', () => {
    expect(() => createNvmeFunction({ spec: dumpSpec('8086-0953'), queuePairs: 600 })).toThrow('BAR 0');
    const spec = dumpSpec('8086-0953');
    const bars = [{ ...spec.bars[0], sizeBytes: 0x1000 }];
    expect(() => createNvmeFunction({ spec: { ...spec, bars } })).toThrow('doorbells at 0x1000');
  });
});
