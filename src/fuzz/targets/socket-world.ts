import { Arena } from '../../core/index.ts';
import type { AccessTarget } from '../../harness/access-execute.ts';
import { DmaPort, JournalledNamespace } from '../../harness/dma-journal.ts';
import { functionMap, type HostedFunction } from '../../harness/hosted-function.ts';
import { SparseMemory } from '../../harness/sparse-memory.ts';
import { createNvmeFunction, MemoryNamespace } from '../../pci/devices/nvme/index.ts';
import { createFunction } from '../../pci/index.ts';
import { imageSpec } from '../images.ts';
import { type NaiveHypercall, NaiveWorld } from '../oracle/naive-conversation.ts';
import type { NaiveRecord } from '../oracle/naive-records.ts';
import { clear, ScriptedMemory, TwinFunction } from '../oracle/twin-function.ts';

/** Where functions stand. */
export const PLAIN = 0x20;
export const OTHER = 0x10029;
export const NVME = 0x30;

const ADMIN_SQ = 0x10000;
const IO_SQ = 0x14000;
const NAMESPACE_BYTES = 1 << 16;

const plainSpec = imageSpec({
  name: 'plain',
  bdf: PLAIN,
  pm: 0xc803,
  msi: 0x0186,
  msix: { count: 4 },
  express: { caps: 0x1000_8fe1 },
  rom: true,
  events: true,
});
const otherSpec = imageSpec({ name: 'other', bdf: OTHER, pin: 2, msi: 0x0088 });

export interface WorldOptions {
  name: string;
  nvme: 'none' | 'reset' | 'enabled';
  hypercalls: boolean;
}

/** What the fuzzer's hypercalls do: a number that follows from all they are given, and the argument turned round. */
const hypercall: NaiveHypercall = (nr, cmd, bytes) => {
  const sum = bytes.reduce((s, b) => (s + b) & 0xff, (nr ^ cmd) & 0xff);
  return { ret: sum & 1 ? -sum : sum, bytes: bytes.slice().reverse() };
};

/** Functions behind the server under test, and a twin of each for the oracle. */
export class SocketWorld {
  readonly label: string;
  readonly target: AccessTarget;
  readonly naive: NaiveWorld;
  readonly #hosted: HostedFunction[] = [];
  readonly #namespaces = new Map<number, MemoryNamespace>();
  readonly #clean = new Map<number, Int32Array>();

  constructor({ name, nvme, hypercalls }: WorldOptions) {
    this.label = name;
    const twins = new Map<number, TwinFunction>();
    for (const spec of [plainSpec, otherSpec]) {
      const arenas = [new Arena(1 << 16), new Arena(1 << 16)];
      const [fn, twin] = arenas.map((arena) => createFunction(spec, { arena }));
      this.#hosted.push({ recipe: { kind: 'plain', spec }, fn, arena: arenas[0], close() {} });
      twins.set(spec.bdf, new TwinFunction(twin, arenas[1], new ScriptedMemory()));
    }
    if (nvme !== 'none') twins.set(NVME, this.#addNvme(nvme === 'enabled'));
    for (const { fn, arena } of this.#hosted) this.#clean.set(fn.bdf, arena.snapshot());
    this.naive = new NaiveWorld(twins, hypercalls ? hypercall : undefined);
    this.target = {
      functions: functionMap(this.#hosted),
      ...(hypercalls && { hypercall }),
      observe: (transcript) => {
        this.naive.transcripts.push(transcript.map(naiveOf));
      },
    };
  }

  begin(): void {
    for (const hosted of this.#hosted) {
      hosted.arena.restore(this.#clean.get(hosted.fn.bdf)!);
      hosted.fn.effects.length = 0;
      if (hosted.port) hosted.port.journal = undefined;
      clear(this.#namespaces.get(hosted.fn.bdf));
    }
    for (const twin of this.naive.functions.values()) twin.begin();
    this.naive.transcripts = [];
    this.naive.adrift.clear();
  }

  /** Twins that have lost track take over what there is. */
  resync(): void {
    for (const bdf of this.naive.adrift) {
      const twin = this.naive.functions.get(bdf)!;
      twin.arena.restore(this.target.functions.get(bdf)!.arena.snapshot());
      const namespace = this.#namespaces.get(bdf);
      if (namespace) {
        const contents = new Uint8Array(NAMESPACE_BYTES);
        namespace.read(0, contents);
        twin.namespace!.write(0, contents);
      }
    }
    this.naive.adrift.clear();
  }

  /** The first difference between a function and its twin. */
  compare(): string | undefined {
    for (const { fn, arena } of this.#hosted) {
      if (fn.effects.length > 0) return `state: ${fn.name} has effects that nobody was told`;
      const difference = arena.explainDifference(this.naive.functions.get(fn.bdf)!.arena.snapshot());
      if (difference) return `state: ${fn.name} is not as its twin: ${difference}`;
    }
    return undefined;
  }

  /** An NVMe controller with a namespace, `enabled` with queues as {@link clientMemory} has commands for. */
  #addNvme(enabled: boolean): TwinFunction {
    const make = (dma: DmaPort | ScriptedMemory, namespace: MemoryNamespace) =>
      createNvmeFunction({
        bdf: NVME,
        queuePairs: 2,
        dma,
        namespaces: [dma instanceof DmaPort ? new JournalledNamespace(namespace, dma) : namespace],
      });
    const port = new DmaPort();
    const memory = new ScriptedMemory();
    const [mine, its] = [new MemoryNamespace(NAMESPACE_BYTES), new MemoryNamespace(NAMESPACE_BYTES)];
    const [fn, twin] = [make(port, mine), make(memory, its)];
    if (enabled) {
      const ram = clientMemory();
      port.memory = ram;
      memory.answer = (address, length) => ram.readBytes(Number(address), length);
      for (const f of [fn, twin]) {
        f.writeConfig(4, 2, 0x0406);
        for (const [at, value] of NVME_SETUP) f.writeBar(0, at, 4, value);
        f.writeBar(0, 0x1000, 4, 2); // the two commands that make I/O queues
        f.effects.length = 0;
      }
      port.memory = undefined;
    }
    this.#hosted.push({ recipe: { kind: 'nvme', queuePairs: 2 }, fn, arena: fn.arena, port, close() {} });
    this.#namespaces.set(NVME, mine);
    return new TwinFunction(twin, twin.arena, memory, its);
  }
}

/** Queue sizes, addresses and the enable bit: register offset and value. */
export const NVME_SETUP: readonly (readonly [number, number])[] = [
  [0x24, 0x0007_0007],
  [0x28, ADMIN_SQ],
  [0x30, 0x11000],
  [0x14, 0x0046_0001],
];

/** What clients have in memory: commands in the places of both submission queues, some of them senseless. */
export function clientMemory(): SparseMemory {
  const memory = new SparseMemory();
  const command = (at: number, opcode: number, fields: Record<number, number>) => {
    const view = new DataView(new ArrayBuffer(64));
    view.setUint32(0, opcode | (((at >> 6) & 0xff) << 16), true);
    for (const [field, value] of Object.entries(fields)) view.setUint32(Number(field), value, true);
    memory.writeBytes(at, new Uint8Array(view.buffer));
  };
  command(ADMIN_SQ, 0x05, { 24: 0x16000, 40: 0x0007_0001, 44: 3 }); // Create I/O Completion Queue 1, interrupts
  command(ADMIN_SQ + 64, 0x01, { 24: IO_SQ, 40: 0x0007_0001, 44: 0x0001_0001 }); // Create I/O Submission Queue 1
  command(ADMIN_SQ + 128, 0x06, { 24: 0x20000, 40: 1 }); // Identify Controller
  command(ADMIN_SQ + 192, 0x06, { 4: 1, 24: 0x20800, 32: 0x22000 }); // Identify Namespace across two pages
  command(ADMIN_SQ + 256, 0x0a, { 40: 7 }); // Get Features
  command(ADMIN_SQ + 320, 0x7f, {});
  command(IO_SQ, 0x01, { 4: 1, 24: 0x30000, 40: 1, 48: 1 }); // Write of two blocks
  command(IO_SQ + 64, 0x02, { 4: 1, 24: 0x31200, 40: 1, 48: 1 }); // Read
  command(IO_SQ + 128, 0x05, { 4: 1, 24: 0x30000, 40: 1, 48: 0 }); // Compare
  command(IO_SQ + 192, 0x01, { 4: 1, 24: 0x30000, 32: 0x38000, 40: 1, 48: 31 }); // Write with a PRP list
  command(IO_SQ + 256, 0x02, { 4: 1, 24: 0x30000, 40: 0xffff_0000 }); // beyond the end
  command(IO_SQ + 320, 0x08, { 4: 1, 40: 1 }); // Write Zeroes
  for (let i = 0; i < 16; i++) memory.writeBytes(0x30000 + 256 * i, new Uint8Array(256).fill(17 * i + 1));
  const list = new DataView(new ArrayBuffer(32));
  [0x31000, 0x32000, 0x33000, 0x34000].forEach((page, i) => void list.setUint32(8 * i, page, true));
  memory.writeBytes(0x38000, new Uint8Array(list.buffer));
  return memory;
}

function naiveOf(r: Parameters<NonNullable<AccessTarget['observe']>>[0][number]): NaiveRecord {
  const u64 = (lo: number, hi: number) => (BigInt(hi) << 32n) | BigInt(lo);
  const { kind, region, width, status, data } = r;
  const offset = u64(r.offsetLo, r.offsetHi);
  return { kind, region, width, status, function: r.function, offset, value: u64(r.valueLo, r.valueHi), data };
}
