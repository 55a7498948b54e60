import type { Socket } from 'node:net';
import type { Width } from '../core/index.ts';

/** QEMU refused a command, did not answer in time, or is gone. */
export class QtestError extends Error {
  override readonly name = 'QtestError';
}

export interface QtestOptions {
  /** Longest silence while an answer is awaited. */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 20_000;
const SUFFIX = { 1: 'b', 2: 'w', 4: 'l' } as const;

interface Outstanding {
  line: string;
  resolve: (answer: string) => void;
  reject: (error: Error) => void;
}

/**
 * The client's end of QEMU's qtest protocol (`softmmu/qtest.c`, text lines): port and memory accesses as a processor
 * makes them. Commands need not be awaited one by one: they are sent together and carried out in order, so a thousand
 * accesses cost one round trip. Addresses are guest-physical numbers below 2^53.
 *
 * Every method rejects with {@link QtestError} if QEMU refuses; after a timeout or a lost connection all do.
 */
export class QtestClient {
  /** Lines of interrupt pins that changed, as `raise 5`, since {@link interceptIn}; whoever reads takes them out. */
  readonly irqs: string[] = [];
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #outstanding: Outstanding[] = [];
  #unsent = '';
  #received = '';
  #timer: NodeJS.Timeout | undefined;
  #failure: QtestError | undefined;

  constructor(socket: Socket, options: QtestOptions = {}) {
    this.#socket = socket;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    socket.setEncoding('latin1');
    socket.on('data', (text) => this.#receive(text as unknown as string));
    socket.on('error', (error) => this.#fail(`the connection to QEMU broke: ${error.message}`));
    socket.on('close', () => this.#fail('QEMU closed the connection'));
  }

  /** One command line; the answer without its `OK`. */
  command(line: string): Promise<string> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#outstanding.push({ line, resolve, reject });
      if (this.#unsent === '') queueMicrotask(() => this.#send());
      this.#unsent += `${line}\n`;
    });
  }

  async in(port: number, width: Width): Promise<number> {
    return Number(await this.command(`in${SUFFIX[width]} ${hexOf(port)}`));
  }

  async out(port: number, width: Width, value: number): Promise<void> {
    await this.command(`out${SUFFIX[width]} ${hexOf(port)} ${hexOf(value >>> 0)}`);
  }

  async read(address: number, width: Width): Promise<number> {
    return Number(await this.command(`read${SUFFIX[width]} ${hexOf(address)}`));
  }

  async write(address: number, width: Width, value: number): Promise<void> {
    await this.command(`write${SUFFIX[width]} ${hexOf(address)} ${hexOf(value >>> 0)}`);
  }

  async read64(address: number): Promise<bigint> {
    return BigInt(await this.command(`readq ${hexOf(address)}`));
  }

  async write64(address: number, value: bigint): Promise<void> {
    await this.command(`writeq ${hexOf(address)} 0x${value.toString(16)}`);
  }

  async readBytes(address: number, length: number): Promise<Uint8Array> {
    const bytes = Buffer.from(await this.command(`b64read ${hexOf(address)} ${hexOf(length)}`), 'base64');
    if (bytes.length !== length) throw new QtestError(`QEMU gave ${bytes.length} bytes of ${length}`);
    return new Uint8Array(bytes);
  }

  async writeBytes(address: number, bytes: Uint8Array): Promise<void> {
    const text = Buffer.from(bytes).toString('base64');
    await this.command(`b64write ${hexOf(address)} ${hexOf(bytes.length)} ${text}`);
  }

  /**
   * Lets the virtual clock go on by `ns`, or to the next timer; answers the new time in ns. Only with `-accel qtest`,
   * which Debian's QEMU does not have; with a real accelerator the clock goes by itself.
   */
  async clockStep(ns?: number): Promise<bigint> {
    return BigInt(await this.command(ns === undefined ? 'clock_step' : `clock_step ${ns}`));
  }

  /** From here on changes of the input pins of the device at a QOM path arrive in {@link irqs}. */
  async interceptIn(path: string): Promise<void> {
    await this.command(`irq_intercept_in ${path}`);
  }

  /** Ends the connection; what is still unanswered is rejected. */
  close(): void {
    this.#fail('the connection to QEMU was closed');
  }

  #send(): void {
    const text = this.#unsent;
    this.#unsent = '';
    if (this.#failure) return;
    this.#socket.write(text, 'latin1');
    this.#timer ??= this.#startTimer();
  }

  #startTimer(): NodeJS.Timeout {
    return setTimeout(
      () => this.#fail(`no answer to "${this.#outstanding[0]?.line}" within ${this.#timeoutMs} ms`),
      this.#timeoutMs,
    );
  }

  #receive(text: string): void {
    const lines = (this.#received + text).split('\n');
    this.#received = lines.pop()!;
    for (const line of lines) this.#answer(line.trimEnd());
    if (this.#outstanding.length > 0) this.#timer?.refresh();
    else {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    }
  }

  #answer(line: string): void {
    const [status, rest] = splitWord(line);
    if (status === 'IRQ') {
      this.irqs.push(rest);
      return;
    }
    const command = this.#outstanding.shift();
    if (!command) this.#fail(`QEMU said "${line}" unasked`);
    else if (status === 'OK') command.resolve(rest);
    else command.reject(new QtestError(`QEMU answers "${command.line}" with "${line}"`));
  }

  #fail(why: string): void {
    if (this.#failure) return;
    this.#failure = new QtestError(why);
    clearTimeout(this.#timer);
    this.#socket.destroy();
    for (const { reject } of this.#outstanding.splice(0)) reject(this.#failure);
  }
}

function splitWord(line: string): [string, string] {
  const end = line.indexOf(' ');
  return end < 0 ? [line, ''] : [line.slice(0, end), line.slice(end + 1)];
}

function hexOf(value: number): string {
  return `0x${value.toString(16)}`;
}
