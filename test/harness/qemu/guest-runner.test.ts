import { afterEach, expect, test } from 'vitest';
import { CONTROLLER_STATE, KERNEL_PROFILES, probe } from '../../../src/guest/index.ts';
import { createNvmeFunction, MemoryNamespace } from '../../../src/pci/devices/nvme/index.ts';
import { bootOn, loadAndUnload, NVME } from './bring-up.ts';
import { FakeMachine, FakeRam } from './fake-machine.ts';

let machine: FakeMachine | undefined;
afterEach(() => machine?.qtest.close());

/** Our own controller behind the protocol; its disk holds zeros. */
async function start(): Promise<FakeMachine> {
  const ram = new FakeRam();
  const fn = createNvmeFunction({ bdf: NVME, namespaces: [new MemoryNamespace(1 << 16)], dma: ram });
  return (machine = await FakeMachine.start([fn], ram));
}

test.each(KERNEL_PROFILES.map((p) => p.name))(
  '%s: a driver served over qtest hears by messages in RAM',
  async (name) => {
    const booted = await bootOn(await start(), name);
    expect(booted.bdfs).toEqual([NVME]);
    await loadAndUnload(booted, new Uint8Array(512));
  },
);

test('without messages the driver polls', async () => {
  const { runner, guest, controller, records } = await bootOn(await start(), 'linux-6.1', 'apic');
  await runner.run(probe(guest, controller));
  expect(records.controller(NVME).state).toBe(CONTROLLER_STATE.up);
  expect(runner.messages).toEqual([]);
});
