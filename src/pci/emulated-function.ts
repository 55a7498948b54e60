import { Arena, ones, UsageError, type Width } from '../core/index.ts';
import { type MappedBar, mappedBar, ROM } from './bars.ts';
import { RootErrors } from './caps/aer-root.ts';
import { AF_LAYOUT } from './caps/af.ts';
import { PORT_TYPE } from './caps/capability.ts';
import { Msi } from './caps/msi.ts';
import { Msix } from './caps/msix.ts';
import { DEVICE_CAPS_FLR, PCIE } from './caps/pcie.ts';
import { Slot } from './caps/pcie-slot.ts';
import { ConfigSpace, overlaps } from './config-space.ts';
import type { DmaMemory, Effect, PciFunction, ResetKind } from './function.ts';
import { formatBdf } from './function.ts';
import {
  busMaster,
  type Downstream,
  type FunctionCore,
  intxDisableChanged,
  type OwnInterrupt,
  STATE,
  setIntx,
} from './function-core.ts';
import { BRIDGE_CONTROL_AT, BRIDGE_CONTROL_RESET, CMD, COMMAND_AT, STATUS_AT, STATUS_INTX } from './header.ts';
import { compileLayout, type Layout, type PlacedCapability } from './layout.ts';
import type { MessageSink } from './message-queue.ts';
import type { BarSpec, Flavour, FunctionSpec } from './spec.ts';
import { VectorTables } from './vector-table.ts';

/** What lies behind a BAR (0–5, 6 = ROM); the vector table and the PBA overlay it. Offsets from the BAR's base. */
export interface BarHandler {
  read(offset: number, width: Width): number;
  write(offset: number, width: Width, value: number): void;
  /** After the function's registers have been reset. */
  reset?(kind: ResetKind): void;
}

export interface FunctionOptions {
  /** Where all mutable state is taken from; a private arena of fitting size if not given. */
  arena?: Arena;
  /** Guest memory for the device's own accesses. */
  dma?: DmaMemory;
  /** Vector tables of many devices, among which this one's is placed; default one of its own. */
  vectorTables?: VectorTables;
  /** The spec's own layout, where it was compiled before: functions may share one. */
  layout?: Layout;
}

/** Write hooks of a dword; a register with side effects has one. */
const HOOK = {
  command: 1,
  bridgeControl: 2,
  msi: 4,
  msix: 8,
  deviceControl: 16,
  slot: 32,
  powerState: 64,
  rootErrors: 128,
  vpd: 256,
} as const;

/**
 * Bit 15 of the VPD address, in its high byte: turns over when the transfer that it asks for is complete, here at once
 * (PCI 3.0 appendix I). What is transferred no image holds: the data register keeps its value.
 */
const VPD_FLAG = 0x80;

/** D1_Support and D2_Support in the high byte of Power Management Capabilities, PM 1.2 §3.2.3. */
const PMC_D1 = 0x02;
const PMC_D2 = 0x04;

/** Makes a function from its image: masks from its capabilities, or measured ones when given. */
export function createFunction(spec: FunctionSpec, options: FunctionOptions = {}): EmulatedFunction {
  return new EmulatedFunction(spec, options);
}

/** One PCI function emulated at register level, in either flavour. */
export class EmulatedFunction implements PciFunction, FunctionCore {
  readonly bdf: number;
  readonly name: string;
  readonly flavour: Flavour;
  readonly configSize: number;
  readonly effects: Effect[] = [];
  /** Takes the messages instead of `effects`, without an object for each. */
  messages: MessageSink | undefined = undefined;
  readonly layout: Layout;
  readonly config: ConfigSpace;
  readonly state: Int32Array;
  readonly dma: DmaMemory | undefined;
  /** The MSI capability, if there is one; reading its properties has no side effects. Likewise the following. */
  readonly msi: Msi | undefined;
  readonly msix: Msix | undefined;
  readonly slot: Slot | undefined;
  readonly rootErrors: RootErrors | undefined;
  readonly #bars: (BarSpec | undefined)[] = [];
  readonly #handlers: (BarHandler | undefined)[] = [];
  /** Where the vector table is, as far as its BAR has room for it: an access inside needs no other check. −1: nowhere. */
  readonly #tableBar: number = -1;
  readonly #tableAt: number = 0;
  readonly #tableBytes: number = 0;
  /** Offsets of the bytes that a reset changes: a few dozen of up to 4096. */
  readonly #resettable: Int32Array;
  readonly #express: number;
  readonly #power: number;
  readonly #af: number;
  readonly #vpd: number;
  readonly #rootCommandAt: number = 0;
  #downstream: Downstream | undefined;

  constructor(spec: FunctionSpec, options: FunctionOptions) {
    this.bdf = spec.bdf;
    this.name = spec.name;
    this.flavour = spec.flavour ?? 'spec';
    this.dma = options.dma;
    if (spec.image.length < 64)
      throw new UsageError(`${spec.name}: an image of ${spec.image.length} bytes is no header`);
    const layout = options.layout ?? compileLayout(spec, this.flavour);
    this.layout = layout;
    this.configSize = layout.configSize;
    const arena = options.arena ?? new Arena(stateBytes(layout));
    const label = `${formatBdf(spec.bdf)} ${spec.name}`;
    this.config = new ConfigSpace(arena, layout.configSize, `${label}.config`);
    this.config.bytes.set(layout.image);
    this.config.writable.set(layout.writable);
    this.config.w1c.set(layout.w1c);
    this.state = arena.int32(STATE.words, `${label}.state`);
    this.state[STATE.intxAsserted] = layout.image[STATUS_AT] & STATUS_INTX ? 1 : 0;
    for (const bar of layout.bars) this.#bars[bar.bar] = bar;

    this.#resettable = Int32Array.from(layout.resetMask.keys()).filter((i) => layout.resetMask[i] !== 0);
    this.#express = this.#find(0x10)?.at ?? 0;
    this.#power = this.#find(0x01)?.at ?? 0;
    this.#af = this.#find(0x13)?.at ?? 0;
    this.#vpd = this.#find(0x03)?.at ?? 0;
    const msi = this.#find(0x05);
    if (msi) this.msi = new Msi(this, msi.at);
    const msix = this.#find(0x11);
    if (msix && msix.sizeBytes === 12) this.msix = new Msix(this, msix.at, arena, label, options.vectorTables);
    const tableBar = this.msix && this.#bars[this.msix.tableBar];
    if (this.msix && tableBar) {
      this.#tableBar = tableBar.bar;
      this.#tableAt = this.msix.tableOffset;
      this.#tableBytes = Math.min(this.msix.tableBytes, tableBar.sizeBytes - this.#tableAt);
    }
    const own = this.#ownInterrupt();
    if (this.#hasSlot()) this.slot = new Slot(this, this.#express, own);
    const aer = layout.capabilities.find((c) => c.extended && c.id === 0x0001);
    if (aer && layout.traits.portType === PORT_TYPE.rootPort && aer.sizeBytes >= 0x38) {
      this.#rootCommandAt = aer.at + 0x2c;
      this.rootErrors = new RootErrors(this, aer.at, this.#express, own, () => this.#errorVector());
    }
    this.#setHooks();
  }

  readConfig(offset: number, width: Width): number {
    if (offset < 0 || offset >= this.configSize) return ones(width);
    if (this.config.hooksOfRead(offset, width) !== 0) this.#beforeRead(offset, width);
    return this.config.get(offset, width);
  }

  writeConfig(offset: number, width: Width, value: number): void {
    if (offset < 0 || offset >= this.configSize) return;
    const hooks = this.config.hooksOfWrite(offset, width);
    if (hooks === 0) this.config.write(offset, width, value);
    else this.#writeHooked(hooks, offset, width, value);
  }

  readBar(bar: number, offset: number, width: Width): number {
    const at = offset - this.#tableAt;
    if (bar === this.#tableBar && at >= 0 && at + width <= this.#tableBytes) return this.msix!.readTable(at, width);
    return this.#readBarBeside(bar, offset, width);
  }

  writeBar(bar: number, offset: number, width: Width, value: number): void {
    const at = offset - this.#tableAt;
    if (bar === this.#tableBar && at >= 0 && at + width <= this.#tableBytes) this.msix!.writeTable(at, width, value);
    else this.#writeBarBeside(bar, offset, width, value);
  }

  raise(vector: number): void {
    if (this.msix?.enabled) this.msix.raise(vector);
    else if (this.msi?.enabled) this.msi.raise(vector);
    else setIntx(this, 1);
  }

  lower(): void {
    setIntx(this, 0);
  }

  reset(kind: ResetKind): void {
    setIntx(this, 0);
    if (this.state[STATE.intxLevel] !== 0)
      this.effects.push({ kind: 'intx', bdf: this.bdf, pin: this.config.bytes[0x3d], level: 0 });
    this.state.fill(0);
    const { bytes } = this.config;
    const { resetMask, resetValue, sticky, keptByFlr } = this.layout;
    for (const i of this.#resettable) {
      let mask = resetMask[i];
      if (this.flavour === 'spec' && kind !== 'conventional')
        mask &= ~(kind === 'flr' ? sticky[i] | keptByFlr[i] : sticky[i]);
      bytes[i] = (bytes[i] & ~mask) | (resetValue[i] & mask);
    }
    this.msi?.reset();
    this.msix?.reset();
    this.slot?.reset();
    for (const handler of this.#handlers) handler?.reset?.(kind);
  }

  /** Puts a device's logic behind a BAR. */
  setBarHandler(bar: number, handler: BarHandler): void {
    if (!this.#bars[bar]) throw new UsageError(`${this.name} has no ${bar === ROM ? 'ROM' : `BAR ${bar}`}`);
    this.#handlers[bar] = handler;
  }

  /** Tells a bridge what is behind it. */
  connect(downstream: Downstream): void {
    this.#downstream = downstream;
    this.slot?.connect(downstream);
  }

  /** In D0. In the qemu-7.2 flavour the power state changes nothing (deviation 10). */
  get isAwake(): boolean {
    return this.flavour !== 'spec' || this.#power === 0 || (this.config.bytes[this.#power + 4] & 3) === 0;
  }

  /** True while the function may access memory. */
  get busMaster(): boolean {
    return busMaster(this);
  }

  /** True while the device asserts INTx, whether or not the disable bit lets it through. */
  get intxAsserted(): boolean {
    return this.state[STATE.intxAsserted] !== 0;
  }

  /** Where a BAR decodes now; undefined while it does not, or if there is none. Outside D0 nothing decodes (PCIe 5.0 §5.3.1). */
  mappedBar(bar: number): MappedBar | undefined {
    const spec = this.#bars[bar];
    if (!spec || !this.isAwake) return undefined;
    return mappedBar(this.config, spec, this.layout.traits.headerType);
  }

  /** Side-effect-free view of configuration space, for dumps and checks. */
  getConfig(offset: number, width: Width): number {
    return this.config.get(offset, width);
  }

  #find(id: number): PlacedCapability | undefined {
    return this.layout.capabilities.find((c) => !c.extended && c.id === id);
  }

  #hasSlot(): boolean {
    const { portType } = this.layout.traits;
    const port = portType === PORT_TYPE.rootPort || portType === PORT_TYPE.downstream;
    return port && (this.config.get(this.#express + PCIE.flags, 2) & 0x100) !== 0;
  }

  /* What is not inside the vector table: apart, so that what is stays short enough to be inlined. */

  #readBarBeside(bar: number, offset: number, width: Width): number {
    const spec = this.#bars[bar];
    if (!spec || offset < 0 || offset + width > spec.sizeBytes) return ones(width);
    const { msix } = this;
    if (msix && bar === msix.tableBar && inWindow(offset, msix.tableOffset, msix.tableBytes))
      return msix.readTable(offset - msix.tableOffset, width);
    if (msix && bar === msix.pbaBar && inWindow(offset, msix.pbaOffset, msix.pbaBytes))
      return msix.readPba(offset - msix.pbaOffset, width);
    return this.#handlers[bar]?.read(offset, width) ?? 0;
  }

  #writeBarBeside(bar: number, offset: number, width: Width, value: number): void {
    const spec = this.#bars[bar];
    if (!spec || offset < 0 || offset + width > spec.sizeBytes) return;
    const { msix } = this;
    if (msix && bar === msix.tableBar && inWindow(offset, msix.tableOffset, msix.tableBytes))
      msix.writeTable(offset - msix.tableOffset, width, value);
    else if (msix && bar === msix.pbaBar && inWindow(offset, msix.pbaOffset, msix.pbaBytes)) return;
    else this.#handlers[bar]?.write(offset, width, value);
  }

  #setHooks(): void {
    const { config } = this;
    const hook = (at: number, size: number, flag: number) => config.hook(config.writeHooks, at, size, flag);
    hook(COMMAND_AT, 2, HOOK.command);
    if (this.layout.traits.headerType === 1) hook(BRIDGE_CONTROL_AT, 1, HOOK.bridgeControl);
    if (this.msi) hook(this.msi.at, this.msi.sizeBytes, HOOK.msi);
    if (this.msix) hook(this.msix.at + 3, 1, HOOK.msix);
    if (this.#express) hook(this.#express + PCIE.deviceControl + 1, 1, HOOK.deviceControl);
    if (this.#af) hook(this.#af + AF_LAYOUT.control, 1, HOOK.deviceControl);
    if (this.#vpd && this.flavour === 'spec') hook(this.#vpd + 3, 1, HOOK.vpd);
    if (this.slot) hook(this.#express + PCIE.slotControl, 4, HOOK.slot);
    if (this.#power && this.flavour === 'spec') hook(this.#power + 4, 1, HOOK.powerState);
    if (this.rootErrors) hook(0, this.configSize, HOOK.rootErrors);
    const { portType } = this.layout.traits;
    if (portType === PORT_TYPE.rootPort || portType === PORT_TYPE.downstream)
      config.hook(config.readHooks, this.#express + PCIE.linkStatus, 2, 1);
  }

  /** Stores the write, then runs the hooks of what it touched, in the order of `hw/pci/pci.c: pci_default_write_config`. */
  #writeHooked(hooks: number, offset: number, width: Width, value: number): void {
    const { config } = this;
    const command = config.get(COMMAND_AT, 2);
    const msixControl = this.msix ? this.msix.control : 0;
    const bridgeControl = config.bytes[BRIDGE_CONTROL_AT];
    const powerState = this.#power ? config.bytes[this.#power + 4] : 0;
    const slot = this.slot ? config.get(this.#express + PCIE.slotControl, 4) : 0;
    const rootCommand = this.rootErrors ? config.get(this.#rootCommandAt, 4) : 0;
    config.write(offset, width, value);
    if (hooks & HOOK.command) this.#commandWritten(offset, command);
    if (hooks & HOOK.msi) this.msi!.written(offset, width);
    if (hooks & HOOK.msix) this.msix!.written(offset, width, msixControl);
    if (hooks & HOOK.bridgeControl) this.#bridgeControlWritten(bridgeControl);
    if (hooks & HOOK.vpd && overlaps(offset, width, this.#vpd + 3, 1)) config.bytes[this.#vpd + 3] ^= VPD_FLAG;
    if (hooks & HOOK.powerState) this.#powerStateWritten(powerState);
    if (hooks & HOOK.rootErrors) this.rootErrors!.updateVector();
    if (hooks & HOOK.deviceControl) this.#deviceControlWritten(offset, width, value);
    if (hooks & HOOK.slot) this.slot!.written(offset, width, value, slot);
    if (hooks & HOOK.rootErrors) this.rootErrors!.written(rootCommand);
  }

  #commandWritten(offset: number, before: number): void {
    if (!((this.config.get(COMMAND_AT, 2) ^ before) & CMD.intxDisable)) return;
    // Deviation: QEMU 7.2 looks at INTx Disable only when byte 0x04 is written (`pci.c: pci_default_write_config`)
    if (this.flavour === 'spec' || offset <= COMMAND_AT) intxDisableChanged(this);
  }

  #bridgeControlWritten(before: number): void {
    const now = this.config.bytes[BRIDGE_CONTROL_AT];
    if (now & ~before & BRIDGE_CONTROL_RESET) this.#downstream?.reset('hot');
  }

  /**
   * A state that the function does not have (D1 and D2 are optional) is not entered, PM 1.2 §3.2.4. D3hot to D0 without
   * No_Soft_Reset resets the function, §5.4.1; PCIe 5.0 §7.5.2.2 leaves its state undefined.
   */
  #powerStateWritten(before: number): void {
    const { bytes } = this.config;
    const now = bytes[this.#power + 4];
    const state = now & 3;
    const needs = state === 1 ? PMC_D1 : state === 2 ? PMC_D2 : 0;
    if (needs && !(bytes[this.#power + 3] & needs)) {
      bytes[this.#power + 4] = (now & ~3) | (before & 3);
      return;
    }
    if ((before & 3) === 3 && (now & 3) === 0 && !(now & 8)) this.reset('hot');
  }

  /** Initiate Function Level Reset in Device Control (PCIe 5.0 §7.5.3.4) or AF Control: acts when written 1, reads 0. */
  #deviceControlWritten(offset: number, width: number, value: number): void {
    const wrote = (at: number, bit: number) =>
      overlaps(offset, width, at, 1) && ((value >>> (8 * (at - offset))) & bit) !== 0;
    const caps = this.#express ? this.config.get(this.#express + PCIE.deviceCaps, 4) : 0;
    const express = caps & DEVICE_CAPS_FLR && wrote(this.#express + PCIE.deviceControl + 1, 0x80);
    const af =
      this.#af !== 0 &&
      this.flavour === 'spec' &&
      (this.config.bytes[this.#af + AF_LAYOUT.caps] & AF_LAYOUT.flrCapable) !== 0 &&
      wrote(this.#af + AF_LAYOUT.control, AF_LAYOUT.initiateFlr);
    if (express || af) this.reset('flr');
  }

  /**
   * A port's Link Status is its partner's, or without one what it could be (`pcie.c: pcie_sync_bridge_lnk`). A port
   * that stands alone, its bus unknown, keeps what its image says.
   */
  #beforeRead(offset: number, width: number): void {
    const at = this.#express + PCIE.linkStatus;
    if (!overlaps(offset, width, at, 2) || this.flavour === 'spec' || !this.#downstream) return;
    const caps = this.config.get(this.#express + PCIE.linkCaps, 2);
    this.config.update(at, 2, 0x3ff, trainedLink(caps, this.#downstream.linkStatus()));
  }

  /** Vectors for a port's own events. */
  #ownInterrupt(): OwnInterrupt {
    const owner = this;
    return {
      get messages() {
        return (owner.msix?.enabled || owner.msi?.enabled) ?? false;
      },
      send(vector) {
        if (owner.msix?.enabled) owner.msix.raise(vector);
        else owner.msi?.raise(vector);
      },
    };
  }

  /**
   * Number of the message that reports errors. A port with one vector has 0; QEMU's ioh3420 uses the second of two
   * (`hw/pci-bridge/ioh3420.c: ioh3420_aer_vector`), as a port with several does here in both flavours.
   */
  #errorVector(): number {
    return this.msi && this.msi.allocated > 1 ? 1 : 0;
  }
}

/** Upper bound of what a function takes from its arena: registers, a few words, table, pending and used bits. */
function stateBytes(layout: Layout): number {
  const msix = layout.capabilities.find((c) => !c.extended && c.id === 0x11);
  const vectors = msix ? (layout.image[msix.at + 2] | ((layout.image[msix.at + 3] & 7) << 8)) + 1 : 0;
  return layout.configSize + 64 + VectorTables.bytes(1, vectors) + 8 * Math.ceil(vectors / 64);
}

function inWindow(offset: number, at: number, sizeBytes: number): boolean {
  return offset >= at && offset < at + sizeBytes;
}

/** Speed and width: the partner's, if any, no more than the port's own; the least where that leaves 0. */
function trainedLink(caps: number, partner: number | undefined): number {
  const trained = (mask: number, least: number) => {
    const own = caps & mask;
    const value = (partner ?? caps) & mask;
    return Math.min(value, own) || least;
  };
  return trained(0x00f, 0x001) | trained(0x3f0, 0x010);
}
