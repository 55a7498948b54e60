import { ones, type Width } from '../../../src/core/index.ts';
import type { QtestMachine } from '../../../src/harness/qemu/process.ts';
import { QtestClient } from '../../../src/harness/qtest-client.ts';
import type { DmaMemory, EmulatedFunction } from '../../../src/pci/index.ts';
import { HostBridge, PciBus } from '../../../src/pci/index.ts';
import { socketPair } from '../socket-pair.ts';

const ECAM = 0xb000_0000;
const WIDTH = { b: 1, w: 2, l: 4, q: 8 } as const;

/** Memory from 0, for the protocol and for functions as bus masters. */
export class FakeRam implements DmaMemory {
  readonly bytes = new Uint8Array(64 << 20);

  readBytes(address: number, length: number): Uint8Array {
    return this.bytes.slice(address, address + length);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    this.bytes.set(bytes, address);
  }
}

/** A q35 of our own functions behind the qtest protocol, always with ECAM; and memory. */
export class FakeMachine implements QtestMachine {
  readonly machine = 'q35';
  readonly qtest: QtestClient;
  readonly #host: HostBridge;
  readonly #functions: readonly EmulatedFunction[];
  readonly #ram: Uint8Array;
  /** Before each write is carried out. */
  onWrite: () => void = () => {};

  private constructor(functions: readonly EmulatedFunction[], qtest: QtestClient, ram: FakeRam) {
    this.#ram = ram.bytes;
    const bus = new PciBus();
    for (const fn of functions) bus.attach(fn);
    this.#host = new HostBridge(bus, { flavour: 'qemu-7.2' });
    this.#functions = functions;
    this.qtest = qtest;
  }

  static async start(functions: readonly EmulatedFunction[], ram = new FakeRam()): Promise<FakeMachine> {
    const [ours, theirs] = await socketPair();
    const machine = new FakeMachine(functions, new QtestClient(ours), ram);
    let rest = '';
    theirs.setEncoding('latin1').on('data', (text) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop()!;
      theirs.write(lines.map((line) => `${machine.#answer(line.split(' '))}\n`).join(''));
    });
    return machine;
  }

  async reset(): Promise<void> {
    this.#host.root.reset('conventional');
  }

  #answer([verb, at, ...args]: string[]): string {
    const address = Number(at);
    const width = WIDTH[verb.slice(-1) as keyof typeof WIDTH];
    switch (verb) {
      case 'inb':
      case 'inw':
      case 'inl':
        return `OK ${this.#host.readPort(address, width as Width)}`;
      case 'outb':
      case 'outw':
      case 'outl':
        this.onWrite();
        this.#host.writePort(address, width as Width, Number(args[0]));
        return this.#drained();
      case 'b64read': {
        const words = Array.from({ length: Number(args[0]) / 4 }, (_, i) => Number(this.#read(address + 4 * i, 4)));
        return `OK ${Buffer.from(Uint32Array.from(words).buffer).toString('base64')}`;
      }
      case 'b64write':
        this.#ram.set(Buffer.from(args[1], 'base64'), address);
        return 'OK';
      case 'irq_intercept_in':
        return 'FAIL there is no interrupt controller';
      default:
        if (verb.startsWith('read')) return `OK 0x${this.#read(address, width).toString(16)}`;
        this.onWrite();
        this.#write(address, width, BigInt(args[0]));
        return this.#drained();
    }
  }

  #read(address: number, width: number): bigint {
    if (address >= ECAM && address < ECAM + 0x1000_0000) {
      const { lo, hi } = this.#host.readEcam(address - ECAM, width);
      return (BigInt(hi) << 32n) | BigInt(lo);
    }
    const bytes = address < this.#ram.length ? this.#ram.subarray(address, address + width) : undefined;
    if (bytes) return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
    if (width < 8) return BigInt(this.#host.readMemory(address, width as Width));
    return (this.#read(address + 4, 4) << 32n) | this.#read(address, 4);
  }

  #write(address: number, width: number, value: bigint): void {
    const [lo, hi] = [Number(value & 0xffff_ffffn), Number(value >> 32n)];
    if (address >= ECAM && address < ECAM + 0x1000_0000) this.#host.writeEcam(address - ECAM, width, lo, hi);
    else if (address < this.#ram.length)
      for (let i = 0; i < width; i++) this.#ram[address + i] = Number((value >> BigInt(8 * i)) & 0xffn);
    else if (width < 8) this.#host.writeMemory(address, width as Width, lo & ones(width as Width));
    else {
      this.#write(address, 4, value & 0xffff_ffffn);
      this.#write(address + 4, 4, value >> 32n);
    }
  }

  /** Messages go to memory, as writes do that hit it. */
  #drained(): string {
    for (const fn of this.#functions)
      for (const effect of fn.effects.splice(0))
        if (effect.kind === 'message' && effect.addressHi === 0)
          this.#write(effect.addressLo >>> 0, 4, BigInt(effect.data));
    return 'OK';
  }
}
