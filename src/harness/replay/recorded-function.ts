import { fromHex, hex, readLe, storeHex, UsageError } from '../../core/index.ts';
import { explainConfigDifference, registersAt } from '../../pci/explain.ts';
import {
  barsFromMasks,
  createFunction,
  type EmulatedFunction,
  formatBdf,
  guessBars,
  type Layout,
} from '../../pci/index.ts';
import type { ReplayOptions } from './result.ts';
import type { Tally } from './tally.ts';

/** One function's entry of a probe file, see the recordings' README: hex masks and images, `nonpure` bits. */
interface ProbedFunction {
  bdf: string;
  init: string;
  rw: string;
  nonpure?: [number, number, string][];
}

/** Bits that a comparison leaves out, with the reason that the probe gives. */
interface Exclusion {
  readonly at: number;
  readonly mask: number;
  readonly reason: string;
}

/**
 * Registers whose `nonpure` bits follow rules that the model has; all other bits named by a probe are left out of
 * comparisons. docs/replay.md says which and why.
 */
const EXPLAINED =
  /^(status|pcie\.(slotControl|slotStatus|linkStatus|deviceControl)|aer\.rootStatus|msi\.(ctrl|mask|pending))$/;

/** True if the model has the rule of a byte: of its register, or as a reserved byte of a capability it knows. */
function isExplained(layout: Layout, at: number): boolean {
  const registers = registersAt(layout, at, 1);
  if (registers.length > 0) return registers.some(({ register }) => EXPLAINED.test(register.name));
  return layout.capabilities.some(
    (c) => layout.registers.some((r) => r.at === c.at + 4) && at >= c.at && at < c.at + c.sizeBytes,
  );
}

/** `00:04.0` as bus << 8 | device << 3 | function. */
export function parseBdf(text: string): number {
  const parts = /^([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])$/i.exec(text);
  if (!parts) throw new UsageError(`"${text}" is no bus:device.function`);
  return (Number.parseInt(parts[1], 16) << 8) | (Number.parseInt(parts[2], 16) << 3) | Number(parts[3]);
}

/** A function of a recording: the model of it, what the recording says of it, and how the two are compared. */
export class RecordedFunction {
  readonly model: EmulatedFunction;
  /** Configuration space as of the last snapshot. */
  readonly image: Uint8Array;
  readonly #words: Int32Array;
  readonly #exclusions: readonly Exclusion[];
  /** By offset: mask of bits left out. */
  readonly #ignored: Uint8Array;
  readonly #windowAt: number;

  /** @param image complete initial configuration space @param probe the measured function of the same layout, if any */
  constructor(name: string, bdf: number, image: Uint8Array, probe: ProbedFunction | undefined) {
    this.image = image;
    this.#words = new Int32Array(image.buffer, image.byteOffset, image.length >> 2);
    const masks = probe && { writable: fromHex(probe.rw) };
    const bars = masks ? barsFromMasks(image, masks.writable) : guessBars(image);
    this.model = createFunction({ name, bdf, image, bars, flavour: 'qemu-7.2', ...(masks && { masks }) });
    const { layout } = this.model;
    this.#exclusions = (probe?.nonpure ?? [])
      .filter(([at]) => !isExplained(layout, at))
      .map(([at, mask, reason]) => ({ at, mask, reason }));
    this.#ignored = new Uint8Array(image.length);
    for (const { at, mask } of this.#exclusions) this.#ignored[at] |= mask;
    this.#windowAt = layout.registers.find((r) => r.register.name === 'virtio.data')?.at ?? -1;
  }

  /** Compares a read of the model with the recorded value. */
  compareRead(tally: Tally, offset: number, width: number, expected: number, actual: number): void {
    if (expected === actual && this.#exclusions.length === 0) {
      tally.comparisons++;
      return;
    }
    let ignored = 0;
    const reasons = new Set<string>();
    for (let i = 0; i < width; i++) ignored |= this.#leftOut(reasons, offset + i) << (8 * i);
    for (const reason of reasons) tally.exclude(reason);
    if (ignored) this.#adopt(offset, width, expected, ignored);
    tally.compare(((expected ^ actual) & ~ignored) === 0, () => {
      const images = [expected, actual].map((value) => {
        const bytes = this.model.config.bytes.slice();
        for (let i = 0; i < width && offset + i < bytes.length; i++) bytes[offset + i] = value >>> (8 * i);
        return bytes;
      });
      const size = Math.min(width, this.model.configSize - offset);
      return (
        `${this.#name} read of ${width} at ${hex(offset, 3)} gives ${hex(actual, 2 * width)}, recorded ` +
        `${hex(expected, 2 * width)}: ${explainConfigDifference(this.model.layout, images[0], images[1], offset, size)}`
      );
    });
  }

  /** Applies the runs that changed since the last snapshot and compares the whole space. */
  compareSnapshot(tally: Tally, runs: readonly (readonly [number, string])[]): void {
    for (const [at, text] of runs) storeHex(this.image, at, text);
    const actual = this.model.config.bytes;
    const reasons = new Set<string>();
    for (const { at } of this.#exclusions) {
      const ignored = this.#leftOut(reasons, at);
      if (ignored) this.#adopt(at, 1, this.image[at], ignored);
    }
    for (const reason of reasons) tally.exclude(reason);
    tally.compare(
      sameWords(this.model.config.words, this.#words),
      () =>
        `${this.#name} snapshot: ${explainConfigDifference(this.model.layout, this.image, actual, 0, actual.length)}`,
    );
  }

  get #name(): string {
    return formatBdf(this.model.bdf);
  }

  /** Bits of one byte left out now; adds the reason. */
  #leftOut(reasons: Set<string>, at: number): number {
    const mask = this.#ignored[at] ?? 0;
    if (mask === 0 || this.#pureStorage(at)) return 0;
    reasons.add(this.#exclusions.find((e) => e.at === at)!.reason);
    return mask;
  }

  /** virtio's data window is plain storage while its length selects no access. */
  #pureStorage(at: number): boolean {
    const window = this.#windowAt;
    if (window < 0 || at < window || at >= window + 4) return false;
    return ![1, 2, 4].includes(readLe(this.model.config.bytes, window - 4, 4));
  }

  /** Takes over bits that were left out, so that what builds on them later compares. */
  #adopt(offset: number, width: number, value: number, mask: number): void {
    for (let i = 0; i < width; i++) {
      const bits = (mask >>> (8 * i)) & 0xff;
      if (bits) this.model.config.update(offset + i, 1, bits, (value >>> (8 * i)) & 0xff);
    }
  }
}

/** The measured function that fits a recorded one: of the probe of its name, or of one with the same registers. */
export function findProbe(
  options: ReplayOptions,
  device: string,
  machine: string,
  bdf: string,
  image: Uint8Array,
): ProbedFunction | undefined {
  // the machine as QEMU was told may carry options ("q35,cxl=on"); probes are named without
  const probe = options.probe(device, machine.split(',')[0], image);
  const functions = (probe?.['funcs'] ?? []) as ProbedFunction[];
  return functions.find((f) => f.bdf === bdf) ?? functions[0];
}

function sameWords(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
