import type { Socket } from 'node:net';
import { QtestError } from '../qtest-client.ts';

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

/** QEMU's machine protocol, as far as a test bench needs it: commands one after another, and waiting for an event. */
export class QmpClient {
  readonly #socket: Socket;
  readonly #timeoutMs: number;
  readonly #commands: Pending[] = [];
  readonly #events = new Map<string, Pending[]>();
  readonly #greeting: Promise<unknown>;
  #received = '';
  #failure: QtestError | undefined;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    this.#greeting = this.event('greeting');
    this.#greeting.catch(() => {});
    socket.setEncoding('utf8');
    socket.on('data', (text) => this.#receive(text as unknown as string));
    socket.on('error', () => this.#fail());
    socket.on('close', () => this.#fail());
  }

  /** Ends the negotiation phase; must be awaited before the first command. */
  async negotiate(): Promise<void> {
    await this.#greeting;
    await this.execute('qmp_capabilities');
  }

  /** @throws QtestError with QEMU's own words if it refuses */
  execute(command: string, args?: Record<string, unknown>): Promise<unknown> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#socket.write(`${JSON.stringify({ execute: command, ...(args ? { arguments: args } : {}) })}\n`);
    return this.#bounded(this.#commands, `QMP command ${command}`);
  }

  /** The next event of that name from now on. */
  event(name: string): Promise<unknown> {
    const waiting = this.#events.get(name) ?? [];
    this.#events.set(name, waiting);
    return this.#bounded(waiting, `QMP event ${name}`);
  }

  close(): void {
    this.#fail();
  }

  #bounded(queue: Pending[], what: string): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = () => reject(new QtestError(`no answer to ${what} within ${this.#timeoutMs} ms`));
      const timer = setTimeout(late, this.#timeoutMs);
      const done =
        <T>(settle: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          settle(value);
        };
      queue.push({ resolve: done(resolve), reject: done(reject) });
    });
  }

  #receive(text: string): void {
    const lines = (this.#received + text).split('\n');
    this.#received = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') this.#take(JSON.parse(line) as Record<string, unknown>);
  }

  #take(message: Record<string, unknown>): void {
    const event = 'QMP' in message ? 'greeting' : (message['event'] as string | undefined);
    if (event !== undefined) {
      for (const { resolve } of this.#events.get(event)?.splice(0) ?? []) resolve(message);
      return;
    }
    const command = this.#commands.shift();
    const error = message['error'] as { desc: string } | undefined;
    if (error) command?.reject(new QtestError(`QEMU refuses: ${error.desc}`));
    else command?.resolve(message['return']);
  }

  #fail(): void {
    if (this.#failure) return;
    this.#failure = new QtestError('QEMU closed its QMP connection');
    this.#socket.destroy();
    for (const queue of [this.#commands, ...this.#events.values()])
      for (const { reject } of queue.splice(0)) reject(this.#failure);
  }
}
