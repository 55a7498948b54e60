import { beforeEach, describe, expect, test } from 'vitest';
import { readLe, type Width, writeLe } from '../../../src/core/index.ts';
import {
  codec,
  DOMCTL,
  DOMCTL_ASSIGN_DEVICE,
  HYPERCALL,
  MAP_PIRQ_TYPE,
  PHYSDEV_GET_FREE_PIRQ,
  PHYSDEV_MAP_PIRQ,
  PHYSDEV_PCI_DEVICE,
  PHYSDEV_UNMAP_PIRQ,
  PHYSDEVOP,
  XEN_DOMCTL,
} from '../../../src/xen/abi/index.ts';
import {
  BusHostFunction,
  type DeviceModelProfile,
  deviceModel,
  HypercallToolstack,
  PassthroughDevice,
  withSwitches,
} from '../../../src/xen/device-model/index.ts';
import type { HostBus } from '../../../src/xen/host-bus.ts';
import { Hypervisor, viewPirqs } from '../../../src/xen/index.ts';
import { FakeHost, TABLE_BASE } from './fakes.ts';
import { disable, enableNewOrder, enableOldOrder } from './guest-writes.ts';

const DOM0 = 0;
const GUEST = 1;
const GSIS = 24;
/** 32 more than GSIs, as the guest that was observed. */
const NR_PIRQS = 56;
const BAR_BYTES = 0x4000;

const fixed = deviceModel('qemu-7.2');
const freesNothing = withSwitches(fixed, { freeOnDisable: false });

/** Functions 03:00.0, 04:00.0 … as plain memory, each with its BAR 0 behind the one before. */
class MemoryBus implements HostBus {
  readonly #configs: Uint8Array[];
  readonly #memory = new Map<number, number>();

  constructor(count: number) {
    this.#configs = Array.from({ length: count }, (_, i) => {
      const { config } = new FakeHost(65);
      writeLe(config, 0x04, 2, 2);
      writeLe(config, 0x10, 4, (TABLE_BASE + i * BAR_BYTES) | 4);
      return config;
    });
  }

  isPresent(sbdf: number): boolean {
    return this.#config(sbdf) !== undefined;
  }
  readConfig(sbdf: number, offset: number, width: Width): number {
    return readLe(this.#config(sbdf)!, offset, width);
  }
  writeConfig(sbdf: number, offset: number, width: Width, value: number): void {
    writeLe(this.#config(sbdf)!, offset, width, value);
  }
  readMmio(address: number): number {
    return this.#memory.get(address) ?? (address % 16 === 12 ? 1 : 0);
  }
  writeMmio(address: number, value: number): void {
    this.#memory.set(address, value >>> 0);
  }

  #config(sbdf: number): Uint8Array | undefined {
    return sbdf & 0xff ? undefined : this.#configs[(sbdf >> 8) - 3];
  }
}

/** A guest with controllers A, B, C passed through; `log` has the hypercalls of the device model. */
function machine(profile: DeviceModelProfile, count: number, release = 'xen-4.17') {
  const bus = new MemoryBus(count);
  const xen = new Hypervisor({ bus, xen: release, gsis: GSIS });
  xen.createDomain({ id: DOM0, kind: 'pv-hwdom' });
  xen.createDomain({ id: GUEST, kind: 'hvm', nrPirqs: NR_PIRQS, hasPirq: true });
  const { domctlVersion, domctlLayout } = xen.profile;
  const log: string[] = [];
  const hypercall = (nr: number, cmd: number, bytes: Uint8Array) => {
    const answer = xen.hypercall(DOM0, nr, cmd, bytes);
    log.push(`${describeCall(nr, cmd, bytes)}: ${answer.ret}`);
    return answer;
  };
  const devices = Array.from({ length: count }, (_, i) => {
    const sbdf = (3 + i) << 8;
    expect(xen.addDevice(sbdf)).toBe(0);
    // pciback has Xen note where the table lies before it hands the device over
    const location = codec(PHYSDEV_PCI_DEVICE).encode({ bus: 3 + i });
    expect(xen.hypercall(DOM0, HYPERCALL.physdevOp, PHYSDEVOP.prepareMsix, location).ret).toBe(0);
    const domctl = codec(XEN_DOMCTL);
    const assign = domctl.encode({ cmd: DOMCTL.assignDevice, interface_version: domctlVersion, domain: GUEST });
    codec(DOMCTL_ASSIGN_DEVICE).encode({ 'u.pci.machine_sbdf': sbdf }, assign, domctl.at.u);
    expect(xen.hypercall(DOM0, HYPERCALL.domctl, 0, assign).ret).toBe(0);
    const base = TABLE_BASE + i * BAR_BYTES;
    const host = new BusHostFunction(bus, sbdf, [{ bar: 0, kind: 'mem64', base, sizeBytes: BAR_BYTES }]);
    const toolstack = new HypercallToolstack(hypercall, { domid: GUEST, domctlVersion, domctlLayout });
    const device = new PassthroughDevice(profile, host, toolstack, { guestTable: 0xf100_0000 + i * BAR_BYTES });
    device.attach();
    return device;
  });
  /** The guest's PHYSDEVOP_get_free_pirq. */
  const reserve = (): number => {
    const free = codec(PHYSDEV_GET_FREE_PIRQ);
    const answer = xen.hypercall(
      GUEST,
      HYPERCALL.physdevOp,
      PHYSDEVOP.getFreePirq,
      free.encode({ type: MAP_PIRQ_TYPE.msi }),
    );
    expect(answer.ret).toBe(0);
    return free.decode(answer.bytes).pirq;
  };
  const mapped = () => viewPirqs(xen.domain(GUEST)).filter(({ irq }) => irq >= GSIS).length;
  return { xen, log, devices, reserve, mapped };
}

function describeCall(nr: number, cmd: number, bytes: Uint8Array): string {
  if (nr === HYPERCALL.domctl) {
    const { cmd: op, u } = codec(XEN_DOMCTL).decode(bytes);
    return `${op === DOMCTL.bindPtIrq ? 'bind' : 'unbind'} ${readLe(u, 0, 4)}`;
  }
  if (cmd === PHYSDEVOP.unmapPirq) return `unmap ${codec(PHYSDEV_UNMAP_PIRQ).decode(bytes).pirq}`;
  const { entry_nr, pirq } = codec(PHYSDEV_MAP_PIRQ).decode(bytes);
  return `map entry ${entry_nr} as ${pirq}`;
}

describe('cases 1 and 2, three controllers: the calls and results seen on a real Xen', () => {
  const m = machine(freesNothing, 3);
  const [a, b, c] = m.devices;

  beforeEach(() => {
    m.log.length = 0;
  });

  test('one vector each, 54 downwards (55 is a GSI by then)', () => {
    expect(m.reserve()).toBe(55);
    for (const device of [a, c, b]) enableNewOrder(device, [m.reserve()]);
    expect(m.log).toEqual([
      'map entry 0 as 54: 0',
      'bind 54: 0',
      'map entry 0 as 53: 0',
      'bind 53: 0',
      'map entry 0 as 52: 0',
      'bind 52: 0',
    ]);
  });

  test('disabling makes no call', () => {
    for (const device of [a, c, b]) disable(device);
    expect(m.log).toEqual([]);
    expect(m.mapped()).toBe(3);
  });

  test('C re-enables with 51, 50, 49: EPERM, forced unmap, EEXIST twice', () => {
    enableNewOrder(c, [m.reserve(), m.reserve(), m.reserve()]);
    expect(m.log).toEqual(['bind 51: -1', 'unmap 53: 0', 'map entry 1 as 50: -17', 'map entry 2 as 49: -17']);
  });

  test('so do A and B', () => {
    const [a0, a1, b0, a2, b1, b2] = Array.from({ length: 6 }, m.reserve);
    enableNewOrder(a, [a0, a1, a2]);
    enableNewOrder(b, [b0, b1, b2]);
    expect(m.log).toEqual([
      'bind 48: -1',
      'unmap 54: 0',
      'map entry 1 as 47: -17',
      'map entry 2 as 45: -17',
      'bind 46: -1',
      'unmap 52: 0',
      'map entry 1 as 44: -17',
      'map entry 2 as 43: -17',
    ]);
    expect(m.mapped()).toBe(0);
  });

  test('the reload fails from its first vector, and tries the leftovers again', () => {
    for (const device of [a, b, c]) disable(device);
    enableNewOrder(a, [m.reserve()]);
    expect(m.log).toEqual(['map entry 0 as 42: -17', 'map entry 1 as 47: -17', 'map entry 2 as 45: -17']);
  });
});

test.each([
  ['qemu-7.2 that frees nothing on Xen 4.17', freesNothing, 'xen-4.17', enableNewOrder],
  ['qemu-7.2 that frees nothing on Xen 4.22', freesNothing, 'xen-4.22', enableNewOrder],
  ['qemu-2.0 and a guest of its age on Xen 4.4', deviceModel('qemu-2.0'), 'xen-4.4', enableOldOrder],
  ['qemu-2.0 and a guest of its age on Xen 4.8', deviceModel('qemu-2.0'), 'xen-4.8', enableOldOrder],
])('one controller alone, from 55: %s', (_, profile, release, enable) => {
  const { log, devices, reserve } = machine(profile, 1, release);
  const [device] = devices;
  enable(device, [reserve()]);
  disable(device);
  enable(device, [reserve(), reserve(), reserve()]);
  expect(log).toEqual([
    'map entry 0 as 55: 0',
    'bind 55: 0',
    'bind 54: -1',
    'unmap 55: 0',
    'map entry 1 as 53: -17',
    'map entry 2 as 52: -17',
  ]);
});

test('a guest that always keeps the stored pirq: nine mapped, and no call on any reload', () => {
  const { log, devices, reserve, mapped } = machine(freesNothing, 3);
  for (const device of devices) enableNewOrder(device, [reserve(), reserve(), reserve()]);
  expect(mapped()).toBe(9);
  log.length = 0;
  for (let reload = 0; reload < 2; reload++)
    for (const device of devices) {
      disable(device);
      enableNewOrder(device, [undefined, undefined, undefined]);
    }
  expect(log).toEqual([]);
  expect(mapped()).toBe(9);
});

test('case 4: repeated loads leave nothing on the host, and a freed pirq is handed out again', () => {
  const { log, devices, reserve, mapped } = machine(fixed, 3);
  const highest: number[] = [];
  for (let load = 0; load < 3; load++) {
    for (const device of devices) {
      const pirq = reserve();
      enableNewOrder(device, [pirq]);
      if (device === devices[0]) highest.push(pirq);
    }
    for (const device of devices) disable(device);
    expect(mapped()).toBe(0);
    for (const device of devices) enableNewOrder(device, [reserve(), reserve(), reserve()]);
    expect(mapped()).toBe(9);
    for (const device of devices) disable(device);
    expect(mapped()).toBe(0);
  }
  expect(highest).toEqual([55, 55, 55]);
  expect(log.filter((line) => !line.endsWith(': 0'))).toEqual([]);
});

test('destroying the device model frees what it kept', () => {
  const { devices, reserve, mapped } = machine(freesNothing, 1);
  enableNewOrder(devices[0], [reserve(), reserve()]);
  disable(devices[0]);
  expect(mapped()).toBe(2);
  devices[0].destroy();
  expect(mapped()).toBe(0);
});
