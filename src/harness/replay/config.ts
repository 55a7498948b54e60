import { hex, toHex, UsageError, type Width } from '../../core/index.ts';
import { readPieces, writePieces } from '../../pci/access-split.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import { findProbe, parseBdf, RecordedFunction } from './recorded-function.ts';
import type { RecordingReader } from './recording-reader.ts';
import type { Replayer, ReplayOptions } from './result.ts';
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
  model(d: number): EmulatedFunction {
    const found = this.functions[d];
    if (!found) throw new UsageError(`${this.#file}:${this.tally.line}: function ${d} has no snapshot yet`);
    return found.model;
  }

  /** Carries out the operation of the line that `lines` is at; false if it is not one of these. */
  step(lines: RecordingReader): boolean {
    switch (lines.name) {
      case 'r':
        this.#read(lines);
        return true;
      case 'w':
        this.#write(lines);
        return true;
      case 's':
        this.#snapshot(lines);
        return true;
      case 'tr':
      case 'pr':
        this.#readWindow(lines);
        return true;
      case 'tw':
      case 'pw':
        this.#writeWindow(lines);
        return true;
      case 'T':
      case 'P':
        this.#compareWindow(lines);
        return true;
      case 'reset':
        this.#reset();
        return true;
      case 'msix':
        this.#noteMsix(lines);
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

  #read(lines: RecordingReader): void {
    const d = lines.number();
    lines.skip();
    const offset = lines.number();
    const width = lines.number();
    const expected = lines.number();
    const model = this.model(d);
    this.tally.operations++;
    const actual =
      (offset & (width - 1)) === 0
        ? model.readConfig(offset, width as Width)
        : readPieces((at, w) => model.readConfig(at, w), offset, width, 'qemu-7.2').lo;
    this.functions[d]!.compareRead(this.tally, offset, width, expected, actual);
  }

  #write(lines: RecordingReader): void {
    const model = this.model(lines.number());
    lines.skip();
    const offset = lines.number();
    const width = lines.number();
    const value = lines.number();
    this.tally.operations++;
    if ((offset & (width - 1)) === 0) model.writeConfig(offset, width as Width, value);
    else writePieces((at, w, v) => model.writeConfig(at, w, v), offset, width, value, 0, 'qemu-7.2');
  }

  /** The runs of bytes that changed since the last snapshot; the first one is complete and makes the function. */
  #snapshot(lines: RecordingReader): void {
    const d = lines.number();
    lines.skip(); // the checksum
    const known = this.functions[d];
    const image = known?.image ?? new Uint8Array((this.#header['cfg_size'] as number[])[d]);
    lines.enter();
    while (!lines.leave()) {
      lines.enter();
      lines.hexInto(image, lines.number());
      if (!lines.leave()) throw new UsageError(`${this.#file}:${lines.line}: a run is an offset and bytes`);
    }
    if (known) {
      this.tally.operations++;
      known.compareSnapshot(this.tally);
      return;
    }
    const { device, machine } = this.#header as { device: string; machine: string };
    const bdf = this.#bdfs[d];
    const probe = findProbe(this.#options, device, machine, bdf, image);
    this.functions[d] = new RecordedFunction(device, parseBdf(bdf), image, probe);
  }

  #noteMsix(lines: RecordingReader): void {
    const d = lines.number();
    lines.skip(); // capability and count: the model's own
    lines.skip();
    this.#msix[d] = {
      tableBar: lines.number(),
      table: lines.number(),
      pbaBar: lines.number(),
      pba: lines.number(),
    };
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
    if (op.startsWith('t')) return { bar: note?.tableBar ?? msix.tableBar, base: note?.table ?? msix.tableOffset };
    return { bar: note?.pbaBar ?? msix.pbaBar, base: note?.pba ?? msix.pbaOffset };
  }

  #readWindow(lines: RecordingReader): void {
    const { name } = lines;
    const d = lines.number();
    const offset = lines.number();
    const width = lines.number();
    lines.word64();
    const [wantLo, wantHi] = lines.words;
    const { bar, base } = this.#window(name, d);
    const model = this.model(d);
    this.tally.operations++;
    const { lo, hi } = readPieces((at, w) => model.readBar(bar, at, w), base + offset, width, 'qemu-7.2');
    this.tally.compare(lo === wantLo && hi === wantHi, () => {
      const what = name === 'tr' ? `vector ${offset >> 4} ${ENTRY_WORDS[(offset >> 2) & 3]}` : 'pending bits';
      const text = (h: number, l: number) => `0x${h.toString(16).padStart(8, '0')}${l.toString(16).padStart(8, '0')}`;
      return `read of ${width} at ${hex(offset, 3)} (${what}) gives ${text(hi, lo)}, recorded ${text(wantHi, wantLo)}`;
    });
  }

  #writeWindow(lines: RecordingReader): void {
    const d = lines.number();
    const offset = lines.number();
    const width = lines.number();
    lines.word64();
    const { bar, base } = this.#window(lines.name, d);
    const model = this.model(d);
    this.tally.operations++;
    writePieces(
      (at, w, v) => model.writeBar(bar, at, w, v),
      base + offset,
      width,
      lines.words[0],
      lines.words[1],
      'qemu-7.2',
    );
  }

  #compareWindow(lines: RecordingReader): void {
    const { name } = lines;
    const { table } = this.model(lines.number()).msix ?? {};
    const words = name === 'T' ? table?.words : table?.pending;
    const actual = words ? new Uint8Array(words.buffer, words.byteOffset, words.byteLength) : new Uint8Array(0);
    const want = lines.hex();
    this.tally.operations++;
    this.tally.compare(Buffer.compare(want, actual) === 0, () => {
      const at = want.findIndex((byte, i) => byte !== actual[i]);
      const what = name === 'T' ? `vector ${at >> 4} ${ENTRY_WORDS[(at >> 2) & 3]}` : `pending byte ${at}`;
      const from = at & ~3;
      return `${what} is ${toHex(actual.slice(from, from + 4))}, recorded ${toHex(want.slice(from, from + 4))}`;
    });
  }
}

const ENTRY_WORDS = ['address', 'upper address', 'data', 'vector control'];

/** Recordings of random configuration accesses, aligned or not: kinds `random` and `unaligned`. */
export const CONFIG_REPLAYER: Replayer<RecordingReader> = {
  replay(file, header, lines, options) {
    const session = new ConfigSession(file, header, options);
    while (lines.next()) {
      session.tally.line = lines.line;
      if (!session.step(lines))
        throw new UsageError(`${file}:${lines.line}: unknown operation ${JSON.stringify(lines.name)}`);
      lines.end();
      session.dropEffects();
    }
    return session.tally.result(file);
  },
};
