import { fromHex, hex, UsageError, type Width } from '../../core/index.ts';
import { CONFIG_ADDRESS, HostBridge, PciBus } from '../../pci/index.ts';
import { findProbe, parseBdf, RecordedFunction } from './recorded-function.ts';
import type { RecordingReader } from './recording-reader.ts';
import type { Replayer, ReplayOptions, ReplayResult } from './result.ts';
import { Tally } from './tally.ts';

class HostSession {
  readonly #tally = new Tally();
  readonly #file: string;
  readonly #functions = new Map<string, RecordedFunction>();
  readonly #host: HostBridge;

  constructor(file: string, header: Record<string, unknown>, options: ReplayOptions) {
    this.#file = file;
    const machine = String(header['machine']);
    const images = Object.entries((header['initial'] ?? {}) as Record<string, string>);
    for (const [bdf, text] of images) {
      // a conventional function answers all ones beyond its 256 bytes
      const complete = fromHex(text);
      const image = complete.subarray(256).every((byte) => byte === 0xff) ? complete.slice(0, 256) : complete;
      const probe = findProbe(options, '', machine, bdf, image);
      this.#functions.set(bdf, new RecordedFunction(bdf, parseBdf(bdf), image, probe));
    }
    const express = images.some(([, text]) => text.length > 512);
    this.#host = new HostBridge(this.#topology(express), { flavour: 'qemu-7.2' });
    this.#presetLatch(header, express);
  }

  /**
   * The address latch still holds what the recorder last put there: the last of `setup`, and without ECAM the last
   * dword of the last image, which it read after that.
   */
  #presetLatch(header: Record<string, unknown>, express: boolean): void {
    const last = ((header['setup'] ?? []) as [string, number][]).at(-1);
    const image = [...this.#functions.keys()].at(-1);
    const address = (bdf: string, offset: number) => 0x8000_0000 + parseBdf(bdf) * 0x100 + (offset & 0xfc);
    if (!express && image !== undefined) this.#host.writePort(CONFIG_ADDRESS, 4, address(image, 0xfc));
    else if (last) this.#host.writePort(CONFIG_ADDRESS, 4, address(last[0], last[1]));
  }

  /** Buses from the bridges' own numbers, which `setup` programmed before the images were taken. */
  #topology(express: boolean): PciBus {
    const root = new PciBus(express);
    const sorted = [...this.#functions.values()].sort((a, b) => a.model.bdf - b.model.bdf);
    for (const { model } of sorted) {
      const bus = root.find(model.bdf >> 8);
      if (!bus) throw new UsageError(`${this.#file}: no bridge leads to bus ${model.bdf >> 8}`);
      bus.attach(model);
    }
    return root;
  }

  run(lines: RecordingReader): ReplayResult {
    while (lines.next()) {
      this.#tally.line = lines.line;
      if (lines.name !== 'c') this.#step(lines);
      lines.end();
      for (const { model } of this.#functions.values()) model.effects.length = 0;
    }
    return this.#tally.result(this.#file);
  }

  #step(lines: RecordingReader): void {
    this.#tally.operations++;
    switch (lines.name) {
      case 'out':
        this.#host.writePort(lines.number(), lines.number() as Width, lines.number());
        return;
      case 'in':
        this.#compareIn(lines.number(), lines.number() as Width, lines.number());
        return;
      case 'er':
        this.#compareEcam(lines);
        return;
      case 'snap':
        this.#compareSnapshot(lines.text(), lines);
        return;
      default:
        throw new UsageError(`${this.#file}:${lines.line}: unknown operation ${JSON.stringify(lines.name)}`);
    }
  }

  #compareIn(port: number, width: Width, expected: number): void {
    const actual = this.#host.readPort(port, width);
    this.#tally.compare(
      actual === expected,
      () => `port ${hex(port)} read of ${width} gives ${hex(actual, 2 * width)}, recorded ${hex(expected, 2 * width)}`,
    );
  }

  #compareEcam(lines: RecordingReader): void {
    const bdf = lines.text();
    const offset = lines.number();
    const width = lines.number();
    lines.word64();
    const [wantLo, wantHi] = lines.words;
    const { lo, hi } = this.#host.readEcam(parseBdf(bdf) * 0x1000 + offset, width);
    this.#tally.compare(
      lo === wantLo && hi === wantHi,
      () =>
        `ECAM ${bdf} read of ${width} at ${hex(offset, 3)} gives ${hex(hi, 8)} ${hex(lo, 8)}, ` +
        `recorded ${hex(wantHi, 8)} ${hex(wantLo, 8)}`,
    );
  }

  /** What a complete image has beyond the function's own space, nothing answers for. */
  #compareSnapshot(bdf: string, lines: RecordingReader): void {
    const found = this.#functions.get(bdf);
    if (!found) throw new UsageError(`${this.#file}:${lines.line}: ${bdf} has no initial image`);
    lines.hexInto(found.image, 0);
    found.compareSnapshot(this.#tally);
  }
}

/** Recordings of raw port and ECAM accesses to a whole machine: kind `host`. */
export const HOST_REPLAYER: Replayer<RecordingReader> = {
  replay: (file, header, lines, options) => new HostSession(file, header, options).run(lines),
};
