import type { Arena, Width } from '../../core/index.ts';
import type { MemoryNamespace } from '../../pci/devices/nvme/index.ts';
import type { DmaMemory, Effect, EmulatedFunction } from '../../pci/index.ts';
import { MOST_DATA, type NaiveRecord, type NaiveShape } from './naive-records.ts';

/** What a function did outside itself during an access, in order. A DMA read has the bytes it got; without any it failed. */
export type Doing =
  | { kind: 'effect'; record: NaiveRecord }
  | { kind: 'read'; address: bigint; length: number; answer: Uint8Array | undefined }
  | { kind: 'write'; address: bigint; bytes: Uint8Array };

/** Memory that is not there: reads are answered from what the conversation brought, and all is written down. */
export class ScriptedMemory implements DmaMemory {
  doings: Doing[] = [];
  /** Looks an answer up; undefined makes the transfer fail. */
  answer: (address: bigint, length: number) => Uint8Array | undefined = () => undefined;
  effects: readonly Effect[] = [];
  #told = 0;

  begin(answer: ScriptedMemory['answer']): void {
    this.doings = [];
    this.#told = 0;
    this.answer = answer;
  }

  readBytes(address: number, length: number): Uint8Array {
    const whole = new Uint8Array(length);
    let failed = false;
    for (let at = 0; at < length; at += MOST_DATA) {
      const count = Math.min(MOST_DATA, length - at);
      this.tellEffects();
      const piece = this.answer(BigInt(address + at), count);
      this.doings.push({ kind: 'read', address: BigInt(address + at), length: count, answer: piece });
      if (piece) whole.set(piece, at);
      else failed = true;
    }
    return failed ? new Uint8Array(0) : whole;
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += MOST_DATA) {
      this.tellEffects();
      this.doings.push({ kind: 'write', address: BigInt(address + at), bytes: bytes.slice(at, at + MOST_DATA) });
    }
  }

  /** Effects that the function has made since the last doing. */
  tellEffects(): void {
    for (; this.#told < this.effects.length; this.#told++) {
      const e = this.effects[this.#told];
      const record =
        e.kind === 'intx'
          ? { kind: 4, region: 0xff, width: 0xff, offset: BigInt(e.pin), value: BigInt(e.level) }
          : {
              kind: 3,
              region: 0xff,
              width: 4,
              offset: (BigInt(e.addressHi >>> 0) << 32n) | BigInt(e.addressLo >>> 0),
              value: BigInt(e.data >>> 0),
            };
      this.doings.push({ kind: 'effect', record: { ...record, status: 0, function: e.bdf, data: undefined } });
    }
  }
}

/** A second instance of a function, given the same accesses directly. */
export class TwinFunction {
  readonly fn: EmulatedFunction;
  readonly arena: Arena;
  readonly memory: ScriptedMemory;
  readonly namespace: MemoryNamespace | undefined;
  readonly shape: NaiveShape;
  readonly #clean: Int32Array;

  constructor(fn: EmulatedFunction, arena: Arena, memory: ScriptedMemory, namespace?: MemoryNamespace) {
    this.fn = fn;
    this.arena = arena;
    this.memory = memory;
    this.namespace = namespace;
    memory.effects = fn.effects;
    fn.effects.length = 0;
    this.#clean = arena.snapshot();
    const control = fn.msi?.control ?? 0;
    const messages = fn.msi ? 2 ** ((control >> 1) & 7) : 1;
    this.shape = { bars: fn.layout.bars.map((b) => b.bar), vectors: Math.max(1, messages, fn.msix?.count ?? 0) };
  }

  begin(): void {
    this.arena.restore(this.#clean);
    this.fn.effects.length = 0;
    clear(this.namespace);
  }

  /** Carries out a request that is none to refuse. @returns the value of its answer */
  run(request: NaiveRecord, answer: ScriptedMemory['answer']): { value: bigint; doings: Doing[] } {
    const { fn, memory } = this;
    memory.begin(answer);
    let value = 0n;
    const { kind, width } = request;
    const offset = Number(request.offset);
    if (kind === 0)
      value = width === 8 ? this.#read8(request.region, offset) : BigInt(this.#read(request.region, offset, width));
    else if (kind === 1) {
      if (width === 8) {
        this.#write(request.region, offset, 4, request.value & 0xffffffffn);
        this.#write(request.region, offset + 4, 4, request.value >> 32n);
      } else this.#write(request.region, offset, width, request.value & ((1n << BigInt(8 * width)) - 1n));
    } else if (kind === 2) fn.reset(request.value === 1n ? 'flr' : 'conventional');
    else if (request.value === 1n) fn.lower();
    else fn.raise(offset);
    memory.tellEffects();
    fn.effects.length = 0;
    return { value, doings: memory.doings };
  }

  #read8(region: number, offset: number): bigint {
    const low = BigInt(this.#read(region, offset, 4));
    return low | (BigInt(this.#read(region, offset + 4, 4)) << 32n);
  }

  #read(region: number, offset: number, width: number): number {
    return region === 7 ? this.fn.readConfig(offset, width as Width) : this.fn.readBar(region, offset, width as Width);
  }

  #write(region: number, offset: number, width: number, value: bigint): void {
    if (region === 7) this.fn.writeConfig(offset, width as Width, Number(value));
    else this.fn.writeBar(region, offset, width as Width, Number(value));
  }
}

/** Contents as when made: zeros. */
export function clear(namespace: MemoryNamespace | undefined): void {
  if (!namespace || namespace.allocatedBytes === 0) return;
  namespace.writeZeroes(0, namespace.blockCount * 2 ** namespace.blockSizeLog2);
}
