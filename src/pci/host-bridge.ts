import { Arena, ones, type Width } from '../core/index.ts';
import { readPieces, writePieces } from './access-split.ts';
import type { PciBus } from './bus.ts';
import type { EmulatedFunction } from './emulated-function.ts';
import type { Flavour } from './spec.ts';

// V8 loads an exported constant each time it is used, and takes one that is not as a number: 2 ns of a pair's 7.
const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;

/** The ports of configuration mechanism #1, PCI Local Bus 3.0 §3.2.2.3.2. */
export const CONFIG_ADDRESS = ADDRESS_PORT;
export const CONFIG_DATA = DATA_PORT;

export interface HostBridgeOptions {
  arena?: Arena;
  flavour?: Flavour;
}

/** How a CPU reaches functions: ports 0xCF8 to 0xCFF, the ECAM window, and memory and I/O addresses. */
export class HostBridge {
  readonly root: PciBus;
  readonly #flavour: Flavour;
  /** One word: what was last written to 0xCF8. */
  readonly #latch: Int32Array;

  constructor(root: PciBus, options: HostBridgeOptions = {}) {
    this.root = root;
    this.#flavour = options.flavour ?? 'spec';
    this.#latch = (options.arena ?? new Arena(64)).int32(1, 'host bridge.latch');
  }

  /** The function that answers at bus, device << 3 | function now; undefined if none. */
  find(bus: number, devfn: number): { function: EmulatedFunction; configSize: number } | undefined {
    const found = this.root.find(bus);
    const fn = found?.at(devfn);
    return fn && found ? { function: fn, configSize: found.extended ? fn.configSize : 256 } : undefined;
  }

  /** Configuration read as it arrives at bus, devfn: all ones from nobody and beyond the function's space. */
  readConfig(bus: number, devfn: number, offset: number, width: Width): number {
    const found = this.root.find(bus);
    const fn = found?.at(devfn);
    if (!found || !fn) return ones(width);
    return readWithin(fn, offset, width, found.extended ? fn.configSize : 256);
  }

  writeConfig(bus: number, devfn: number, offset: number, width: Width, value: number): void {
    const found = this.find(bus, devfn);
    if (!found || offset >= found.configSize) return;
    writeWithin(found.function, offset, width, value, found.configSize);
  }

  /** ECAM, PCIe 5.0 §7.2.2: `address` from the window's base, bus in 27:20, devfn in 19:12. Width up to 8. */
  readEcam(address: number, width: number): { lo: number; hi: number } {
    return isOnePiece(address, width)
      ? { lo: this.#readAt(address, width), hi: 0 }
      : this.#readAtPieces(address, width);
  }

  writeEcam(address: number, width: number, lo: number, hi = 0): void {
    const write = (at: number, w: Width, value: number) =>
      this.writeConfig((at >>> 20) & 0xff, (at >> 12) & 0xff, at & 0xfff, w, value);
    writePieces(write, address, width, lo, hi, this.#flavour);
  }

  /** Reads one of the ports 0xCF8 to 0xCFF; width 1, 2 or 4, inside the dword. */
  readPort(port: number, width: Width): number {
    if (port < DATA_PORT) return this.#readLatch(port, width);
    return isOnePiece(port, width) ? this.#readData(port, width) : this.#readDataPieces(port, width);
  }

  writePort(port: number, width: Width, value: number): void {
    if (port >= DATA_PORT) this.#writeDataPieces(port, width, value);
    else if (port === ADDRESS_PORT && width === 4)
      // Deviation: QEMU 7.2 keeps the reserved bits 30:24 and 1:0, which read 0 by §3.2.2.3.2
      this.#latch[0] = this.#flavour === 'qemu-7.2' ? value : value & 0x80ff_fffc;
  }

  /** Resets every function, as power-on or PERST# does, and the address latch. */
  reset(): void {
    this.#latch[0] = 0;
    this.root.reset('conventional');
  }

  /** Memory by physical address; all ones where nothing decodes. */
  readMemory(address: number, width: Width): number {
    const target = this.root.route('memory', address);
    return target ? target.function.readBar(target.bar, target.offset, width) : ones(width);
  }

  writeMemory(address: number, width: Width, value: number): void {
    const target = this.root.route('memory', address);
    target?.function.writeBar(target.bar, target.offset, width, value);
  }

  #readLatch(port: number, width: Width): number {
    // Deviation: QEMU 7.2 gives the latch's low bytes at every port and width (`hw/pci/pci_host.c:
    // pci_host_config_read`); the spec has narrower accesses pass by, to nobody (§3.2.2.3.2)
    if (this.#flavour === 'qemu-7.2') return (this.#latch[0] & ones(width)) >>> 0;
    return port === ADDRESS_PORT && width === 4 ? this.#latch[0] >>> 0 : ones(width);
  }

  #readAt(address: number, width: Width): number {
    return this.readConfig((address >>> 20) & 0xff, (address >> 12) & 0xff, address & 0xfff, width);
  }

  /* What is split is apart: a method that makes a closure allocates its scope on each call, also if it does not get there. */

  #readAtPieces(address: number, width: number): { lo: number; hi: number } {
    return readPieces((at, w) => this.#readAt(at, w), address, width, this.#flavour);
  }

  #readDataPieces(port: number, width: Width): number {
    return readPieces((at, w) => this.#readData(at, w), port, width, this.#flavour).lo;
  }

  #writeDataPieces(port: number, width: Width, value: number): void {
    writePieces((at, w, v) => this.#writeData(at, w, v), port, width, value, 0, this.#flavour);
  }

  #readData(port: number, width: Width): number {
    const latch = this.#latch[0];
    const fn = this.#selected(latch);
    return fn ? readWithin(fn, register(latch, port), width, 256) : ones(width);
  }

  #writeData(port: number, width: Width, value: number): void {
    const latch = this.#latch[0];
    const fn = this.#selected(latch);
    if (fn) writeWithin(fn, register(latch, port), width, value, 256);
  }

  /** The function that the latch names, if it is enabled and there is one. */
  #selected(latch: number): EmulatedFunction | undefined {
    return latch < 0 ? this.root.find((latch >>> 16) & 0xff)?.at((latch >>> 8) & 0xff) : undefined;
  }
}

/** The register of the data port: QEMU 7.2 joins latch and port with OR, the latch's low two bits included. */
function register(latch: number, port: number): number {
  return (latch & 0xff) | (port & 3);
}

/** True for what no flavour splits: naturally aligned, up to 4 bytes. The rest goes the long way. */
function isOnePiece(at: number, width: number): width is Width {
  return (at & (width - 1)) === 0 && width <= 4 && width !== 3;
}

/** An access that runs past the end has its bytes up to there; the missing ones read 0. One beyond it is nobody's. */
function readWithin(fn: EmulatedFunction, offset: number, width: Width, limit: number): number {
  if (offset + width <= limit) return fn.readConfig(offset, width);
  if (offset >= limit) return ones(width);
  return (fn.readConfig(offset, width) & ((1 << (8 * (limit - offset))) - 1)) >>> 0;
}

function writeWithin(fn: EmulatedFunction, offset: number, width: Width, value: number, limit: number): void {
  if (offset + width <= limit) fn.writeConfig(offset, width, value);
  else if (limit - offset >= 2) {
    fn.writeConfig(offset, 2, value & 0xffff);
    if (limit - offset === 3) fn.writeConfig(offset + 2, 1, (value >>> 16) & 0xff);
  } else fn.writeConfig(offset, 1, value & 0xff);
}
