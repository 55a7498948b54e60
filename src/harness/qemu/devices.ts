import type { Setup } from './recorder.ts';

/** A machine with devices, and which of its functions are meant. */
export interface QemuTarget {
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
export function direct(device: string, machine: QemuTarget['machine'] = 'q35'): QemuTarget {
  const full = withProperties(device);
  return { name: device.split(',')[0], machine, args: [...backends(full), '-device', place(full, 'addr=4')] };
}

/** A device behind a root port at 01:00.0, as the recordings have it. */
export function behindPort(device: string, name = device.split(',')[0]): QemuTarget {
  const full = withProperties(device);
  const port = ['-device', 'pcie-root-port,id=rp0,addr=3,chassis=1'];
  const args = [...backends(full), ...port, '-device', place(full, 'bus=rp0,addr=0')];
  return { name, machine: 'q35', args, bus: 1, setup: PORT_SETUP };
}

/** Properties that it cannot do without, where it is named without any. */
function withProperties(device: string): string {
  const needed = PROPERTIES[device];
  return needed === undefined ? device : `${device},${needed}`;
}

function place(device: string, where: string): string {
  return /\b(bus|addr)=/.test(device) ? device : `${device},${where}`;
}

function backends(device: string): string[] {
  return BACKENDS.flatMap(([pattern, args]) => (pattern.test(device) ? args : []));
}
