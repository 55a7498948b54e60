import { Arena, UsageError } from '../core/index.ts';
import { type Guest, type KernelProfile, KernelRecords, type NvmeController } from '../guest/index.ts';
import { createNvmeFunction, MemoryNamespace } from '../pci/devices/nvme/index.ts';
import type { MessageQueue } from '../pci/index.ts';
import {
  BusHostFunction,
  type DeviceModelProfile,
  PassthroughDevice,
  type Toolstack,
} from '../xen/device-model/index.ts';
import { domainPirqs, Hypervisor, hostIrqs, type XenProfile } from '../xen/index.ts';
import type { FunctionBus } from './function-bus.ts';
import { assignToGuest, GUEST_DOMAIN, HOST_DOMAIN, type Slot } from './machine-setup.ts';
import { PagedRam } from './paged-ram.ts';

/** The host, and what its administrator set. */
export interface BringUpHost {
  cpus: number;
  gsis: number;
  /** `nr_irqs=`; default by release. */
  nrIrqs?: number;
  /** `extra_guest_irqs=`; default 32. */
  extraGuestIrqs?: number;
  /** `max_event_channels` of the guest; libxl's default is 1023. */
  maxPort?: number;
}

export interface BringUpOptions {
  xen: XenProfile;
  kernel: KernelProfile;
  deviceModel: DeviceModelProfile;
  controllers: number;
  /** I/O queues asked for, 1 … 2048: a driver wants one a CPU, so this is how many CPUs the guest shall have. */
  queues: number;
  host: BringUpHost;
}

const MSIX_VECTORS = 2048;
/** A vector of its own for the admin queue, in kernels where it does not share the first queue's. */
const MAX_QUEUES = 2048;
const DEFAULT_MAX_PORT = 1023;
/** Devices 0 to 2 of the guest's bus are the chipset's, the platform device and the display. */
const FIRST_GUEST_DEVICE = 3;
const GUEST_DEVICES = 32 - FIRST_GUEST_DEVICE;
const FIRST_HOST_BUS = 3;
/** Where BARs of so many functions have room. */
export const FIRST_BAR_ADDRESS = 2 ** 36;
const GUEST_TABLE_BASE = 2 ** 36;
export const SHARED_INFO_ADDRESS = 0xfeff_f000;
/** Frame of the control block, and after it the event array. */
const FIFO_BASE = 0x1000_0000;
/** Above the event array, however many ports there are. */
const RAM_BASE = 2 ** 32;
const NAMESPACE_BYTES = 4096;

/** Sizes that follow from the options. */
export interface BringUpShape {
  /** Controllers that can be attached. */
  attached: number;
  /** I/O queues of a controller: what is asked, or the most vCPUs that the guest can have. */
  queues: number;
  /** Vectors that a driver asks for. */
  vectors: number;
  nrIrqs: number;
  nrPirqs: number;
  maxPort: number;
}

/** @throws UsageError for numbers that cannot be */
export function shapeOf({ xen, kernel, controllers, queues, host }: BringUpOptions): BringUpShape {
  if (!Number.isInteger(queues) || queues < 1 || queues > MAX_QUEUES)
    throw new UsageError(`a controller has 1 … ${MAX_QUEUES} queues, not ${queues}`);
  if (!Number.isInteger(controllers) || controllers < 1 || controllers > 1 << 14)
    throw new UsageError(`controllers must be 1 … ${1 << 14}, are ${controllers}`);
  const { hvmVcpus, guestFunctions } = xen.limits;
  const size = hostSize(host);
  const own = Math.min(queues, hvmVcpus);
  const vectors = Math.min(own + (kernel.nvmeOwnVectors ? 1 : 0), MSIX_VECTORS);
  return {
    attached: Math.min(controllers, guestFunctions),
    queues: kernel.nvmeOwnVectors ? vectors - 1 : vectors,
    vectors,
    nrIrqs: hostIrqs(xen, size),
    nrPirqs: domainPirqs(xen, size, false),
    maxPort: host.maxPort ?? DEFAULT_MAX_PORT,
  };
}

/** As few of everything as the asked vectors need, so that nothing but the profile's limits is in the way. */
export function amplestHost(controllers: number, queues: number): BringUpHost {
  const gsis = 48;
  const vectors = controllers * Math.min(queues + 1, MSIX_VECTORS);
  const cpus = Math.max(4, Math.ceil((vectors + gsis) / VECTORS_OF_A_CPU) + 1);
  return { cpus, gsis, nrIrqs: gsis + vectors + 64, extraGuestIrqs: vectors + 32, maxPort: vectors + 63 };
}

/** A little less than a CPU has in any release. */
const VECTORS_OF_A_CPU = 189;

function hostSize({ cpus, gsis, nrIrqs, extraGuestIrqs }: BringUpHost) {
  return {
    cpus,
    gsis,
    ...(nrIrqs !== undefined && { nrIrqs }),
    ...(extraGuestIrqs !== undefined && { extraDomU: extraGuestIrqs }),
  };
}

/** Room for all state. Reserved at once, touched as it is used. */
export function makeArena(shape: BringUpShape): Arena {
  const vectors = shape.attached * shape.vectors;
  const perVector = 400; // NVMe queues 64, device model 33, kernel's records 130, MSI-X table 21, some rounding
  const perIrq = 64 + 80 + 20; // descriptor, message, and what each domain keeps
  const bytes = vectors * perVector + shape.nrIrqs * perIrq + shape.nrPirqs * 48 + shape.maxPort * 40;
  return new Arena(bytes + shape.attached * 65536 + PagedRam.sizeBytes(ramPages(shape)) + 2 ** 24);
}

export function ramPages({ attached, vectors, maxPort }: BringUpShape): number {
  // queue pair and identify buffer of each controller, the event array and its control block, and what a few hundred reads take
  return attached * 4 + Math.ceil((Math.min(attached * vectors, maxPort) + 1) / 1024) + 2048;
}

export function makeGuest({ kernel, xen }: BringUpOptions): Guest {
  const fifo = {
    controlBlock: FIFO_BASE,
    array: FIFO_BASE + 4096,
    linkMask: 2 ** xen.limits.eventLinkBits - 1,
  };
  return { profile: kernel, sharedInfo: SHARED_INFO_ADDRESS, fifo };
}

export function makeRecords(shape: BringUpShape, arena: Arena): KernelRecords {
  const { attached, vectors, queues, nrPirqs, maxPort } = shape;
  const ports = Math.min(maxPort + 1, attached * vectors + 64);
  return new KernelRecords(
    { devices: attached, vectors, queues: queues + 1, ports, pirqs: nrPirqs, fifo: true },
    arena,
  );
}

export function makeHypervisor(
  options: BringUpOptions,
  shape: BringUpShape,
  bus: FunctionBus,
  arena: Arena,
  memory: PagedRam,
): Hypervisor {
  const { xen, host } = options;
  const { attached, maxPort } = shape;
  const size = { ...hostSize(host), maxDevices: attached, maxGuestsPerIrq: 1 };
  const hypervisor = new Hypervisor({ xen, bus, arena, intremap: true, ...size });
  hypervisor.createDomain({ id: HOST_DOMAIN, kind: 'pv-hwdom', nrPirqs: host.gsis, maxPort: 1 });
  hypervisor.createDomain({ id: GUEST_DOMAIN, kind: 'hvm', hasPirq: true, maxPort, fifo: true, memory });
  return hypervisor;
}

/** What the driver is told of controller `index`. Queues of two entries: nothing is ever put into most of them. */
export function controllerAt(shape: BringUpShape, index: number): NvmeController {
  const perBus = GUEST_DEVICES * 8;
  const place = index % perBus;
  const device = FIRST_GUEST_DEVICE + (place % GUEST_DEVICES);
  const bdf = (Math.floor(index / perBus) << 8) | (device << 3) | Math.floor(place / GUEST_DEVICES);
  const span = (shape.queues + 8) * 2 * 4096;
  return { bdf, memoryBase: RAM_BASE + index * span, vectors: shape.vectors, ioDepth: 2 };
}

/** The parts of a bring-up that a drive is attached to. */
export interface BringUpParts {
  options: BringUpOptions;
  shape: BringUpShape;
  hypervisor: Hypervisor;
  arena: Arena;
  ram: PagedRam;
}

/** Puts a drive on the host's bus, assigns it, and puts the device model in front of it. */
export function attachDrive(
  { options, shape, hypervisor, arena, ram }: BringUpParts,
  bus: FunctionBus,
  toolstack: Toolstack,
  messages: MessageQueue,
  index: number,
): Slot {
  const controller = controllerAt(shape, index);
  const fn = createNvmeFunction({
    bdf: (FIRST_HOST_BUS << 8) + index,
    vectors: Math.max(shape.vectors, 2),
    queuePairs: shape.queues,
    namespaces: [new MemoryNamespace(NAMESPACE_BYTES)],
    arena,
    dma: ram,
  });
  fn.messages = messages;
  const { regions } = bus.add(fn, fn.layout.bars);
  assignToGuest(hypervisor, fn);
  const host = new BusHostFunction(bus, fn.bdf, regions);
  const guestTable = GUEST_TABLE_BASE + index * 0x10000;
  const model = new PassthroughDevice(options.deviceModel, host, toolstack, { guestTable, arena });
  model.attach();
  return { fn, messages, model, guestBdf: controller.bdf, controller };
}
