import { type Register, readLe, whole } from '../core/index.ts';
import { barAt, barRegisters, barsFromMasks, barTypeBits, barWritable, inferBars, ROM } from './bars.ts';
import type { CapabilityView, FunctionTraits, QemuRule } from './caps/capability.ts';
import { conventionalCapabilities, extendedCapabilities, type FoundCapability } from './caps/index.ts';
import { isVirtioCapability } from './caps/virtio.ts';
import { headerQemu, headerRegisters } from './header.ts';
import type { BarSpec, Flavour, FunctionSpec, MeasuredMasks } from './spec.ts';

/** A register of this function at its place. */
export interface PlacedRegister {
  readonly register: Register;
  /** Offset in configuration space. */
  readonly at: number;
}

export interface PlacedCapability extends FoundCapability {
  readonly sizeBytes: number;
}

/** All that follows from a {@link FunctionSpec}, compiled once: registers, masks and what a reset does to each bit. */
export interface Layout {
  readonly traits: FunctionTraits;
  readonly configSize: number;
  /** The image, padded to `configSize`. */
  readonly image: Uint8Array;
  readonly bars: readonly BarSpec[];
  readonly capabilities: readonly PlacedCapability[];
  /** By offset. */
  readonly registers: readonly PlacedRegister[];
  readonly writable: Uint8Array;
  readonly w1c: Uint8Array;
  /** Bits that a reset changes, and to what. */
  readonly resetMask: Uint8Array;
  readonly resetValue: Uint8Array;
  /** Bits exempt from hot reset and FLR, and those exempt from FLR alone. */
  readonly sticky: Uint8Array;
  readonly keptByFlr: Uint8Array;
}

function traitsOf(image: Uint8Array, found: readonly FoundCapability[]): FunctionTraits {
  const express = found.find((c) => !c.extended && c.id === 0x10);
  return {
    headerType: image[0x0e] & 0x7f,
    portType: express ? (image[express.at + 2] >> 4) & 15 : -1,
    expressAt: express?.at ?? 0,
    virtio: found.some((c) => !c.extended && isVirtioCapability(image, c.at)),
  };
}

/** Bytes of each BAR that the vector table and the PBA need. */
function barNeeds(image: Uint8Array, found: readonly FoundCapability[]): Map<number, number> {
  const needs = new Map<number, number>();
  for (const { id, at, extended } of found) {
    if (extended || id !== 0x11 || at + 12 > image.length) continue;
    const count = (readLe(image, at + 2, 2) & 0x7ff) + 1;
    for (const [where, size] of [
      [at + 4, 16 * count],
      [at + 8, 8 * Math.ceil(count / 64)],
    ]) {
      const word = readLe(image, where, 4);
      needs.set(word & 7, Math.max(needs.get(word & 7) ?? 0, (word & ~7) + size));
    }
  }
  return needs;
}

/** The BARs of a function without measured sizes, guessed from its image. See {@link inferBars}. */
export function guessBars(image: Uint8Array): BarSpec[] {
  return inferBars(image, barNeeds(image, conventionalCapabilities(image)));
}

class MaskBuilder {
  readonly writable: Uint8Array;
  readonly w1c: Uint8Array;
  readonly resetMask: Uint8Array;
  readonly resetValue: Uint8Array;
  readonly sticky: Uint8Array;
  readonly keptByFlr: Uint8Array;
  /** Bits that reset clears if they can be written, known once measured masks are in. */
  readonly #resetWritable: Uint8Array;

  constructor(size: number) {
    const bytes = () => new Uint8Array(size);
    [this.writable, this.w1c, this.resetMask, this.resetValue] = [bytes(), bytes(), bytes(), bytes()];
    [this.sticky, this.keptByFlr, this.#resetWritable] = [bytes(), bytes(), bytes()];
  }

  put(into: Uint8Array, at: number, width: number, value: number): void {
    for (let i = 0; i < width && at + i < into.length; i++) into[at + i] = value >>> (8 * i);
  }

  spec(register: Register, at: number): void {
    this.put(this.writable, at, register.width, register.writable);
    this.put(this.w1c, at, register.width, register.w1c);
    this.put(this.resetMask, at, register.width, register.resettable);
    this.put(this.resetValue, at, register.width, register.reset);
    this.put(this.sticky, at, register.width, register.sticky);
    this.put(this.keptByFlr, at, register.width, register.keptByFlr);
  }

  qemu(register: Register, at: number, rule: QemuRule): void {
    this.put(this.writable, at, register.width, rule.writable ?? 0);
    this.put(this.w1c, at, register.width, rule.w1c ?? 0);
    const into = rule.reset === 'writable' ? this.#resetWritable : this.resetMask;
    this.put(into, at, register.width, rule.reset === 'writable' ? -1 : (rule.reset ?? 0));
    this.put(this.resetValue, at, register.width, rule.to ?? 0);
  }

  bar(bar: BarSpec, headerType: number): void {
    const at = barAt(bar.bar, headerType);
    if (at < 0) return;
    const [low, high] = barWritable(bar);
    this.put(this.writable, at, 4, low);
    this.put(this.resetMask, at, 4, -1);
    this.put(this.resetValue, at, 4, barTypeBits(bar));
    if (bar.kind !== 'mem64') return;
    this.put(this.writable, at + 4, 4, high);
    this.put(this.resetMask, at + 4, 4, -1);
  }

  /** Takes measured masks in place of the inferred ones. */
  measured(masks: MeasuredMasks): void {
    this.writable.set(masks.writable.subarray(0, this.writable.length));
    if (masks.w1c) this.w1c.set(masks.w1c.subarray(0, this.w1c.length));
  }

  finish(): void {
    for (let i = 0; i < this.writable.length; i++) {
      this.w1c[i] &= ~this.writable[i];
      this.resetMask[i] |= this.#resetWritable[i] & (this.writable[i] | this.w1c[i]);
    }
  }
}

/** Compiles a function. The flavour decides what each register's bits do where nothing was measured. */
export function compileLayout(
  spec: Omit<FunctionSpec, 'name' | 'bdf'> & Partial<FunctionSpec>,
  flavour: Flavour,
): Layout {
  const configSize = spec.image.length > 256 ? 4096 : 256;
  const image = new Uint8Array(configSize);
  image.set(spec.image.subarray(0, configSize));
  const found = [...conventionalCapabilities(image), ...extendedCapabilities(image)];
  const traits = traitsOf(image, found);
  const builder = new MaskBuilder(configSize);
  const registers: PlacedRegister[] = [];
  const qemu = flavour === 'qemu-7.2';
  // Deviation: bytes from 0x40 up that no capability claims are plain memory, `hw/pci/pci.c: pci_init_wmask`
  if (qemu) builder.writable.fill(0xff, 0x40);

  const place = (list: readonly Register[], base: number, rules: Readonly<Record<string, QemuRule>>) => {
    for (const register of list) {
      const at = base + register.offset;
      registers.push({ register, at });
      if (qemu) builder.qemu(register, at, rules[register.name] ?? {});
      else builder.spec(register, at);
    }
  };
  place(headerRegisters(image, traits), 0, headerQemu(traits));

  const capabilities: PlacedCapability[] = [];
  for (const capability of found) {
    const view: CapabilityView = { image, at: capability.at, function: traits };
    const sizeBytes = Math.min(capability.definition.sizeBytes(view), configSize - capability.at);
    capabilities.push({ ...capability, sizeBytes });
    if (qemu) builder.writable.fill(0, capability.at, capability.at + sizeBytes);
    const fitting = capability.definition.registers(view).filter((r) => r.offset + r.width <= sizeBytes);
    place(fitting, capability.at, capability.definition.qemu?.(view) ?? {});
  }
  // Deviation: an express function keeps its empty extended list empty, `hw/pci/pcie.c: pcie_cap_init`
  const express = capabilities.find((c) => !c.extended && c.id === 0x10);
  if (qemu && express && (image[express.at + 2] & 15) >= 2) builder.writable.fill(0, 0x100, 0x104);

  const bars = spec.masks && spec.bars.length === 0 ? barsFromMasks(image, spec.masks.writable) : spec.bars;
  for (const bar of bars) {
    registers.push(...barRegisters(bar, traits.headerType).map((register) => ({ register, at: register.offset })));
    builder.bar(bar, traits.headerType);
  }
  for (let bar = 0; bar <= ROM; bar++) {
    const at = barAt(bar, traits.headerType);
    const name = bar === ROM ? 'rom' : `bar${bar}`;
    if (at >= 0 && !registers.some((r) => r.at === at)) registers.push({ register: whole(name, at, 4, 'ro'), at });
  }
  if (spec.masks) builder.measured(spec.masks);
  builder.finish();
  registers.sort((a, b) => a.at - b.at);
  const { writable, w1c, resetMask, resetValue, sticky, keptByFlr } = builder;
  return {
    traits,
    configSize,
    image,
    bars,
    capabilities,
    registers,
    writable,
    w1c,
    resetMask,
    resetValue,
    sticky,
    keptByFlr,
  };
}
