import { expect } from 'vitest';
import {
  boot,
  CONTROLLER_STATE,
  type Guest,
  getKernelProfile,
  KernelRecords,
  type NvmeController,
  nvmeMemory,
  onBareMetal,
  probe,
  QUEUE_FLAG,
  unload,
} from '../../../src/guest/index.ts';
import { type GuestRunnerOptions, QemuGuestRunner } from '../../../src/harness/qemu/guest-runner.ts';
import { QemuPci } from '../../../src/harness/qemu/pci.ts';
import type { QtestMachine } from '../../../src/harness/qemu/process.ts';

/** The controller's bdf. */
export const NVME = 0x20;
const WINDOW = { memoryBase: 0xc000_0000, memoryEnd: 0xfe00_0000, ioBase: 0xc000, ioEnd: 0xd000 };
/** The pin's irq: any that the guest is told of. */
const PIN_IRQ = 11;

/** Our guest booted on a q35: functions enumerated, BARs assigned. */
export async function bootOn(machine: QtestMachine, kernel: string, messages: GuestRunnerOptions['messages'] = 'ram') {
  const pci = new QemuPci(machine);
  await pci.enableEcam();
  const records = new KernelRecords({ devices: 8, vectors: 8, queues: 9 });
  const runner = new QemuGuestRunner(machine, { records, messages });
  const guest: Guest = { profile: onBareMetal(getKernelProfile(kernel)), sharedInfo: 0 };
  const bdfs = await runner.run(boot(guest, { window: WINDOW }));
  records.perform('device.intxIrq=', [NVME, PIN_IRQ]);
  const controller: NvmeController = { bdf: NVME, memoryBase: 0x10_0000, vectors: 4, ioDepth: 8, ioCheck: true };
  return { machine, pci, records, runner, guest, bdfs, controller, memory: nvmeMemory(guest.profile, controller) };
}

export type Booted = Awaited<ReturnType<typeof bootOn>>;

/** The driver loads, reads one block by each queue, is interrupted for each by the message it asked for, and unloads. */
export async function loadAndUnload(booted: Booted, firstBlock: Uint8Array): Promise<void> {
  const { machine, pci, records, runner, guest, controller, memory } = booted;
  await runner.run(probe(guest, controller));
  const { state, ioQueues } = records.controller(NVME);
  expect(state).toBe(CONTROLLER_STATE.up);
  expect(ioQueues).toBe(guest.profile.nvmeOwnVectors ? 3 : 4);
  expect(await machine.qtest.readBytes(memory.data, 512)).toEqual(firstBlock);
  for (let q = 0; q <= ioQueues; q++) {
    expect(records.queue(NVME, q)).toMatchObject({ status: 0, busy: 0 });
    expect(records.queue(NVME, q).flags & (QUEUE_FLAG.interrupted | QUEUE_FLAG.polled)).toBe(QUEUE_FLAG.interrupted);
  }

  // the device stored what the guest's irq says: fixed delivery to destination 0, the irq's CPU vector
  const level = guest.profile.msiEnableShape === 'new' ? 0 : 0x4000;
  expect(records.device(NVME).vectors).toBe(4);
  for (let entry = 0; entry < 4; entry++) {
    const data = level | records.irq(records.vector(NVME, entry).irq).idtVector;
    expect(records.vector(NVME, entry)).toMatchObject({ addressLo: 0xfee0_0000, addressHi: 0, data });
    expect(runner.messages).toContainEqual({ bdf: NVME, vector: entry, data });
  }
  const { msixCap } = records.device(NVME);
  expect((await pci.read(NVME, 'e', msixCap + 2, 2)) & 0xc000).toBe(0x8000);

  await runner.run(unload(guest, controller));
  expect(records.irqs()).toEqual([]);
  expect((await pci.read(NVME, 'e', msixCap + 2, 2)) & 0x8000).toBe(0);
  expect((await pci.read(NVME, 'e', 4, 2)) & 0x0404).toBe(0);
}
