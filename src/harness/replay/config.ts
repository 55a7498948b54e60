import { hex, storeHex, toHex, UsageError, type Width } from '../../core/index.ts';
import { readPieces, writePieces } from '../../pci/access-split.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import { findProbe, parseBdf, RecordedFunction } from './recorded-function.ts';
import type { RecordingLine, Replayer, ReplayOptions } from './result.ts';
import { Tally } from './tally.ts';

/**
 * Carries out the operations that recordings of configuration accesses and of interrupts share: accesses, snapshots,
 * resets, vector table and pending bits.
 */
export class ConfigSession {
  readonly tally = new Tally();
  readonly functions: (RecordedFunction | undefined)[] = [];
  readonly #header: Record<string, unknown>;
  readonly #options: ReplayOptions;
  readonly #file: string;
  readonly #bdfs: readonly string[];
  readonly #setup: readonly [string, number, number, number][];
  /** Of each function: BAR and offset of table and PBA, from the `msix` note or the capability. */
  readonly #msix: { tableBar: number; table: number; pbaBar: number; pba: number }[] = [];

  constructor(file: string, header: Record<string, unknown>, options: ReplayOptions) {
    this.#file = file;
    this.#header = header;
    this.#options = options;
    this.#bdfs = (header['bdf'] ?? []) as string[];
    this.#setup = (header['setup'] ?? []) as [string, number, number, number][];
  }

  /** The model of function `d`; its first snapshot must have come. */
  model(d: unknown): EmulatedFunction {
    const found = this.functions[d as number];
    if (!found) throw new UsageError(`${this.#file}:${this.tally.line}: function ${d} has no snapshot yet`);
    return found.model;
  }

  /** Carries out one line; false if it is not one of these operations. */
  step(line: readonly unknown[]): boolean {
    switch (line[0]) {
      case 'r':
        this.#read(line[1] as number, line[3] as number, line[4] as number, line[5] as number);
        return true;
      case 'w':
        this.#write(line[1] as number, line[3] as number, line[4] as number, line[5] as number);
        return true;
      case 's':
        this.#snapshot(line[1] as number, line[3] as [number, string][]);
        return true;
      case 'reset':
        this.#reset();
        return true;
      case 'msix':
        this.#msix[line[1] as number] = {
          tableBar: line[4] as number,
          table: line[5] as number,
          pbaBar: line[6] as number,
          pba: line[7] as number,
        };
        return true;
      case 'tr':
      case 'pr':
        this.#readWindow(line[0], line[1] as number, line[2] as number, line[3] as number, line[4] as number | bigint);
        return true;
      case 'tw':
      case 'pw':
        this.#writeWindow(line[0], line[1] as number, line[2] as number, line[3] as number, line[4] as number | bigint);
        return true;
      case 'T':
      case 'P':
        this.#compareWindow(line[0], line[1] as number, line[2] as string);
        return true;
      case 'bar':
      case 'c':
        return true;
      default:
        return false;
    }
  }

  /** Forgets what the accesses caused, where the recording does not show it. */
  dropEffects(): void {
    for (let d = 0; d < this.functions.length; d++) {
      const effects = this.functions[d]?.model.effects;
      if (effects && effects.length !== 0) effects.length = 0;
    }
  }

  #read(d: number, offset: number, width: number, expected: number): void {
    const model = this.model(d);
    this.tally.operations++;
    const actual =
      (offset & (width - 1)) === 0
        ? model.readConfig(offset, width as Width)
        : readPieces((at, w) => model.readConfig(at, w), offset, width, 'qemu-7.2').lo;
    this.functions[d]!.compareRead(this.tally, offset, width, expected, actual);
  }

  #write(d: number, offset: number, width: number, value: number): void {
    const model = this.model(d);
    this.tally.operations++;
    if ((offset & (width - 1)) === 0) model.writeConfig(offset, width as Width, value);
    else writePieces((at, w, v) => model.writeConfig(at, w, v), offset, width, value, 0, 'qemu-7.2');
  }

  #snapshot(d: number, runs: [number, string][]): void {
    const known = this.functions[d];
    if (known) {
      this.tally.operations++;
      known.compareSnapshot(this.tally, runs);
      return;
    }
    const size = (this.#header['cfg_size'] as number[])[d];
    const image = new Uint8Array(size);
    for (const [at, text] of runs) storeHex(image, at, text);
    const { device, machine } = this.#header as { device: string; machine: string };
    const bdf = this.#bdfs[d];
    const probe = findProbe(this.#options, device, machine, bdf, image);
    this.functions[d] = new RecordedFunction(device, parseBdf(bdf), image, probe);
  }

  #reset(): void {
    this.tally.operations++;
    for (const f of this.functions) f?.model.reset('conventional');
    for (const [bdf, offset, width, value] of this.#setup) {
      const d = this.#bdfs.indexOf(bdf);
      if (d >= 0) this.model(d).writeConfig(offset, width as Width, value);
    }
  }

  #window(op: string, d: number): { bar: number; base: number } {
    const { msix } = this.model(d);
    if (!msix) throw new UsageError(`${this.#file}:${this.tally.line}: function ${d} has no MSI-X`);
    const note = this.#msix[d];
    if (op[0].toLowerCase() === 't')
      return { bar: note?.tableBar ?? msix.tableBar, base: note?.table ?? msix.tableOffset };
    return { bar: note?.pbaBar ?? msix.pbaBar, base: note?.pba ?? msix.pbaOffset };
  }

  #readWindow(op: string, d: number, offset: number, width: number, expected: number | bigint): void {
    const { bar, base } = this.#window(op, d);
    const model = this.model(d);
    this.tally.operations++;
    const { lo, hi } = readPieces((at, w) => model.readBar(bar, at, w), base + offset, width, 'qemu-7.2');
    const [wantLo, wantHi] = split(expected);
    this.tally.compare(lo === wantLo && hi === wantHi, () => {
      const what = op === 'tr' ? `vector ${offset >> 4} ${ENTRY_WORDS[(offset >> 2) & 3]}` : 'pending bits';
      const text = (h: number, l: number) => `0x${h.toString(16).padStart(8, '0')}${l.toString(16).padStart(8, '0')}`;
      return `read of ${width} at ${hex(offset, 3)} (${what}) gives ${text(hi, lo)}, recorded ${text(wantHi, wantLo)}`;
    });
  }

  #writeWindow(op: string, d: number, offset: number, width: number, value: number | bigint): void {
    const { bar, base } = this.#window(op, d);
    const model = this.model(d);
    this.tally.operations++;
    const [lo, hi] = split(value);
    writePieces((at, w, v) => model.writeBar(bar, at, w, v), base + offset, width, lo, hi, 'qemu-7.2');
  }

  #compareWindow(op: string, d: number, expected: string): void {
    const { table } = this.model(d).msix ?? {};
    const words = op === 'T' ? table?.words : table?.pending;
    const actual = words ? new Uint8Array(words.buffer, words.byteOffset, words.byteLength) : new Uint8Array(0);
    this.tally.operations++;
    const want = Buffer.from(expected, 'hex');
    this.tally.compare(want.equals(actual), () => {
      const at = want.findIndex((byte, i) => byte !== actual[i]);
      const name = op === 'T' ? `vector ${at >> 4} ${ENTRY_WORDS[(at >> 2) & 3]}` : `pending byte ${at}`;
      const from = at & ~3;
      return `${name} is ${toHex(actual.slice(from, from + 4))}, recorded ${want.toString('hex', from, from + 4)}`;
    });
  }
}

const ENTRY_WORDS = ['address', 'upper address', 'data', 'vector control'];

/** Low and high word of a recorded value of up to 64 bits. */
export function split(value: number | bigint): [number, number] {
  if (typeof value === 'bigint') return [Number(value & 0xffffffffn), Number(value >> 32n)];
  return [value >>> 0, value > 0xffffffff ? Math.floor(value / 0x1_0000_0000) : 0];
}

/** Recordings of random configuration accesses, aligned or not: kinds `random` and `unaligned`. */
export const CONFIG_REPLAYER: Replayer = {
  accepts: (header) => header['kind'] === 'random' || header['kind'] === 'unaligned',
  replay(file: string, header: Record<string, unknown>, lines: Iterable<RecordingLine>, options: ReplayOptions) {
    const session = new ConfigSession(file, header, options);
    for (const line of lines) {
      session.tally.line++;
      if (!session.step(line as unknown[]))
        throw new UsageError(
          `${file}:${session.tally.line}: unknown operation ${JSON.stringify((line as unknown[])[0])}`,
        );
      session.dropEffects();
    }
    return session.tally.result(file);
  },
};
