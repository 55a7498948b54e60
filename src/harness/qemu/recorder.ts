import { fromHex, Prng, readLe, toHex, type Width } from '../../core/index.ts';
import { type BarSpec, barAt, barsFromMasks, compileLayout, type Layout } from '../../pci/index.ts';
import { parseBdf } from '../replay/recorded-function.ts';
import type { RecordingLine } from '../replay/result.ts';
import { QemuPci, type Via } from './pci.ts';
import { fatalBits, type LiveProbe } from './probe.ts';
import type { QtestMachine } from './process.ts';

/** Configuration writes that make a function reachable: bdf, offset, width, value. */
export type Setup = readonly (readonly [bdf: string, offset: number, width: Width, value: number])[];

export interface RecordOptions {
  seed: number;
  /** Accesses to make, about. */
  operations: number;
  setup?: Setup;
}

const WIDTHS: readonly Width[] = [1, 2, 4];
/** Each round ends with a reset of the machine; every so many accesses all of configuration space is compared. */
const ROUNDS = 3;
const SNAPSHOT_EVERY = 100;
/** Where BARs are put to reach a vector table: inside the windows that `setup` opens in bridges. */
const BAR_WINDOW = { base: 0xc100_0000, end: 0xd000_0000 };
const MEMORY_DECODE = 2;
const CAP_MSIX = 0x11;

interface Recorded {
  readonly d: number;
  readonly bdf: number;
  readonly image: Uint8Array;
  readonly headerType: number;
  readonly bars: readonly BarSpec[];
  /** Where the model's registers are. */
  readonly layout: Layout;
  readonly msix: Msix | undefined;
  readonly fatalBits: readonly [offset: number, mask: number];
  last: Uint8Array;
}

interface Msix {
  at: number;
  count: number;
  tableBar: number;
  table: number;
  pbaBar: number;
  pba: number;
}

/**
 * Puts seeded random accesses to functions of a QEMU just started: configuration reads and writes of every width and
 * alignment by both ways, vector table and pending bits through programmed BARs, resets. Answers the lines of a
 * recording (the recordings' README describes them), which replays like one from a file.
 */
export async function record(
  qemu: QtestMachine,
  probes: readonly LiveProbe[],
  { seed, operations, setup = [] }: RecordOptions,
): Promise<RecordingLine[]> {
  const recorder = new Recorder(qemu, probes, new Prng(seed), setup);
  await recorder.prepare();
  const each = Math.ceil(operations / ROUNDS);
  for (let round = 0; round < ROUNDS; round++) {
    await recorder.randomAccesses(Math.ceil(each * 0.75));
    await recorder.randomTables(Math.floor(each * 0.25));
    await recorder.reset();
  }
  await recorder.randomAccesses(SNAPSHOT_EVERY);
  return recorder.lines;
}

class Recorder {
  readonly lines: RecordingLine[] = [];
  readonly #qemu: QtestMachine;
  readonly #pci: QemuPci;
  readonly #prng: Prng;
  readonly #setup: Setup;
  readonly #functions: Recorded[];

  constructor(qemu: QtestMachine, probes: readonly LiveProbe[], prng: Prng, setup: Setup) {
    this.#qemu = qemu;
    this.#pci = new QemuPci(qemu);
    this.#prng = prng;
    this.#setup = setup;
    this.#functions = probes.map(describe);
  }

  async prepare(): Promise<void> {
    await this.#pci.enableEcam();
    await applySetup(this.#pci, this.#setup);
    await this.#snapshots();
  }

  async randomAccesses(count: number): Promise<void> {
    for (let done = 0; done < count; done += SNAPSHOT_EVERY) {
      const lines: Promise<RecordingLine>[] = [];
      for (let i = 0; i < SNAPSHOT_EVERY; i++) lines.push(this.#randomAccess(this.#prng.pick(this.#functions)));
      this.lines.push(...(await Promise.all(lines)));
      await this.#snapshots();
    }
  }

  /** Vector table and pending bits of each function that has them, by addresses written to its BARs for that. */
  async randomTables(count: number): Promise<void> {
    for (const fn of this.#functions) {
      const { msix } = fn;
      const bases = msix && (await this.#mapBars(fn));
      if (!msix || !bases) continue;
      const { at, count: entries, tableBar, table, pbaBar, pba } = msix;
      this.lines.push(['msix', fn.d, at, entries, tableBar, table, pbaBar, pba]);
      const areas = [
        { name: 't', base: bases.get(tableBar)! + table, sizeBytes: 16 * entries },
        { name: 'p', base: bases.get(pbaBar)! + pba, sizeBytes: 8 * Math.ceil(entries / 64) },
      ] as const;
      const lines: Promise<RecordingLine>[] = [];
      for (let i = 0; i < count; i++) lines.push(this.#windowAccess(fn.d, areas[this.#prng.below(5) === 0 ? 1 : 0]));
      lines.push(...areas.map((area) => this.#wholeWindow(fn.d, area)));
      this.lines.push(...(await Promise.all(lines)));
    }
    await this.#snapshots();
  }

  async reset(): Promise<void> {
    await this.#qemu.reset();
    await this.#pci.enableEcam();
    await applySetup(this.#pci, this.#setup);
    this.lines.push(['reset', 'system']);
    await this.#snapshots();
  }

  async #snapshots(): Promise<void> {
    for (const fn of this.#functions) {
      const whole = await this.#pci.image(fn.bdf);
      const image = whole.slice(0, fn.image.length);
      const runs: [number, string][] = [];
      for (let at = 0; at < image.length; at++)
        if (image[at] !== fn.last[at] || fn.last.length === 0) runs.push([at, toHex(image.subarray(at, at + 1))]);
      fn.last = image;
      this.lines.push(['s', fn.d, 0, runs]);
    }
  }

  #randomAccess(fn: Recorded): Promise<RecordingLine> {
    const prng = this.#prng;
    let { offset, width, via } = this.#place(fn);
    if (prng.below(100) < 45) return this.#read(fn, via, offset, width);
    let value = this.#value(fn, offset, width);
    const covers = (at: number, size: number) => offset < at + size && offset + width > at;
    if (covers(fn.fatalBits[0], 1)) value &= ~(fn.fatalBits[1] << (8 * (fn.fatalBits[0] - offset)));
    const io = fn.bars.find((b) => b.kind === 'io' && covers(barAt(b.bar, fn.headerType), 4));
    // kept away from the ports of the machine itself, CF8 above all
    if (io) [offset, width, value] = [barAt(io.bar, fn.headerType), 4, value | 0x8000_0000];
    return this.#write(fn, via, offset, width, value >>> 0);
  }

  #place(fn: Recorded): { offset: number; width: Width; via: Via } {
    const prng = this.#prng;
    const width = prng.pick(WIDTHS);
    const { registers } = fn.layout;
    const near = prng.below(4) === 0 ? undefined : prng.pick(registers);
    const anywhere = near ? near.at + prng.below(near.register.width) : prng.below(fn.image.length);
    let offset = Math.min(anywhere, fn.image.length - width);
    if (prng.below(3) !== 0) offset &= ~(width - 1);
    const inDword = offset < 0x100 && (offset & 3) + width <= 4;
    if (!this.#pci.hasEcam && !inDword) offset &= ~(width - 1);
    const via = !this.#pci.hasEcam || (inDword && prng.below(2) === 0) ? 'c' : 'e';
    return { offset, width, via };
  }

  /** All ones, zero, what was there at first or that with one bit flipped, one bit, or anything. */
  #value(fn: Recorded, offset: number, width: Width): number {
    const prng = this.#prng;
    const initial = readLe(fn.image, Math.min(offset, fn.image.length - width), width);
    const bit = 1 << prng.below(8 * width);
    const choices = [0xffff_ffff, 0, initial, initial ^ bit, bit, bit];
    return (choices[prng.below(9)] ?? prng.next()) >>> 0;
  }

  async #read(fn: Recorded, via: Via, offset: number, width: Width): Promise<RecordingLine> {
    return ['r', fn.d, via, offset, width, await this.#pci.read(fn.bdf, via, offset, width)];
  }

  async #write(fn: Recorded, via: Via, offset: number, width: Width, value: number): Promise<RecordingLine> {
    const kept = width === 4 ? value : value & (2 ** (8 * width) - 1);
    await this.#pci.write(fn.bdf, via, offset, width, kept);
    return ['w', fn.d, via, offset, width, kept];
  }

  /** Gives every memory BAR a place of its own and turns decoding on; undefined if they do not fit. */
  async #mapBars(fn: Recorded): Promise<Map<number, number> | undefined> {
    const bases = new Map<number, number>();
    const lines: Promise<RecordingLine>[] = [];
    const put = (offset: number, width: Width, value: number) =>
      lines.push(this.#write(fn, 'c', offset, width, value >>> 0));
    let next = BAR_WINDOW.base;
    for (const { bar, kind, sizeBytes } of fn.bars) {
      if (kind === 'io') continue;
      const at = barAt(bar, fn.headerType);
      const base = Math.ceil(next / sizeBytes) * sizeBytes;
      if (kind !== 'rom' && base + sizeBytes > BAR_WINDOW.end) return undefined;
      if (kind !== 'rom') bases.set(bar, base);
      put(at, 4, kind === 'rom' ? 0 : base);
      if (kind === 'mem64') put(at + 4, 4, 0);
      if (kind !== 'rom') next = base + sizeBytes;
    }
    put(4, 2, MEMORY_DECODE | (this.#prng.next() & 0x0504));
    this.lines.push(...(await Promise.all(lines)));
    for (const [bar, base] of bases) this.lines.push(['bar', fn.d, bar, base]);
    return bases;
  }

  async #windowAccess(d: number, area: { name: string; base: number; sizeBytes: number }): Promise<RecordingLine> {
    const prng = this.#prng;
    const { qtest } = this.#qemu;
    const width = prng.pick([1, 2, 4, 4, 4, 4, 8, 8]);
    const offset = prng.below(area.sizeBytes / width) * width;
    const address = area.base + offset;
    if (prng.below(2) === 0) {
      const value = width === 8 ? await qtest.read64(address) : await qtest.read(address, width as Width);
      return [`${area.name}r`, d, offset, width, value];
    }
    const value = prng.next();
    if (width === 8) {
      const wide = (BigInt(value) << 32n) | BigInt(prng.next());
      await qtest.write64(address, wide);
      return [`${area.name}w`, d, offset, width, wide];
    }
    const kept = width === 4 ? value : value & (2 ** (8 * width) - 1);
    await qtest.write(address, width as Width, kept);
    return [`${area.name}w`, d, offset, width, kept];
  }

  async #wholeWindow(d: number, area: { name: string; base: number; sizeBytes: number }): Promise<RecordingLine> {
    return [area.name.toUpperCase(), d, toHex(await this.#qemu.qtest.readBytes(area.base, area.sizeBytes))];
  }
}

/** Programs bridges, so that the functions behind them answer. */
export async function applySetup(pci: QemuPci, setup: Setup): Promise<void> {
  for (const [bdf, offset, width, value] of setup) await pci.write(parseBdf(bdf), 'c', offset, width, value);
}

function describe(probe: LiveProbe, d: number): Recorded {
  const image = fromHex(probe.init);
  const writable = fromHex(probe.rw);
  const bars = barsFromMasks(image, writable);
  const layout = compileLayout({ name: probe.bdf, bdf: 0, image, bars, masks: { writable } }, 'qemu-7.2');
  const msix = layout.capabilities.find((c) => !c.extended && c.id === CAP_MSIX);
  return {
    d,
    bdf: parseBdf(probe.bdf),
    image,
    headerType: image[0x0e] & 0x7f,
    bars,
    layout,
    msix: msix && locateMsix(image, msix.at),
    fatalBits: fatalBits(image),
    last: new Uint8Array(0),
  };
}

function locateMsix(image: Uint8Array, at: number): Msix {
  const [table, pba] = [readLe(image, at + 4, 4), readLe(image, at + 8, 4)];
  return {
    at,
    count: (readLe(image, at + 2, 2) & 0x7ff) + 1,
    tableBar: table & 7,
    table: (table & ~7) >>> 0,
    pbaBar: pba & 7,
    pba: (pba & ~7) >>> 0,
  };
}
