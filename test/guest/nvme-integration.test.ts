import { describe, expect, test } from 'vitest';
import {
  boot,
  CONTROLLER_STATE,
  enableOnce,
  type Guest,
  getKernelProfile,
  KERNEL_PROFILES,
  loadAndReload,
  type NvmeController,
  onBareMetal,
  probe,
  QUEUE_FLAG,
  unload,
} from '../../src/guest/index.ts';
import { createNvmeFunction, MemoryNamespace, type NvmeFunctionOptions } from '../../src/pci/devices/nvme/index.ts';
import { builtinDump, listBuiltinDumps, parseDump } from '../../src/pci/dump/index.ts';
import { BareMetal, Memory } from './bare-metal.ts';

const BDF = 0x20;

function machine(kernel: string, options: NvmeFunctionOptions = {}) {
  const memory = new Memory();
  const namespaces = [new MemoryNamespace(1 << 16)];
  const fn = createNvmeFunction({ bdf: BDF, namespaces, dma: memory, ...options });
  const metal = new BareMetal(memory);
  metal.functions.set(fn.bdf, fn);
  const guest: Guest = { profile: onBareMetal(getKernelProfile(kernel)), sharedInfo: 0 };
  metal.run(boot(guest, { bdfs: [fn.bdf], window: { memoryBase: 0xc0000000, memoryEnd: 0xd0000000 } }));
  const controller: NvmeController = { bdf: fn.bdf, memoryBase: 0x100000, vectors: 4, ioDepth: 8, ioCheck: true };
  return { metal, guest, fn, controller };
}

describe('the driver in front of a real controller, interrupts by CPU vectors', () => {
  for (const { name: kernel } of KERNEL_PROFILES) {
    test(`${kernel}: load, read by every queue, unload, load again`, () => {
      const { metal, guest, fn, controller } = machine(kernel);
      metal.run(loadAndReload(guest, controller));
      const { records } = metal;
      const { state, ioQueues } = records.controller(fn.bdf);
      expect(state).toBe(CONTROLLER_STATE.up);
      expect(ioQueues).toBe(guest.profile.nvmeOwnVectors ? 3 : 4);
      for (let q = 0; q <= ioQueues; q++) expect(records.queue(fn.bdf, q)).toMatchObject({ status: 0, busy: 0 });
      for (let q = 1; q <= ioQueues; q++)
        expect(records.queue(fn.bdf, q).flags & (QUEUE_FLAG.interrupted | QUEUE_FLAG.polled)).toBe(
          QUEUE_FLAG.interrupted,
        );
      expect(new Set(metal.idtVectors).size).toBe(4);
      metal.run(unload(guest, controller));
      expect(records.irqs()).toEqual([]);
      expect(fn.readConfig(4, 2) & 0x0404).toBe(0);
      expect(fn.readConfig(fn.msix!.at + 2, 2) & 0x8000).toBe(0);
    });
  }

  test('Trusty does its admin phase on the pin', () => {
    const { metal, guest, fn, controller } = machine('linux-3.13');
    metal.records.perform('device.intxIrq=', [fn.bdf, 11]);
    metal.run(enableOnce(guest, controller));
    expect(metal.records.controller(fn.bdf).state).toBe(CONTROLLER_STATE.up);
    expect(metal.records.queue(fn.bdf, 0).flags & QUEUE_FLAG.polled).toBe(0);
    expect(metal.records.handlers(11)).toEqual([]);
  });

  test.each(listBuiltinDumps())('a controller made from the dump of %s', (id) => {
    const spec = parseDump(builtinDump(id))[0].spec;
    const { metal, guest, fn, controller } = machine('linux-6.1', { spec: { ...spec, bdf: BDF } });
    metal.run(probe(guest, controller));
    expect(metal.records.controller(fn.bdf).state).toBe(CONTROLLER_STATE.up);
    expect(metal.records.device(fn.bdf)).toMatchObject({ mode: 2, vectors: 4 });
  });

  test('BARs are where enumeration put them', () => {
    const { fn } = machine('linux-6.1');
    expect(fn.readConfig(0x10, 4) >>> 4).toBe(0xc000000);
  });

  test('a controller whose vectors are masked behind the driver’s back is found by polling or lost, by era', () => {
    for (const [kernel, state] of [
      ['linux-3.13', CONTROLLER_STATE.slow],
      ['linux-4.4.0-61', CONTROLLER_STATE.failed],
      ['linux-6.1', CONTROLLER_STATE.slow],
    ] as const) {
      const { metal, guest, fn, controller } = machine(kernel);
      const write = fn.writeBar.bind(fn);
      fn.writeBar = (bar, offset, width, value) =>
        write(bar, offset, width, offset === fn.msix!.tableOffset + 12 ? value | 1 : value);
      metal.run(probe(guest, controller));
      expect(metal.records.controller(fn.bdf).state).toBe(state);
    }
  });
});
