import { type Width, writeLe } from '../../core/index.ts';
import { CONFIG_ADDRESS, CONFIG_DATA } from '../../pci/index.ts';
import type { QtestMachine } from './process.ts';

/** Where q35's firmware usually puts the window, and so do we. */
const ECAM_BASE = 0xb000_0000;
/** PCIEXBAR of q35's host bridge: address, and bit 0 = enabled. Intel Q35 datasheet §5.1.16. */
const PCIEXBAR = 0x60;

/** By ports 0xCF8 and 0xCFC, or by the ECAM window. */
export type Via = 'c' | 'e';

/** Configuration space of a QEMU's functions, as its processor would reach it. */
export class QemuPci {
  readonly hasEcam: boolean;
  readonly #qemu: QtestMachine;

  constructor(qemu: QtestMachine) {
    this.#qemu = qemu;
    this.hasEcam = qemu.machine.startsWith('q35');
  }

  /** Enables the window, if the machine has one; a reset turns it off. */
  async enableEcam(): Promise<void> {
    if (this.hasEcam) await this.write(0, 'c', PCIEXBAR, 4, ECAM_BASE | 1);
  }

  /** @param offset for `c` the access must stay within a dword */
  async read(bdf: number, via: Via, offset: number, width: Width): Promise<number> {
    const { qtest } = this.#qemu;
    if (via === 'e') return qtest.read(ecamAddress(bdf, offset), width);
    const answers = await Promise.all([this.#select(bdf, offset), qtest.in(CONFIG_DATA + (offset & 3), width)]);
    return answers[1];
  }

  async write(bdf: number, via: Via, offset: number, width: Width, value: number): Promise<void> {
    const { qtest } = this.#qemu;
    if (via === 'e') return qtest.write(ecamAddress(bdf, offset), width, value);
    await Promise.all([this.#select(bdf, offset), qtest.out(CONFIG_DATA + (offset & 3), width, value)]);
  }

  /** The way that reaches most of a function. */
  get best(): Via {
    return this.hasEcam ? 'e' : 'c';
  }

  /** All of a function's space: 4096 bytes, or 256 if it has no more or they are out of reach. */
  async image(bdf: number): Promise<Uint8Array> {
    const bytes = this.hasEcam ? await this.#qemu.qtest.readBytes(ecamAddress(bdf, 0), 4096) : await this.#byPorts(bdf);
    return bytes.subarray(0x100).every((byte) => byte === 0xff) ? bytes.slice(0, 256) : bytes;
  }

  /** Functions that answer on a bus, by bdf. */
  async scan(bus: number): Promise<number[]> {
    const all = Array.from({ length: 256 }, (_, devfn) => (bus << 8) | devfn);
    const ids = await Promise.all(all.map((bdf) => this.read(bdf, 'c', 0, 4)));
    return all.filter((_, i) => ids[i] !== 0xffffffff);
  }

  async #byPorts(bdf: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(256);
    const values = await Promise.all(Array.from({ length: 64 }, (_, i) => this.read(bdf, 'c', 4 * i, 4)));
    for (const [i, value] of values.entries()) writeLe(bytes, 4 * i, 4, value);
    return bytes;
  }

  #select(bdf: number, offset: number): Promise<void> {
    return this.#qemu.qtest.out(CONFIG_ADDRESS, 4, (0x8000_0000 | (bdf << 8) | (offset & 0xfc)) >>> 0);
  }
}

function ecamAddress(bdf: number, offset: number): number {
  return ECAM_BASE + bdf * 0x1000 + offset;
}
