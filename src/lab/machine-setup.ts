import { type Arena, UsageError } from '../core/index.ts';
import { type BootGsi, COMPACT_QUEUES, type KernelProfile, type NvmeController } from '../guest/index.ts';
import { createNvmeFunction, MemoryNamespace, type NvmeFunction } from '../pci/devices/nvme/index.ts';
import { type FunctionSpec, MessageQueue } from '../pci/index.ts';
import {
  codec,
  DOMCTL,
  DOMCTL_ASSIGN_DEVICE,
  HYPERCALL,
  PHYSDEV_PCI_DEVICE,
  PHYSDEV_PCI_DEVICE_ADD,
  PHYSDEVOP,
  XEN_DOMCTL,
} from '../xen/abi/index.ts';
import {
  BusHostFunction,
  type DeviceModelProfile,
  HypercallToolstack,
  PassthroughDevice,
  type Toolstack,
} from '../xen/device-model/index.ts';
import { Hypervisor, type XenProfile } from '../xen/index.ts';
import type { FunctionBus } from './function-bus.ts';
import type { GuestRam } from './guest-ram.ts';

export const HOST_DOMAIN = 0;
export const GUEST_DOMAIN = 1;
/** Guest functions stand at 00:03.0 and up, host functions at 03:00.0 and up. */
const FIRST_GUEST_DEVICE = 3;
const FIRST_HOST_BUS = 3;
const FIRST_RAM_ADDRESS = 0x1000_0000;
/** Room for each controller's memory. */
export const RAM_STRIDE = 0x0100_0000;
const GUEST_TABLE_BASE = 0xf100_0000;
/** Enough for a driver to see that reads work. */
const NAMESPACE_BYTES = 1 << 16;
/** Event channel ports besides those of the vectors: few, so that states are small. */
const SPARE_PORTS = 63;

export interface MachineOptions {
  deviceModel: DeviceModelProfile;
  kernel: KernelProfile;
  xen: XenProfile;
  controllers: number;
  /** Vectors that each driver wants in its last enable. */
  vectors: number;
  /** The drive of which every controller is a copy. */
  drive: FunctionSpec;
  /** GSIs of the host; message pirqs begin here. */
  gsis: number;
  /** pirqs that the guest has beyond the GSIs (`extra_guest_irqs`). */
  extraGuestIrqs: number;
  /** GSIs that the guest registers when it boots, in this order. */
  bootGsis?: readonly BootGsi[];
  /** Queues of two entries instead of the kernel's, so that states are small. */
  compactQueues?: boolean;
}

/** One passed-through controller, from the device to the driver's view of it. */
export interface Slot {
  /** The real function on the host. */
  fn: NvmeFunction;
  /** Its messages that are on their way. */
  messages: MessageQueue;
  /** What the guest has in front of it. */
  model: PassthroughDevice;
  guestBdf: number;
  controller: NvmeController;
}

/** What the driver of controller `index` is told about it. */
export function guestController(options: MachineOptions, index: number): NvmeController {
  return {
    bdf: (FIRST_GUEST_DEVICE + index) << 3,
    memoryBase: FIRST_RAM_ADDRESS + index * RAM_STRIDE,
    vectors: options.vectors,
    ...(options.compactQueues === false ? {} : COMPACT_QUEUES),
  };
}

/** Puts a copy of the drive on the host's bus. @throws UsageError if it has too few vectors */
export function placeDrive(
  options: MachineOptions,
  index: number,
  bus: FunctionBus,
  arena: Arena,
  ram: GuestRam,
): NvmeFunction {
  const { drive, vectors } = options;
  const fn = createNvmeFunction({
    spec: { ...drive, bdf: (FIRST_HOST_BUS + index) << 8 },
    queuePairs: vectors,
    namespaces: [new MemoryNamespace(NAMESPACE_BYTES)],
    arena,
    dma: ram,
  });
  const available = fn.msix?.count ?? 0;
  if (available < vectors)
    throw new UsageError(`${drive.name} has ${available} MSI-X vectors, fewer than the ${vectors} that are asked for`);
  bus.add(fn, drive.bars);
  return fn;
}

/** Xen with its hardware domain and the guest; sizes are the least that the run can use, so that states are small. */
export function startHypervisor(options: MachineOptions, bus: FunctionBus, arena: Arena): Hypervisor {
  const { xen, gsis, extraGuestIrqs, controllers, vectors } = options;
  const nrIrqs = gsis + Math.max(64, 2 * extraGuestIrqs);
  const sizes = { gsis, nrIrqs, extraDomU: extraGuestIrqs, maxDevices: controllers };
  const hypervisor = new Hypervisor({ xen, bus, arena, ...sizes });
  hypervisor.createDomain({ id: HOST_DOMAIN, kind: 'pv-hwdom', nrPirqs: gsis, maxPort: 1 });
  const maxPort = SPARE_PORTS + controllers * vectors;
  hypervisor.createDomain({ id: GUEST_DOMAIN, kind: 'hvm', hasPirq: true, maxPort });
  return hypervisor;
}

/** What the host's kernel and toolstack do before the guest starts: pciback prepares MSI-X, xl assigns. */
export function assignToGuest(hypervisor: Hypervisor, fn: NvmeFunction): void {
  const asHost = (nr: number, cmd: number, bytes: Uint8Array) => {
    const { ret } = hypervisor.hypercall(HOST_DOMAIN, nr, cmd, bytes);
    if (ret < 0) throw new Error(`hypercall ${nr}/${cmd} of the host failed at boot: ${ret}`);
  };
  const place = { seg: fn.bdf >>> 16, bus: (fn.bdf >>> 8) & 0xff, devfn: fn.bdf & 0xff };
  const { physdevOp, domctl } = HYPERCALL;
  asHost(physdevOp, PHYSDEVOP.pciDeviceAdd, codec(PHYSDEV_PCI_DEVICE_ADD).encode(place));
  asHost(physdevOp, PHYSDEVOP.prepareMsix, codec(PHYSDEV_PCI_DEVICE).encode(place));
  const outer = codec(XEN_DOMCTL);
  const { domctlVersion } = hypervisor.profile;
  const bytes = outer.encode({ cmd: DOMCTL.assignDevice, interface_version: domctlVersion, domain: GUEST_DOMAIN });
  codec(DOMCTL_ASSIGN_DEVICE).encode({ 'u.pci.machine_sbdf': fn.bdf }, bytes, outer.at.u);
  asHost(domctl, DOMCTL.assignDevice, bytes);
}

/** The toolstack through which the device model, in the host's domain, serves the guest. */
export function guestToolstack(hypervisor: Hypervisor): Toolstack {
  const { domctlVersion, domctlLayout } = hypervisor.profile;
  return new HypercallToolstack((nr, cmd, bytes) => hypervisor.hypercall(HOST_DOMAIN, nr, cmd, bytes), {
    domid: GUEST_DOMAIN,
    domctlVersion,
    domctlLayout,
  });
}

/** The device model in front of a host function. */
export function passThrough(
  options: MachineOptions,
  fn: NvmeFunction,
  controller: NvmeController,
  bus: FunctionBus,
  toolstack: Toolstack,
  arena: Arena,
): Slot {
  const { regions } = bus.slots.find((slot) => slot.fn === fn)!;
  const host = new BusHostFunction(bus, fn.bdf, regions);
  const guestTable = GUEST_TABLE_BASE + fn.bdf * 0x1000;
  const model = new PassthroughDevice(options.deviceModel, host, toolstack, { guestTable, arena });
  model.attach();
  const messages = new MessageQueue();
  fn.messages = messages;
  return { fn, messages, model, guestBdf: controller.bdf, controller };
}
