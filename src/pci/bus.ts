import { readLe } from '../core/index.ts';
import type { MappedBar } from './bars.ts';
import { PORT_TYPE } from './caps/capability.ts';
import { PCIE } from './caps/pcie.ts';
import type { EmulatedFunction } from './emulated-function.ts';
import type { PciFunction, ResetKind } from './function.ts';
import { CMD, COMMAND_AT } from './header.ts';

/** Where an address ends up. */
export interface Target {
  readonly function: EmulatedFunction;
  readonly bar: number;
  readonly offset: number;
}

/**
 * One bus: functions by device and function number, and behind those that are bridges another bus each. The numbers by
 * which software finds a bus are in the bridges' registers, not here. The tree is a machine's shape, fixed once built.
 */
export class PciBus {
  /** True if extended configuration space passes: PCI Express all the way from the root. */
  readonly extended: boolean;
  readonly #functions = new Map<number, EmulatedFunction>();
  /** The same by index: every configuration access looks here. */
  readonly #slots: (EmulatedFunction | undefined)[] = new Array(256).fill(undefined);
  readonly #below = new Map<EmulatedFunction, PciBus>();

  constructor(extended = true) {
    this.extended = extended;
  }

  /** Functions on this bus by device << 3 | function, in the order they were attached. */
  get functions(): ReadonlyMap<number, EmulatedFunction> {
    return this.#functions;
  }

  /** Puts a function at the device and function number of its `bdf`; a bridge comes with a bus below it. */
  attach(fn: EmulatedFunction): void {
    this.#functions.set(fn.bdf & 0xff, fn);
    this.#slots[fn.bdf & 0xff] = fn;
    if (fn.layout.traits.headerType !== 1) return;
    const below = new PciBus(this.extended && carriesExtended(fn));
    this.#below.set(fn, below);
    fn.connect({
      populated: () => below.#functions.has(0),
      linkStatus: () => linkStatus(below.#functions.get(0)),
      reset: (kind) => below.reset(kind),
    });
  }

  /** The function at device << 3 | function; undefined if there is none. */
  at(devfn: number): EmulatedFunction | undefined {
    return this.#slots[devfn];
  }

  /** The bus behind a bridge of this bus, undefined if `bridge` is none. */
  below(bridge: PciFunction): PciBus | undefined {
    return this.#below.get(bridge as EmulatedFunction);
  }

  /** Resets every function here and below. */
  reset(kind: ResetKind): void {
    for (const fn of this.#functions.values()) {
      fn.reset(kind);
      this.#below.get(fn)?.reset(kind);
    }
  }

  /**
   * The bus that has `number` now, as the bridges' secondary and subordinate numbers say (PCI-to-PCI Bridge 1.2
   * §3.1.2.2); for a root, 0 is its own. A bridge whose slot is without power passes nothing.
   */
  find(number: number): PciBus | undefined {
    if (number === 0) return this;
    return this.#findBelow(number);
  }

  #findBelow(number: number): PciBus | undefined {
    for (const [bridge, bus] of this.#below) {
      const secondary = bridge.config.bytes[0x19];
      if (secondary === 0 || number < secondary || number > bridge.config.bytes[0x1a]) continue;
      if (bridge.slot && !bridge.slot.powered) return undefined;
      return number === secondary ? bus : bus.#findBelow(number);
    }
    return undefined;
  }

  /** The function and BAR that decode an address, through whichever bridges forward it. */
  route(space: 'memory' | 'io', address: number): Target | undefined {
    for (const fn of this.#functions.values()) {
      for (let bar = 0; bar <= 6; bar++) {
        const mapped: MappedBar | undefined = fn.mappedBar(bar);
        if (mapped?.space !== space || address < mapped.base || address >= mapped.base + mapped.sizeBytes) continue;
        return { function: fn, bar, offset: address - mapped.base };
      }
    }
    for (const [bridge, bus] of this.#below) {
      if (!forwards(bridge, space, address) || (bridge.slot && !bridge.slot.powered)) continue;
      const found = bus.route(space, address);
      if (found) return found;
    }
    return undefined;
  }
}

/** True if a bridge's secondary side is PCI Express, or a bridge into it. */
function carriesExtended(bridge: EmulatedFunction): boolean {
  const { rootPort, upstream, downstream, pciToPcie } = PORT_TYPE;
  return [rootPort, upstream, downstream, pciToPcie].includes(bridge.layout.traits.portType as 4);
}

function linkStatus(fn: EmulatedFunction | undefined): number | undefined {
  const express = fn?.layout.capabilities.find((c) => !c.extended && c.id === 0x10);
  return fn && express ? fn.config.get(express.at + PCIE.linkStatus, 2) : undefined;
}

/** True if the bridge's windows take an address to its secondary bus. PCI-to-PCI Bridge 1.2 §4. */
function forwards(bridge: EmulatedFunction, space: 'memory' | 'io', address: number): boolean {
  const { bytes } = bridge.config;
  const half = (at: number) => readLe(bytes, at, 2);
  const inside = (base: number, limit: number) => address >= base && address <= limit;
  if (space === 'io') {
    if (!(bytes[COMMAND_AT] & CMD.io)) return false;
    const wide = (bytes[0x1c] & 15) === 1;
    const base = ((bytes[0x1c] & 0xf0) << 8) + (wide ? half(0x30) * 0x1_0000 : 0);
    const limit = ((bytes[0x1d] & 0xf0) << 8) + 0xfff + (wide ? half(0x32) * 0x1_0000 : 0);
    return inside(base, limit);
  }
  if (!(bytes[COMMAND_AT] & CMD.memory)) return false;
  const low = (at: number) => (half(at) & 0xfff0) * 0x1_0000;
  if (inside(low(0x20), low(0x22) + 0xf_ffff)) return true;
  const wide = (bytes[0x24] & 15) === 1;
  const upper = (at: number) => (wide ? readLe(bytes, at, 4) * 0x1_0000_0000 : 0);
  const unused = half(0x24) === 0 && half(0x26) === 0 && !wide;
  return !unused && inside(low(0x24) + upper(0x28), low(0x26) + 0xf_ffff + upper(0x2c));
}
