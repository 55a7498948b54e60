import { toHex, type Width } from '../core/index.ts';
import type { PcMachine } from './pc-machine.ts';

/** Most bytes that one command moves. */
const MAX_TRANSFER_BYTES = 4 << 20;
const NUMBER = /^(-?)(0x[0-9a-f]+|0[0-7]*|[1-9]\d*)$/i;
const WIDTHS: Record<string, number> = { b: 1, w: 2, l: 4, q: 8 };
/** Bits of QEMU's clock, int64 nanoseconds. */
const CLOCK_MASK = (1n << 63n) - 1n;

/** Something a command's words do not say; the answer is `FAIL` and this. */
class BadCommand extends Error {}

type Handler = (words: readonly string[]) => string;

/**
 * Commands of the qtest protocol for a machine, one line in, one line out, answers as `system/qtest.c:
 * qtest_process_command` words them. Where QEMU ends with a failed assertion (missing words, bad numbers), the answer is
 * `FAIL` with a reason.
 */
export class QtestInterpreter {
  readonly #machine: PcMachine;
  readonly #handlers = new Map<string, Handler>();
  /** True once the client has asked for the IOAPIC's inputs. */
  interceptsLines = false;
  #intercepting = false;
  #clockNs = 0n;

  constructor(machine: PcMachine) {
    this.#machine = machine;
    for (const [suffix, width] of Object.entries(WIDTHS)) {
      if (width < 8) {
        this.#handlers.set(`in${suffix}`, (words) => this.#in(words, width as Width));
        this.#handlers.set(`out${suffix}`, (words) => this.#out(words, width as Width));
      }
      this.#handlers.set(`read${suffix}`, (words) => this.#readWord(words, width));
      this.#handlers.set(`write${suffix}`, (words) => this.#writeWord(words, width));
    }
    this.#handlers.set('read', (words) => `OK 0x${toHex(this.#readBlock(words))}`);
    this.#handlers.set('b64read', (words) => `OK ${Buffer.from(this.#readBlock(words)).toString('base64')}`);
    this.#handlers.set('write', (words) => this.#write(words));
    this.#handlers.set('b64write', (words) => this.#writeBase64(words));
    this.#handlers.set('memset', (words) => this.#memset(words));
    this.#handlers.set('endianness', () => 'OK little');
    this.#handlers.set('clock_step', (words) => this.#clockStep(words));
    this.#handlers.set('clock_set', (words) => this.#clockSet(words));
    this.#handlers.set('irq_intercept_in', (words) => this.#intercept(words, true));
    this.#handlers.set('irq_intercept_out', (words) => this.#intercept(words, false));
  }

  answer(line: string): string {
    const words = line.replace(/\r$/, '').split(' ');
    const handler = this.#handlers.get(words[0]);
    if (!handler) return words[0] === '' ? 'FAIL empty line' : `FAIL Unknown command '${words[0].slice(0, 64)}'`;
    try {
      return handler(words);
    } catch (error) {
      if (error instanceof BadCommand) return `FAIL ${error.message}`;
      throw error;
    }
  }

  #in(words: readonly string[], width: Width): string {
    const value = this.#machine.readPort(port(words), width);
    return `OK 0x${value.toString(16).padStart(4, '0')}`;
  }

  #out(words: readonly string[], width: Width): string {
    const value = Number(BigInt.asUintN(8 * width, number(words, 2)));
    this.#machine.writePort(port(words), width, value);
    return 'OK';
  }

  #readWord(words: readonly string[], width: number): string {
    const bytes = this.#machine.readMemory(address(words), width);
    return `OK 0x${toHex(bytes.reverse()).padStart(16, '0')}`;
  }

  #writeWord(words: readonly string[], width: number): string {
    const at = address(words);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(number(words, 2));
    this.#machine.writeMemory(at, bytes.subarray(0, width));
    return 'OK';
  }

  #readBlock(words: readonly string[]): Uint8Array {
    return this.#machine.readMemory(address(words), length(words));
  }

  /** Data shorter than the size is filled up with zeros. */
  #write(words: readonly string[]): string {
    const bytes = new Uint8Array(length(words));
    const digits = /^0x((?:[0-9a-f]{2})*)[0-9a-f]?$/i.exec(words[3] ?? '');
    if (!digits) throw new BadCommand('data is 0x and hexadecimal digits');
    bytes.set(Buffer.from(digits[1].slice(0, 2 * bytes.length), 'hex'));
    this.#machine.writeMemory(address(words), bytes);
    return 'OK';
  }

  #writeBase64(words: readonly string[]): string {
    const bytes = new Uint8Array(length(words));
    bytes.set(Buffer.from(words[3] ?? '', 'base64').subarray(0, bytes.length));
    this.#machine.writeMemory(address(words), bytes);
    return 'OK';
  }

  #memset(words: readonly string[]): string {
    const count = number(words, 2) === 0n ? 0 : length(words);
    this.#machine.writeMemory(address(words), new Uint8Array(count).fill(Number(number(words, 3) & 0xffn)));
    return 'OK';
  }

  /** Without a number QEMU steps to the next timer; this machine has none, and stays where it is. */
  #clockStep(words: readonly string[]): string {
    if (words[1]) this.#clockNs = (this.#clockNs + number(words, 1)) & CLOCK_MASK;
    return `OK ${this.#clockNs}`;
  }

  /** The clock never goes back. */
  #clockSet(words: readonly string[]): string {
    const to = number(words, 1) & CLOCK_MASK;
    if (to > this.#clockNs) this.#clockNs = to;
    return `OK ${this.#clockNs}`;
  }

  /** Only the IOAPIC is there to be intercepted; it has no outputs. The first choice stays. */
  #intercept(words: readonly string[], inputs: boolean): string {
    if ((words[1] ?? '').split('/').pop() !== 'ioapic') return 'FAIL Unknown device';
    if (!this.#intercepting) this.interceptsLines = inputs;
    this.#intercepting = true;
    return 'OK';
  }
}

/** Numbers as strtoull with base 0 takes them, modulo 2^64. */
function number(words: readonly string[], index: number): bigint {
  const parts = NUMBER.exec(words[index] ?? '');
  if (!parts) throw new BadCommand(words[index] ? `'${words[index].slice(0, 64)}' is no number` : 'a word is missing');
  const octal = /^0[0-7]+$/.test(parts[2]);
  const value = BigInt(octal ? `0o${parts[2].slice(1)}` : parts[2]);
  if (value >= 1n << 64n) throw new BadCommand(`'${words[index].slice(0, 64)}' does not fit 64 bits`);
  return BigInt.asUintN(64, parts[1] ? -value : value);
}

/** Addresses beyond 2^53 are rounded; nothing is there. */
function address(words: readonly string[]): number {
  return Number(number(words, 1));
}

function port(words: readonly string[]): number {
  const value = number(words, 1);
  if (value > 0xffffn) throw new BadCommand(`port ${words[1].slice(0, 64)} is beyond 0xffff`);
  return Number(value);
}

function length(words: readonly string[]): number {
  const value = number(words, 2);
  if (value === 0n) throw new BadCommand('a size of 0');
  if (value > MAX_TRANSFER_BYTES) throw new BadCommand(`a size beyond ${MAX_TRANSFER_BYTES}`);
  return Number(value);
}
