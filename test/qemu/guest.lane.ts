import { afterEach, describe, expect, test } from 'vitest';
import { CONTROLLER_STATE, KERNEL_PROFILES, probe } from '../../src/guest/index.ts';
import type { GuestRunnerOptions } from '../../src/harness/qemu/guest-runner.ts';
import { Qemu } from '../../src/harness/qemu/process.ts';
import { bootOn, loadAndUnload, NVME } from '../harness/qemu/bring-up.ts';

const SERIAL = 'PIRQLAB-0001';

let qemu: Qemu | undefined;
afterEach(async () => {
  await qemu?.close();
  qemu = undefined;
});

async function start(kernel: string, messages?: GuestRunnerOptions['messages']) {
  const disk = new Uint8Array(1 << 20).map((_, i) => (i * 7 + (i >> 9)) & 0xff);
  const device = `nvme,serial=${SERIAL},drive=disk,max_ioqpairs=4,msix_qsize=5,addr=4`;
  qemu = await Qemu.start({ args: ['-device', device], disk });
  return { disk, qemu, ...(await qemu.whileAlive(bootOn(qemu, kernel, messages))) };
}

test('our enumeration finds the functions of a q35 and gives each BAR a place of its own', async () => {
  const { pci, bdfs } = await start('linux-6.1');
  expect(bdfs).toEqual(await pci.scan(0));
  expect(bdfs).toContain(NVME);
  const taken: [number, number][] = [];
  for (const bdf of bdfs) {
    for (let at = 0x10; at < 0x28; at += 4) {
      const value = await pci.read(bdf, 'e', at, 4);
      if (value & 1 || value === 0) continue;
      await pci.write(bdf, 'e', at, 4, 0xffff_ffff);
      const size = -((await pci.read(bdf, 'e', at, 4)) & ~15) >>> 0;
      await pci.write(bdf, 'e', at, 4, value);
      const base = (value & ~15) >>> 0;
      if ((value & 6) === 4) at += 4;
      if (base !== 0) taken.push([base, base + size]);
      expect(base % size).toBe(0);
    }
  }
  taken.sort(([a], [b]) => a - b);
  expect(taken.length).toBeGreaterThan(1);
  for (const [i, [base]] of taken.entries()) if (i > 0) expect(base).toBeGreaterThanOrEqual(taken[i - 1][1]);
});

describe('our NVMe driver brings up QEMU’s controller', () => {
  test.each(KERNEL_PROFILES.map((p) => p.name))('%s: messages arrive in guest memory', async (kernel) => {
    const { qemu, disk, ...booted } = await start(kernel);
    await qemu.whileAlive(loadAndUnload(booted, disk.slice(0, 512)));
    const identify = Buffer.from(await qemu.qtest.readBytes(booted.memory.identify, 4096));
    expect(identify.readUInt16LE(0)).toBe(0x1b36);
    expect(identify.toString('latin1', 4, 24)).toBe(SERIAL.padEnd(20));
  });

  test('unaltered messages reach the local APIC: each vector in use is requested there', async () => {
    const { qemu, records, runner, guest, controller } = await start('linux-6.1', 'apic');
    const requested = async () => {
      const line = /IRR\s+(none|[\d\s]*)/.exec(await qemu.monitor('info lapic'))?.[1] ?? '';
      return line.match(/\d+/g)?.map(Number) ?? [];
    };
    expect(await requested()).toEqual([]);
    await qemu.whileAlive(runner.run(probe(guest, controller)));
    expect(records.controller(NVME).state).toBe(CONTROLLER_STATE.up);
    const { vectors } = records.device(NVME);
    const wanted = Array.from({ length: vectors }, (_, e) => records.irq(records.vector(NVME, e).irq).idtVector);
    expect(await requested()).toEqual(expect.arrayContaining(wanted));
  });
});
