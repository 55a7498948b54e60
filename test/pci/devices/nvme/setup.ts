import type { Arena } from '../../../../src/core/index.ts';
import { completeOptions, NvmeController, type NvmeOptions } from '../../../../src/pci/devices/nvme/index.ts';
import { FakeHost, Ram } from './fake-host.ts';
import { ToyDriver } from './toy-driver.ts';

/** A bare controller with guest RAM and a driver in front of it. */
export function setUp(
  options: NvmeOptions = {},
  { ramBytes = 4 << 20, arena }: { ramBytes?: number; arena?: Arena } = {},
) {
  const host = new FakeHost(new Ram(ramBytes));
  const controller = new NvmeController(completeOptions({ queuePairs: 4, ...options }), host, 32, arena);
  const driver = new ToyDriver(controller, host.dma);
  return { host, ram: host.dma, controller, driver };
}
