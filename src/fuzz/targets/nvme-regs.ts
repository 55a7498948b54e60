import { Arena, explainRegister, hex, type Prng, type Width } from '../../core/index.ts';
import { createNvmeFunction, type NvmeFunction, REGISTERS } from '../../pci/devices/nvme/index.ts';
import type { FunctionSpec } from '../../pci/index.ts';
import { type Access, decodeAccesses, encodeAccesses, KIND, REGION, RESET } from '../access.ts';
import { NaiveNvme } from '../oracle/naive-nvme.ts';
import { NaiveMemory } from '../oracle/naive-nvme-data.ts';
import type { Subject, Target } from '../target.ts';
import { NvmeInputs } from './nvme-regs-inputs.ts';
import { WatchedBlocks, WatchedMemory } from './nvme-regs-memory.ts';
import { readPages } from './nvme-regs-pages.ts';
import { MEMORY_BYTES, NVME_VARIANTS, type NvmeVariant, preparation, variantSpec } from './nvme-regs-shapes.ts';
import { Twin, type TwinState } from './twin.ts';

const DOORBELLS = 0x1000;

interface Saved {
  model: Int32Array;
  twin: TwinState;
  nvme: ReturnType<NaiveNvme['save']>;
  broken: string | undefined;
}

/**
 * An NVMe controller with a small host memory: registers, configuration space, vectors, and what it does by itself, which
 * is to fetch commands, move data, post completions and signal them. Judged by {@link NaiveNvme}.
 */
class NvmeSubject implements Subject<Access> {
  readonly label: string;
  readonly functions: readonly FunctionSpec[];
  readonly preparation: readonly Access[];
  readonly #arena = new Arena(1 << 19);
  readonly #memory: WatchedMemory;
  readonly #blocks: WatchedBlocks;
  readonly #twin: Twin;
  readonly #nvme: NaiveNvme;
  readonly #inputs: NvmeInputs;
  readonly #start: Saved;
  /** The law that the preparation broke: told at the first step. */
  #broken: string | undefined;

  constructor(variant: NvmeVariant) {
    this.label = variant.name;
    const memory = new WatchedMemory(this.#arena, MEMORY_BYTES);
    this.#memory = memory;
    this.#blocks = new WatchedBlocks(this.#arena, variant.blockSizeLog2, variant.blockCount);
    let fn: NvmeFunction;
    this.#twin = new Twin(variantSpec(variant), this.#arena, (spec) => {
      const parts = { spec, arena: this.#arena, dma: memory, namespaces: [this.#blocks] };
      fn = createNvmeFunction({ ...variant.shape, ...parts });
      return fn;
    });
    this.functions = [this.#twin.spec];
    const clean = this.#arena.snapshot();
    const pages = readPages(fn!, memory, variant);
    this.#arena.restore(clean);
    this.#twin.begin();
    const [low, high, version] = [0, 4, 8].map((at) => fn!.readBar(0, at, 4));
    const shape = {
      queuePairs: variant.shape.queuePairs,
      maxEntries: (low & 0xffff) + 1,
      stride: high & 15,
      mpsMax: (high >>> 20) & 15,
      mdts: variant.shape.mdts!,
      vectors: fn!.msix?.count ?? 0,
      asyncEventRequests: variant.shape.asyncEventRequests!,
      errorLogEntries: variant.shape.errorLogEntries!,
      blockBytes: 2 ** variant.blockSizeLog2,
      blockCount: variant.blockCount,
      cap: [low, high] as const,
      version,
      pages,
    };
    this.#nvme = new NaiveNvme(shape, this.#twin.oracle, new NaiveMemory(MEMORY_BYTES), (address) => {
      if (address + 16 > MEMORY_BYTES) return undefined;
      const entry = new DataView(memory.bytes.buffer, memory.bytes.byteOffset + address, 16);
      return { result: entry.getUint32(0, true), status: entry.getUint16(14, true) };
    });
    this.#twin.oracle.onReset = () => this.#nvme.reset();
    this.#inputs = new NvmeInputs(fn!, this.#nvme, variant);
    memory.clear();
    this.preparation = preparation(fn!, variant);
    for (const step of this.preparation) this.#broken ??= this.run(step);
    this.#start = this.save();
  }

  begin(): void {
    this.restore(this.#start);
    this.#twin.telling = false;
  }

  save(): Saved {
    return {
      model: this.#arena.snapshot(),
      twin: this.#twin.save(),
      nvme: this.#nvme.save(),
      broken: this.#broken,
    };
  }

  restore(saved: Saved): void {
    this.#arena.restore(saved.model);
    this.#twin.restore(saved.twin);
    this.#nvme.restore(saved.nvme);
    this.#memory.clear();
    this.#broken = saved.broken;
  }

  generate(prng: Prng): Access {
    return this.#inputs.generate(prng);
  }

  mutate(prng: Prng, step: Access): Access {
    return this.#inputs.mutate(prng, step);
  }

  run(step: Access): string | undefined {
    if (this.#broken) return this.#broken;
    const twin = this.#twin;
    const { region, offset, value } = step;
    const width = step.width as Width;
    let wrong: string | undefined;
    twin.clear();
    switch (step.kind) {
      case KIND.read:
        if (region === REGION.config) wrong = twin.readConfig(offset, width);
        else if (this.#isRegister(region, offset, width)) wrong = this.#readRegister(offset, width);
        else wrong = twin.readBar(region, offset, width);
        break;
      case KIND.write:
        if (region === REGION.config) wrong = twin.writeConfig(offset, width, value);
        else {
          twin.writeBar(region, offset, width, value);
          if (this.#isRegister(region, offset, width)) this.#nvme.write(offset, width, value);
        }
        break;
      case KIND.reset:
        twin.reset(value === RESET.flr ? 'flr' : 'conventional');
        break;
      case KIND.dmaWrite:
        this.#store(offset, step.data!);
        break;
    }
    this.#nvme.drivePin();
    return wrong ?? this.#compareMemory() ?? twin.compareEffects();
  }

  /** An access to BAR 0 that no vector structure claims. */
  #isRegister(region: number, offset: number, width: number): boolean {
    const { msix, layout } = this.#twin.model;
    const bar = layout.bars.find((b) => b.bar === 0)!;
    if (region !== 0 || offset + width > bar.sizeBytes) return false;
    if (!msix) return true;
    const inTable = msix.tableBar === 0 && offset >= msix.tableOffset && offset < msix.tableOffset + msix.tableBytes;
    const inPba = msix.pbaBar === 0 && offset >= msix.pbaOffset && offset < msix.pbaOffset + msix.pbaBytes;
    return !inTable && !inPba;
  }

  #readRegister(offset: number, width: Width): string | undefined {
    const got = this.#twin.model.readBar(0, offset, width);
    const want = this.#nvme.read(offset, width);
    return got === want ? undefined : `read: ${where(offset)} reads ${hex(got)}, should be ${hex(want)}`;
  }

  #store(address: number, data: Uint8Array): void {
    const length = Math.min(data.length, MEMORY_BYTES - address);
    if (length <= 0) return;
    this.#memory.bytes.set(data.subarray(0, length), address);
    this.#nvme.memory.bytes.set(data.subarray(0, length), address);
  }

  /** Wherever one of the two wrote. */
  #compareMemory(): string | undefined {
    const memory = this.#memory;
    const naive = this.#nvme.memory;
    let wrong: string | undefined;
    if (memory.transfers > 0 && !this.#twin.oracle.mayTransfer)
      wrong = 'dma: a transfer without Bus Master Enable in D0';
    const places = naive.written.concat(memory.written);
    memory.clear();
    naive.written.length = 0;
    for (let i = 0; i < places.length && !wrong; i += 2) wrong = this.#compareRun(places[i], places[i + 1]);
    return wrong;
  }

  #compareRun(address: number, length: number): string | undefined {
    const got = this.#memory.bytes;
    const want = this.#nvme.memory.bytes;
    const at = firstDifference(got, want, address, address + length);
    if (at < 0) return undefined;
    const start = at & ~3;
    const dword = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getUint32(start, true);
    return `memory: ${this.#placeOf(start)} holds ${hex(dword(got))}, should hold ${hex(dword(want))}`;
  }

  /** An address in terms of queues. */
  #placeOf(address: number): string {
    for (const [id, cq] of this.#nvme.state.cqs)
      if (address >= cq.base && address < cq.base + 16 * cq.size)
        return `completion queue ${id} entry ${(address - cq.base) >> 4} dword ${((address - cq.base) >> 2) & 3}`;
    return `0x${address.toString(16)}`;
  }

  finish(): string | undefined {
    if (this.#broken) return this.#broken;
    for (let at = 0; at < 0x40; at += 4) {
      const wrong = this.#readRegister(at, 4);
      if (wrong) return wrong;
    }
    const { commands } = this.#nvme;
    const at = firstDifference(this.#blocks.bytes, commands.blocks.bytes, 0, this.#blocks.bytes.length);
    if (at >= 0)
      return `blocks: byte ${at} is ${hex(this.#blocks.bytes[at])}, was last written ${hex(commands.blocks.bytes[at])}`;
    if (this.#blocks.dirty && !commands.blocks.dirty) return 'flush: blocks are not on stable storage that should be';
    return this.#compareRun(0, MEMORY_BYTES) ?? this.#twin.compareAll();
  }

  /** Interrupt mode, controller status, and of each queue how full it is. */
  abstractState(): number {
    const { state, commands } = this.#nvme;
    const { oracle } = this.#twin;
    let h = ['off', 'intx', 'msi', 'msix'].indexOf(oracle.mode) * 64;
    const mix = (value: number) => {
      h = Math.imul(h ^ value, 0x01000193);
      h ^= h >>> 15;
    };
    mix(
      (state.rdy ? 1 : 0) |
        (state.cfs ? 2 : 0) |
        (state.shst << 2) |
        (oracle.mayTransfer ? 16 : 0) |
        (this.#twin.line << 5),
    );
    mix(this.#nvme.interruptStatus() & 15);
    for (const [id, q] of state.sqs) mix((id << 4) | (q.stopped ? 8 : 0) | fullness(q));
    for (const [id, q] of state.cqs) mix((id << 6) | (q.phase << 4) | (q.interrupts ? 8 : 0) | fullness(q));
    mix(commands.logs.notable);
    for (const v of [0, 1, 2]) {
      const vector = oracle.msix?.vector(v);
      mix(vector ? (vector.masked ? 1 : 0) | (vector.pending ? 2 : 0) : 4);
    }
    return h;
  }

  simpler(step: Access): Access[] {
    const list: Access[] = [];
    const { data } = step;
    if (step.kind === KIND.dmaWrite && data) {
      for (let at = 0; at + 4 <= data.length; at += 4) {
        if (data.subarray(at, at + 4).every((b) => b === 0)) continue;
        const less = data.slice();
        less.fill(0, at, at + 4);
        list.push({ ...step, data: less });
        if (at > 0 || (data[2] === 0 && data[3] === 0)) continue;
        const plain = data.slice();
        plain.fill(0, 1, 4);
        list.push({ ...step, data: plain });
      }
      return list;
    }
    if (step.kind !== KIND.write) return list;
    if (step.value !== 0) list.push({ ...step, value: 0 });
    for (let bit = 8 * step.width - 1; bit >= 0; bit--)
      if ((step.value >>> bit) & 1) list.push({ ...step, value: (step.value & ~(1 << bit)) >>> 0 });
    return list;
  }

  tell(step: Access): string {
    this.#twin.telling = true;
    const { kind, region, offset, width, value, data } = step;
    if (kind === KIND.dmaWrite) return `host memory ${hex(offset)}: ${tellStore(data!)}`;
    if (kind === KIND.reset) return value === RESET.flr ? 'function level reset' : 'conventional reset';
    const isRegister = this.#isRegister(region, offset, width);
    const place = isRegister ? where(offset, this.#nvme.shape.stride) : this.#twin.where(region, offset, width);
    if (kind === KIND.read) return `read ${width} at ${place}`;
    const register = isRegister && width === 4 && REGISTERS.find((r) => r.offset === offset);
    const fields = register ? `: ${explainRegister(register, value)}` : this.#twin.fields(step);
    return `write ${hex(value, 2 * width)} to ${place}${fields}`;
  }

  outcome(): string {
    return this.#twin.did;
  }
}

/** The first byte from `from` on, before `to`, in which two arrays differ; −1: none. */
function firstDifference(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
  if (to - from > 64 && Buffer.compare(a.subarray(from, to), b.subarray(from, to)) === 0) return -1;
  for (let at = from; at < to; at++) if (a[at] !== b[at]) return at;
  return -1;
}

function fullness({ head, tail, size }: { head: number; tail: number; size: number }): number {
  const held = (tail - head + size) % size;
  return held === 0 ? 0 : held === size - 1 ? 2 : 1;
}

function where(offset: number, stride = 0): string {
  const place = (offset - DOORBELLS) / (4 << stride);
  if (place >= 0 && Number.isInteger(place) && place < 512)
    return place % 2
      ? `completion queue ${(place - 1) / 2} head doorbell`
      : `submission queue ${place / 2} tail doorbell`;
  return `BAR 0+${hex(offset)}`;
}

/** Sixteen dwords are a command. */
function tellStore(data: Uint8Array): string {
  const view = new DataView(data.buffer, data.byteOffset, data.length);
  if (data.length !== 64) return `${data.length} bytes`;
  const words: string[] = [`command ${hex(data[0], 2)} cid ${view.getUint16(2, true)}`];
  if (data[1]) words.push(`flags ${hex(data[1], 2)}`);
  for (let n = 1; n < 16; n++)
    if (view.getUint32(4 * n, true)) words.push(`dw${n}=${hex(view.getUint32(4 * n, true))}`);
  return words.join(' ');
}

export const NVME_TARGET: Target<Access> = {
  name: 'nvme-regs',
  about: 'NVMe controllers: registers, queues in a small host memory, data and interrupts',
  unit: 'accesses',
  variants: NVME_VARIANTS.length,
  open: (variant) => new NvmeSubject(NVME_VARIANTS[variant]),
  encode: encodeAccesses,
  decode: decodeAccesses,
};
