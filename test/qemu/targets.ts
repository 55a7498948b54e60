import type { Setup } from '../../src/harness/qemu/recorder.ts';

/** What is compared: a machine with devices, and which of its functions. */
export interface Target {
  /** As in the recordings, if it is in them. */
  name: string;
  machine: 'q35' | 'pc';
  args: readonly string[];
  /** Bus of the functions; by default those at device 4 of bus 0. */
  bus?: number;
  setup?: Setup;
}

/** Opens bus 1 behind the port at 00:03.0, with its memory windows. */
const PORT_SETUP: Setup = [
  ['00:03.0', 0x18, 4, 0x0001_0100],
  ['00:03.0', 0x20, 4, 0xcff0_c000],
  ['00:03.0', 0x24, 4, 0xdff1_d001],
  ['00:03.0', 0x04, 2, 6],
];

/** Properties of a device that is named without any: what it cannot do without, else those of the recordings. */
const PROPERTIES: Record<string, string> = {
  nvme: 'serial=gold0',
  'virtio-blk-pci': 'drive=disk',
  'pci-bridge': 'chassis_nr=2',
  'pci-testdev': 'membar=64K',
  'pcie-root-port': 'chassis=5,slot=7',
  ioh3420: 'chassis=9,slot=3',
  'ivshmem-plain': 'memdev=shared',
};

const BACKENDS: readonly [RegExp, readonly string[]][] = [
  [/drive=disk\b/, ['-drive', 'if=none,id=disk,file=null-co://,format=raw']],
  [/memdev=shared\b/, ['-object', 'memory-backend-ram,id=shared,size=1M']],
];

/** A device as after `-device`, given what it needs and put at device 4 of bus 0 unless it says where. */
export function direct(device: string, machine: Target['machine'] = 'q35'): Target {
  const [name] = device.split(',');
  const full = [device, ...(device === name && PROPERTIES[name] ? [PROPERTIES[name]] : [])].join(',');
  return { name, machine, args: [...backends(full), '-device', place(full, 'addr=4')] };
}

/** A device behind a root port, as the recordings have it. */
function behindPort(name: string, device: string): Target {
  const port = ['-device', 'pcie-root-port,id=rp0,addr=3,chassis=1'];
  const args = [...backends(device), ...port, '-device', place(device, 'bus=rp0,addr=0')];
  return { name, machine: 'q35', args, bus: 1, setup: PORT_SETUP };
}

/** Endpoints, ports and bridges of every kind of capability; the last four are in no recording. */
export const TARGETS: readonly Target[] = [
  ...['nvme', 'e1000e', 'edu', 'qemu-xhci', 'virtio-blk-pci', 'pcie-root-port', 'pci-bridge', 'pci-testdev'].map((d) =>
    direct(d),
  ),
  behindPort('nvme-rp', 'nvme,serial=goldrp'),
  behindPort('virtio-blk-rp', 'virtio-blk-pci,drive=disk'),
  ...['ioh3420', 'x3130-upstream', 'pcie-pci-bridge', 'intel-hda'].map((d) => direct(d)),
  ...['edu', 'nvme', 'pci-bridge'].map((d) => direct(d, 'pc')),
  { ...direct('pcie-root-port,power_controller_present=off'), name: 'pcie-root-port-no-power' },
  ...['vmxnet3', 'megasas-gen2', 'rocker'].map((d) => direct(d)),
];

function place(device: string, where: string): string {
  return /\b(bus|addr)=/.test(device) ? device : `${device},${where}`;
}

function backends(device: string): string[] {
  return BACKENDS.flatMap(([pattern, args]) => (pattern.test(device) ? args : []));
}
