import { Arena, ones, UsageError, type Width } from '../core/index.ts';
import { firstPiece, readPieces, writePieces } from '../pci/access-split.ts';
import { STATE } from '../pci/function-core.ts';
import { createFunction, type Effect, type EmulatedFunction, formatBdf, HostBridge, PciBus } from '../pci/index.ts';
import { parseDevice, placeRecipes } from './device-text.ts';
import { type FunctionRecipe, functionMap, type HostedFunction, hostFunction } from './hosted-function.ts';
import type { SessionSnapshot } from './session.ts';
import { SparseMemory } from './sparse-memory.ts';

/** The ECAM window of QEMU's q35, `hw/pci-host/q35.c: MCH_HOST_BRIDGE_PCIEXBAR_DEFAULT`. */
export const ECAM_BASE = 0xb000_0000;
const ECAM_BYTES = 0x1000_0000;
const CONFIG_PORTS = 0xcf8;
const CONFIG_PORTS_END = 0xd00;
/** QEMU's default. */
const DEFAULT_RAM_BYTES = 128 << 20;
/** IOAPIC inputs of PIRQE to PIRQH, to which the slots 0 to 24 are wired in turn: `hw/isa/lpc_ich9.c: ich9_cc_update`. */
const FIRST_GSI = 20;

/** What a machine tells: messages as devices send them, and the IOAPIC's inputs as they change. */
export type MachineEvent = Extract<Effect, { kind: 'message' }> | { kind: 'line'; gsi: number; level: 0 | 1 };

export interface PcMachineOptions {
  /** Functions of bus 0. */
  functions: readonly HostedFunction[];
  /** RAM from address 0; at most up to the ECAM window. */
  ramBytes?: number;
}

/**
 * A PC as its CPU sees it, after QEMU's q35: RAM from 0, ports 0xCF8 to 0xCFF, the ECAM window at 0xB0000000, BARs where
 * they are programmed to, a host bridge at 00:00.0. No CPU, no firmware, no interrupt controller: messages to RAM are
 * stored there, and whoever listens is told of every message and line.
 *
 * Deviation: the window is always open, whatever PCIEXBAR says, for no firmware runs that would open it.
 */
export class PcMachine {
  readonly functions: ReadonlyMap<number, HostedFunction>;
  readonly ram: SparseMemory;
  readonly host: HostBridge;
  readonly #all: EmulatedFunction[];
  readonly #arenas: Arena[];
  readonly #listeners = new Set<(event: MachineEvent) => void>();

  /** @throws UsageError for a function that is not on bus 0, or two at one place */
  constructor(options: PcMachineOptions) {
    const { functions, ramBytes = DEFAULT_RAM_BYTES } = options;
    if (ramBytes > ECAM_BASE) throw new UsageError(`RAM ends below the ECAM window at 0x${ECAM_BASE.toString(16)}`);
    this.functions = functionMap(functions);
    this.ram = new SparseMemory(ramBytes);
    const own = new Arena(1 << 16);
    const root = new PciBus();
    this.#all = [createFunction(hostBridgeSpec(), { arena: own })];
    for (const { fn, port } of functions) {
      if (fn.bdf > 0xff || fn.bdf === 0)
        throw new UsageError(`${formatBdf(fn.bdf)}: this machine has bus 0 only, with its host bridge at 00:00.0`);
      this.#all.push(fn);
      if (port) port.memory = this.ram;
    }
    for (const fn of this.#all) root.attach(fn);
    this.host = new HostBridge(root, { arena: own, flavour: 'qemu-7.2' });
    this.#arenas = [own, ...functions.map(({ arena }) => arena)];
  }

  /** A machine with devices as text or recipes, all on bus 0: `PcMachine.of(['nvme:queues=4'])`. */
  static of(devices: readonly (string | FunctionRecipe)[]): PcMachine {
    const recipes = devices.map((device) => (typeof device === 'string' ? parseDevice(device) : device));
    return new PcMachine({ functions: placeRecipes(recipes, true).map(hostFunction) });
  }

  /** Closes files that devices hold. */
  close(): void {
    for (const hosted of this.functions.values()) hosted.close();
  }

  /** Reads a port, 1, 2 or 4 bytes; all ones where nobody answers. */
  readPort(port: number, width: Width): number {
    if (isConfigPort(port, width)) return this.host.readPort(port, width);
    const read = (at: number, w: Width) => {
      if (isConfigPort(at, w)) return this.host.readPort(at, w);
      const target = this.host.root.route('io', at);
      return target ? target.function.readBar(target.bar, target.offset, w) : ones(w);
    };
    const value = readPieces(read, port, width, 'qemu-7.2').lo;
    this.#settle();
    return value;
  }

  writePort(port: number, width: Width, value: number): void {
    const write = (at: number, w: Width, v: number) => {
      if (isConfigPort(at, w)) this.host.writePort(at, w, v);
      else {
        const target = this.host.root.route('io', at);
        target?.function.writeBar(target.bar, target.offset, w, v);
      }
    };
    if (isConfigPort(port, width)) write(port, width, value);
    else writePieces(write, port, width, value, 0, 'qemu-7.2');
    this.#settle();
  }

  /** Bytes at a physical address, 0 where nothing decodes (as in QEMU: `softmmu/memory.c: unassigned_mem_read`). */
  readMemory(address: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    const inRam = this.ram.readBytes(address, length);
    out.set(inRam);
    for (let done = inRam.length; done < length; ) {
      const size = firstPiece(address + done, length - done, 'qemu-7.2');
      const value = this.#readDevice(address + done, size);
      for (let i = 0; i < size; i++) out[done + i] = value >>> (8 * i);
      done += size;
    }
    this.#settle();
    return out;
  }

  /** Writes go out in naturally aligned pieces of at most four bytes; those that nothing decodes vanish. */
  writeMemory(address: number, bytes: Uint8Array): void {
    this.ram.writeBytes(address, bytes);
    const { length } = bytes;
    for (let done = Math.max(0, Math.min(length, this.ram.sizeBytes - address)); done < length; ) {
      const size = firstPiece(address + done, length - done, 'qemu-7.2');
      let value = 0;
      for (let i = 0; i < size; i++) value |= bytes[done + i] << (8 * i);
      this.#writeDevice(address + done, size, value >>> 0);
      done += size;
    }
    this.#settle();
  }

  /** The device at `bdf` signals a vector. */
  raise(bdf: number, vector = 0): void {
    const hosted = this.functions.get(bdf);
    if (!hosted) throw new UsageError(`no function ${formatBdf(bdf)} in this machine`);
    hosted.fn.raise(vector);
    this.#settle();
  }

  /** Tells `listener` of messages and lines until the returned function is called. */
  listen(listener: (event: MachineEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Registers, address latch and RAM; not the contents of namespaces. */
  snapshot(): SessionSnapshot {
    return { functions: this.#arenas.map((arena) => arena.snapshot()), memory: this.ram.snapshot() };
  }

  restore(snapshot: SessionSnapshot): void {
    if (snapshot.functions.length !== this.#arenas.length || !snapshot.memory)
      throw new UsageError('the snapshot is of another machine');
    for (const [i, arena] of this.#arenas.entries()) arena.restore(snapshot.functions[i]);
    this.ram.restore(snapshot.memory);
  }

  #readDevice(address: number, width: Width): number {
    if (inEcam(address)) return this.host.readEcam(address - ECAM_BASE, width).lo;
    const target = this.host.root.route('memory', address);
    return target ? target.function.readBar(target.bar, target.offset, width) : 0;
  }

  #writeDevice(address: number, width: Width, value: number): void {
    if (inEcam(address)) this.host.writeEcam(address - ECAM_BASE, width, value);
    else {
      const target = this.host.root.route('memory', address);
      target?.function.writeBar(target.bar, target.offset, width, value);
    }
  }

  /** What devices did to the outside happens before the access completes. */
  #settle(): void {
    for (const fn of this.#all) {
      if (fn.effects.length === 0) continue;
      for (const effect of fn.effects.splice(0)) {
        if (effect.kind === 'message') this.#deliver(effect);
        else this.#moveLine(fn, effect.pin, effect.level);
      }
    }
  }

  /** A message is a memory write like any other; one to the local APIC is only told. */
  #deliver(message: Extract<Effect, { kind: 'message' }>): void {
    const { addressHi, addressLo, data } = message;
    const bytes = Uint8Array.of(data, data >>> 8, data >>> 16, data >>> 24);
    this.ram.writeBytes(addressHi * 0x1_0000_0000 + addressLo, bytes);
    this.#tell(message);
  }

  /** A line is up while any function wired to it asserts its pin. */
  #moveLine(fn: EmulatedFunction, pin: number, level: 0 | 1): void {
    const gsi = gsiOf(fn.bdf, pin);
    const isHeld = this.#all.some((other) => {
      const wired = other !== fn && gsiOf(other.bdf, other.config.bytes[0x3d]) === gsi;
      return wired && other.state[STATE.intxLevel] !== 0;
    });
    if (!isHeld) this.#tell({ kind: 'line', gsi, level });
  }

  #tell(event: MachineEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

function gsiOf(bdf: number, pin: number): number {
  return FIRST_GSI + (((bdf >> 3) + pin - 1) & 3);
}

function isConfigPort(port: number, width: number): boolean {
  return port >= CONFIG_PORTS && port + width <= CONFIG_PORTS_END;
}

function inEcam(address: number): boolean {
  return address >= ECAM_BASE && address < ECAM_BASE + ECAM_BYTES;
}

/** Q35's memory controller hub as seen by software: its IDs, and where the ECAM window is. */
function hostBridgeSpec() {
  const image = new Uint8Array(256);
  const view = new DataView(image.buffer);
  view.setUint32(0x00, 0x29c0_8086, true);
  view.setUint32(0x08, 0x0600_0000, true);
  view.setUint32(0x2c, 0x1100_1af4, true);
  view.setUint32(0x60, ECAM_BASE | 1, true);
  return { name: 'q35 host bridge', bdf: 0, image, bars: [] };
}
