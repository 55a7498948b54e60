import { fromHex, hex, readLe, UsageError } from '../../core/index.ts';
import { explainConfigDifference, registersAt } from '../../pci/explain.ts';
import {
  barsFromMasks,
  compileLayout,
  createFunction,
  type EmulatedFunction,
  type FunctionSpec,
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

/** All that follows from an initial image and its probe, and is the same for every recording with both. */
interface Plan {
  readonly image: Uint8Array;
  readonly spec: Omit<FunctionSpec, 'name' | 'bdf'>;
  readonly layout: Layout;
  readonly exclusions: readonly Exclusion[];
  readonly ignored: Uint8Array;
  readonly windowAt: number;
}

/** The last plan made from each probe: seeds of a device have one image, and compiling it costs as much as 2000 accesses. */
const plans = new WeakMap<ProbedFunction, Plan>();

function planOf(image: Uint8Array, probe: ProbedFunction | undefined): Plan {
  if (!probe) return makePlan(image, undefined);
  const known = plans.get(probe);
  if (known && Buffer.compare(known.image, image) === 0) return known;
  const plan = makePlan(image, probe);
  plans.set(probe, plan);
  return plan;
}

function makePlan(recorded: Uint8Array, probe: ProbedFunction | undefined): Plan {
  const image = recorded.slice();
  const masks = probe && { writable: fromHex(probe.rw) };
  const bars = masks ? barsFromMasks(image, masks.writable) : guessBars(image);
  const spec = { image, bars, flavour: 'qemu-7.2', ...(masks && { masks }) } as const;
  const layout = compileLayout(spec, spec.flavour);
  const exclusions = (probe?.nonpure ?? [])
    .filter(([at]) => !isExplained(layout, at))
    .map(([at, mask, reason]) => ({ at, mask, reason }));
  const ignored = new Uint8Array(image.length);
  for (const { at, mask } of exclusions) ignored[at] |= mask;
  const windowAt = layout.registers.find((r) => r.register.name === 'virtio.data')?.at ?? -1;
  return { image, spec, layout, exclusions, ignored, windowAt };
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
  /** Configuration space as of the last snapshot; the owner writes to it what a new one changes. */
  readonly image: Uint8Array;
  readonly #exclusions: readonly Exclusion[];
  /** By offset: mask of bits left out. */
  readonly #ignored: Uint8Array;
  readonly #windowAt: number;

  /** @param image complete initial configuration space @param probe the measured function of the same layout, if any */
  constructor(name: string, bdf: number, image: Uint8Array, probe: ProbedFunction | undefined) {
    const plan = planOf(image, probe);
    this.image = image;
    this.model = createFunction({ ...plan.spec, name, bdf }, { layout: plan.layout });
    this.#exclusions = plan.exclusions;
    this.#ignored = plan.ignored;
    this.#windowAt = plan.windowAt;
  }

  /** Compares a read of the model with the recorded value. */
  compareRead(tally: Tally, offset: number, width: number, expected: number, actual: number): void {
    if (expected === actual && !this.#anyIgnored(offset, width)) {
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

  /** Compares the whole space with {@link image}, brought up to date by the caller. */
  compareSnapshot(tally: Tally): void {
    const actual = this.model.config.bytes;
    if (this.#exclusions.length > 0) {
      const reasons = new Set<string>();
      for (const { at } of this.#exclusions) {
        const ignored = this.#leftOut(reasons, at);
        if (ignored) this.#adopt(at, 1, this.image[at], ignored);
      }
      for (const reason of reasons) tally.exclude(reason);
    }
    tally.compare(
      Buffer.compare(actual, this.image) === 0,
      () =>
        `${this.#name} snapshot: ${explainConfigDifference(this.model.layout, this.image, actual, 0, actual.length)}`,
    );
  }

  get #name(): string {
    return formatBdf(this.model.bdf);
  }

  #anyIgnored(offset: number, width: number): boolean {
    if (this.#exclusions.length === 0) return false;
    let any = 0;
    for (let i = 0; i < width; i++) any |= this.#ignored[offset + i];
    return any !== 0;
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
