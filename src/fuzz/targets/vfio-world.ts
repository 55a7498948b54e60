import { Arena } from '../../core/index.ts';
import type { SparseMemory } from '../../harness/sparse-memory.ts';
import { MemoryPort, type VfioDevice, vfioDevice } from '../../harness/vfio-user/index.ts';
import { createNvmeFunction, MemoryNamespace } from '../../pci/devices/nvme/index.ts';
import { builtinDump, parseDump } from '../../pci/dump/index.ts';
import { createFunction, type EmulatedFunction, type FunctionSpec } from '../../pci/index.ts';
import { imageSpec } from '../images.ts';
import { NaiveDma } from '../oracle/naive-dma.ts';
import { clear } from '../oracle/twin-function.ts';
import { clientMemory, NVME_SETUP } from './socket-world.ts';

/** A device behind the session under test, and its twin for the oracle. */
export interface VfioWorld {
  readonly label: string;
  readonly device: VfioDevice;
  readonly twin: EmulatedFunction;
  /** Of a device with accesses of its own: its client's memory, and its twin's next piece of work. */
  readonly dma?: NaiveDma;
  readonly step?: () => boolean;
  /** As when made. */
  begin(): void;
  /** The twin takes over the device's state. */
  resync(): void;
  /** The first difference between the two. */
  compare(): string | undefined;
}

const FLR = 0x1000_8fe1;

function plainSpecs(): FunctionSpec[] {
  return [
    imageSpec({
      name: 'MSI and MSI-X',
      bdf: 0,
      pm: 0xc803,
      msi: 0x0186,
      msix: { count: 4 },
      express: { caps: FLR },
      rom: true,
      events: true,
    }),
    imageSpec({ name: 'MSI-X of 70 vectors, no pin', bdf: 0, pin: 0, msix: { count: 70, pbaBar: 2 } }),
    imageSpec({ name: 'MSI without masks', bdf: 0, msi: 0x0084 }),
    imageSpec({ name: 'INTx only', bdf: 0, pin: 1, rom: true }),
    parseDump(builtinDump('1b36-0010'))[0].spec,
  ];
}

/** Makers of all devices, in the order of their numbers. */
export function vfioWorlds(): (() => VfioWorld)[] {
  return [...plainSpecs().map((spec) => () => plainWorld(spec)), nvmeWorld];
}

function plainWorld(spec: FunctionSpec): VfioWorld {
  const arenas = [new Arena(1 << 17), new Arena(1 << 17)];
  const [fn, twin] = arenas.map((arena) => createFunction(spec, { arena }));
  return {
    label: spec.name,
    device: vfioDevice(fn, arenas[0], new MemoryPort()),
    twin,
    ...states(fn, twin, arenas),
  };
}

/** An NVMe controller whose queues are there, with commands in them as {@link clientMemory} has. */
function nvmeWorld(): VfioWorld {
  const ram: SparseMemory = clientMemory();
  const contents = ram.snapshot();
  const port = new MemoryPort();
  const its = new MemoryPort();
  const dma = new NaiveDma(ram);
  const namespaces = [new MemoryNamespace(1 << 16), new MemoryNamespace(1 << 16)];
  const [fn, twin] = [port, its].map((memory, i) =>
    createNvmeFunction({ bdf: 0, queuePairs: 2, dma: memory, namespaces: [namespaces[i]], defer: true }),
  );
  for (const [f, memory] of [
    [fn, port],
    [twin, its],
  ] as const) {
    memory.memory = ram;
    f.writeConfig(4, 2, 0x0406);
    for (const [at, value] of NVME_SETUP) f.writeBar(0, at, 4, value);
    f.writeBar(0, 0x1000, 4, 2); // the two commands that make I/O queues
    while (f.controller.step());
    f.effects.length = 0;
    memory.memory = undefined;
  }
  its.memory = dma;
  const { begin, resync, compare } = states(fn, twin, [fn.arena, twin.arena]);
  return {
    label: 'an NVMe controller with I/O queues',
    device: vfioDevice(fn, fn.arena, port),
    twin,
    dma,
    step: () => twin.controller.step(),
    begin() {
      begin();
      port.memory = undefined;
      ram.restore(contents);
      for (const namespace of namespaces) clear(namespace);
      dma.inFlight = [];
      dma.maps = [];
      dma.forgetWrites();
      dma.forgetReads();
    },
    resync() {
      resync();
      const bytes = new Uint8Array(1 << 16);
      namespaces[0].read(0, bytes);
      namespaces[1].write(0, bytes);
    },
    compare,
  };
}

function states(fn: EmulatedFunction, twin: EmulatedFunction, [arena, its]: readonly Arena[]) {
  const clean = [arena.snapshot(), its.snapshot()];
  return {
    begin() {
      arena.restore(clean[0]);
      its.restore(clean[1]);
      fn.effects.length = 0;
      twin.effects.length = 0;
    },
    resync() {
      its.restore(arena.snapshot());
      twin.effects.length = 0;
    },
    compare(): string | undefined {
      const difference = arena.explainDifference(its.snapshot());
      return difference && `state: the device is not as its twin: ${difference}`;
    },
  };
}
