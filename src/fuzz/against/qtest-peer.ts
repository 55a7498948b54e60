import { setTimeout as pause } from 'node:timers/promises';
import { fromHex, readLe, type Width } from '../../core/index.ts';
import { QemuPci } from '../../harness/qemu/pci.ts';
import { probeFunction } from '../../harness/qemu/probe.ts';
import type { QtestMachine } from '../../harness/qemu/process.ts';
import { applySetup, type Setup } from '../../harness/qemu/recorder.ts';
import { type BarSpec, barAt, barsFromMasks, compileLayout, type Layout } from '../../pci/index.ts';
import { REGION } from '../access.ts';
import { type Poke, RAM } from './qtest-actions.ts';

/** A page of guest RAM where messages arrive, and RAM that a device's queues may have. */
export const MESSAGE_PAGE = 0x20_0000;
export const MESSAGE_WORDS = 64;
export const QUEUE_RAM = 0x21_0000;
/** What no message is: a word of the page that holds it was not written. */
export const NO_MESSAGE = 0xdead_beef;

/** Where BARs are put: inside the windows that a {@link Setup} opens in bridges. */
const BAR_WINDOW = 0xc100_0000;
const IO_WINDOW = 0xc000;

/** A QEMU and which of its functions is meant. */
export interface QtestPlace {
  machine: QtestMachine;
  bdf: number;
  /** Configuration writes that make the function reachable. */
  setup?: Setup;
  /** After an error: why QEMU is gone, if it is. */
  lastWords?: () => Promise<string | undefined>;
  close(): Promise<void>;
}

export interface Measured {
  layout: Layout;
  /** Bits that can be written, by flipping each. */
  writable: Uint8Array;
}

/** One function of a QEMU over qtest: its registers by ECAM or ports, its BARs at places of our own, what it sends to RAM. */
export class QtestPeer {
  readonly bdf: number;
  readonly place: QtestPlace;
  readonly measured: Measured;
  /** Addresses of the BARs while they are where {@link bringUp} puts them. */
  readonly homes: ReadonlyMap<number, number>;
  readonly #machine: QtestMachine;
  readonly #pci: QemuPci;
  readonly #setup: Setup;
  readonly #hasLine: boolean;
  #line = 0;

  private constructor(place: QtestPlace, measured: Measured, hasLine: boolean) {
    this.place = place;
    this.bdf = place.bdf;
    this.measured = measured;
    this.#machine = place.machine;
    this.#pci = new QemuPci(place.machine);
    this.#setup = place.setup ?? [];
    this.#hasLine = hasLine;
    this.homes = homesOf(measured.layout.bars);
  }

  /** Measures the function, unless that was done, which leaves it altered: see {@link pristine}. */
  static async open(place: QtestPlace, known?: Measured): Promise<QtestPeer> {
    const { machine, bdf, setup = [] } = place;
    await machine.reset();
    const pci = new QemuPci(machine);
    await pci.enableEcam();
    await applySetup(pci, setup);
    const measured = known ?? (await measure(pci, bdf));
    const chip = machine.machine.startsWith('q35') ? 'q35' : 'i440fx';
    const hasLine = await machine.qtest.interceptIn(`/machine/${chip}/ioapic`).then(
      () => true,
      () => false,
    );
    return new QtestPeer(place, measured, hasLine);
  }

  read(region: number, offset: number, width: Width): Promise<number> {
    if (region === REGION.config) return this.#pci.read(this.bdf, this.#pci.best, offset, width);
    return this.#machine.qtest.read(this.#home(region) + offset, width);
  }

  write(region: number, offset: number, width: Width, value: number): Promise<void> {
    if (region === REGION.config) return this.#pci.write(this.bdf, this.#pci.best, offset, width, value);
    return this.#machine.qtest.write(this.#home(region) + offset, width, value);
  }

  async poke({ region, offset, width, value, does }: Poke): Promise<void> {
    const { qtest } = this.#machine;
    if (does === 'read') await this.read(region, offset, width);
    else if (does === 'await') {
      for (let looked = 0; looked < MOST_LOOKS && ((await qtest.read(offset, width)) & value) === 0; looked++)
        if (looked >= EAGER_LOOKS) await pause(1);
    } else if (region === RAM) await qtest.write(offset, width, value);
    else await this.write(region, offset, width, value);
  }

  /** All of configuration space. */
  async image(): Promise<Uint8Array> {
    return (await this.#pci.image(this.bdf)).subarray(0, this.measured.layout.configSize);
  }

  bar(bar: number, offset: number, length: number): Promise<Uint8Array> {
    return this.#machine.qtest.readBytes(this.#home(bar) + offset, length);
  }

  writeRam(address: number, bytes: Uint8Array): Promise<void> {
    return this.#machine.qtest.writeBytes(address, bytes);
  }

  readRam(address: number, length: number): Promise<Uint8Array> {
    return this.#machine.qtest.readBytes(address, length);
  }

  /** What arrived in the message page since the last call: data by word of the page. */
  async messages(): Promise<Map<number, number>> {
    const [page] = await Promise.all([this.readRam(MESSAGE_PAGE, 4 * MESSAGE_WORDS), this.clearMessages()]);
    const found = new Map<number, number>();
    for (let i = 0; i < MESSAGE_WORDS; i++) {
      const data = readLe(page, 4 * i, 4);
      if (data !== NO_MESSAGE) found.set(i, data);
    }
    return found;
  }

  clearMessages(): Promise<void> {
    return this.writeRam(MESSAGE_PAGE, EMPTY_PAGE);
  }

  /** Level of the interrupt line as the I/O APIC has it; undefined where that cannot be seen. */
  line(): number | undefined {
    for (const change of this.#machine.qtest.irqs.splice(0)) {
      const [way, pin] = change.split(' ');
      if (Number(pin) >= FIRST_PCI_PIN) this.#line = way === 'raise' ? 1 : 0;
    }
    return this.#hasLine ? this.#line : undefined;
  }

  /** The machine's reset, after which the function can be reached again. */
  async reset(): Promise<void> {
    await this.#machine.reset();
    await this.#pci.enableEcam();
    await applySetup(this.#pci, this.#setup);
  }

  /**
   * The function as it was at first: a reset, and what no reset restores written back.
   * @returns offsets that nothing restores, which only a new QEMU has as they were
   */
  async pristine(): Promise<number[]> {
    const { image: first } = this.measured.layout;
    await this.reset();
    for (let tries = 0; tries < 2; tries++) {
      const now = await this.image();
      const differing = [...now.keys()].filter((at) => now[at] !== first[at] && at !== STATUS);
      if (differing.length === 0) return [];
      if (tries === 1) return differing;
      await Promise.all(differing.map((at) => this.write(REGION.config, at, 1, first[at])));
    }
    return [];
  }

  /** Writes that put the BARs where they are found: offset, width, value. Decoding is not turned on. */
  bringUp(): { offset: number; width: Width; value: number }[] {
    const { bars, traits } = this.measured.layout;
    const writes: { offset: number; width: Width; value: number }[] = [];
    for (const { bar, kind } of bars) {
      const home = this.homes.get(bar);
      const offset = barAt(bar, traits.headerType);
      if (home === undefined) continue;
      writes.push({ offset, width: 4, value: home });
      if (kind === 'mem64') writes.push({ offset: offset + 4, width: 4, value: 0 });
    }
    return writes;
  }

  #home(bar: number): number {
    return this.homes.get(bar) ?? 0;
  }
}

/** A device works in QEMU's main loop, between our commands; one that does nothing is given up. */
const EAGER_LOOKS = 20;
const MOST_LOOKS = 200;
const STATUS = 6;
const FIRST_PCI_PIN = 16;
const EMPTY_PAGE = new Uint8Array(Uint32Array.from({ length: MESSAGE_WORDS }, () => NO_MESSAGE).buffer);

async function measure(pci: QemuPci, bdf: number): Promise<Measured> {
  const { init, rw } = await probeFunction(pci, bdf);
  const [image, writable] = [fromHex(init), fromHex(rw)];
  const bars = barsFromMasks(image, writable);
  return { layout: compileLayout({ name: 'peer', bdf, image, bars }, 'spec'), writable };
}

function homesOf(bars: readonly BarSpec[]): Map<number, number> {
  const homes = new Map<number, number>();
  let [memory, io] = [BAR_WINDOW, IO_WINDOW];
  for (const { bar, kind, sizeBytes } of bars) {
    if (kind === 'rom') continue;
    const next = kind === 'io' ? io : memory;
    const base = Math.ceil(next / sizeBytes) * sizeBytes;
    homes.set(bar, base);
    if (kind === 'io') io = base + sizeBytes;
    else memory = base + sizeBytes;
  }
  return homes;
}

/** Whether a function has a conventional capability. */
export const hasCapability = ({ capabilities }: Layout, id: number): boolean =>
  capabilities.some((c) => !c.extended && c.id === id);
