import { Arena } from '../../src/core/index.ts';
import { type RecordedDevice, RecordedDevices } from '../../src/harness/replay/xen-devices.ts';
import { type DomainConfig, Hypervisor, type HypervisorOptions } from '../../src/xen/index.ts';

/** A device with the given capabilities at bus `bus`, device 0, function 0. */
export function device(bus: number, capabilities: Partial<RecordedDevice> = {}): RecordedDevice {
  return {
    sbdf: bus << 8,
    msi_vectors: 0,
    maskable: true,
    msix_entries: 0,
    bar: 0xf7a00000 + bus * 0x10000,
    ...capabilities,
  };
}

/** A host with domains and devices; the devices are known to Xen if there is a hardware domain. */
export function machine(
  options: Omit<HypervisorOptions, 'bus'> & { domains: DomainConfig[]; devices?: RecordedDevice[] },
): { xen: Hypervisor; bus: RecordedDevices } {
  const { domains, devices = [], ...rest } = options;
  const arena = new Arena();
  const bus = new RecordedDevices(devices, arena);
  const xen = new Hypervisor({ intremap: true, ...rest, arena, bus });
  for (const d of domains) xen.createDomain(d);
  if (domains.some((d) => d.kind === 'pv-hwdom')) for (const d of devices) xen.addDevice(d.sbdf);
  return { xen, bus };
}

/** Host address of a test device's BAR 0. */
export const barOf = (bus: number) => BigInt(0xf7a00000 + bus * 0x10000);

export const DOM0: DomainConfig = { id: 0, kind: 'pv-hwdom', hasMemory: false };
