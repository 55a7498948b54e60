import type { Readable, Writable } from 'node:stream';

/** Bytes waiting for a client beyond which it is not listened to. */
export const HIGH_WATER_BYTES = 1 << 20;

/** What one protocol does with its client. */
export interface PeerHandler {
  /** The client sent something. */
  receive(chunk: Buffer): void;
  /** The client reads again: what waited may go on. */
  resume(): void;
  /** The client sends no more. */
  finish(): void;
  /** True while something waits to be carried out. */
  readonly isBusy: boolean;
  /** The conversation is over. Called once. */
  close(): void;
}

/**
 * One client behind a pair of streams: it is read only while it reads, and when the conversation ends, whoever ends it,
 * the streams are closed and problems are told in one line.
 */
export class StreamPeer {
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #log: (line: string) => void;
  readonly #handler: PeerHandler;
  readonly #ended: () => void;
  #inputOver = false;
  #over = false;

  /** @param handle makes the handler, which talks to the client through this peer */
  constructor(
    input: Readable,
    output: Writable,
    log: (line: string) => void,
    handle: (peer: StreamPeer) => PeerHandler,
    ended: () => void,
  ) {
    this.#input = input;
    this.#output = output;
    this.#log = log;
    this.#ended = ended;
    this.#handler = handle(this);
    input.on('data', (chunk: Buffer) => {
      if (!this.#over) this.#handler.receive(chunk);
      this.#settle();
    });
    input.on('end', () => this.#inputEnded());
    input.on('close', () => this.lost());
    input.on('error', (error) => this.lost(describe(error)));
    output.on('drain', () => {
      if (!this.#over) this.#handler.resume();
      this.#settle();
    });
    output.on('close', () => this.lost());
    if (output !== (input as unknown)) output.on('error', (error) => this.lost(describe(error)));
  }

  /** Bytes that the client has not taken yet. */
  get unreadBytes(): number {
    return this.#output.writableLength;
  }

  /** False while the client should read before anything more is done for it. */
  get isReady(): boolean {
    return this.#output.writableLength < HIGH_WATER_BYTES;
  }

  get isOver(): boolean {
    return this.#over;
  }

  write(data: Uint8Array | string): void {
    if (!this.#over) this.#output.write(data);
  }

  log(line: string): void {
    this.#log(line);
  }

  /** Ends the conversation once the client has taken what was written. */
  end(problem?: string): void {
    if (this.#over) return;
    this.#over = true;
    if (problem !== undefined) this.#log(`${problem}; connection closed`);
    this.#handler.close();
    this.#input.resume(); // what else comes is not looked at
    this.#output.end(() => this.#destroy());
  }

  /** Ends the conversation at once. */
  lost(problem?: string): void {
    if (this.#over) return;
    this.#over = true;
    if (problem !== undefined) this.#log(problem);
    this.#handler.close();
    this.#destroy();
  }

  #settle(): void {
    if (this.#over) return;
    if (!this.isReady) this.#input.pause();
    else if (!this.#inputOver) this.#input.resume();
    else if (!this.#handler.isBusy) this.end();
  }

  #inputEnded(): void {
    this.#inputOver = true;
    if (!this.#over) this.#handler.finish();
    this.#settle();
  }

  #destroy(): void {
    this.#input.destroy();
    if (this.#output !== (this.#input as unknown)) this.#output.destroy();
    this.#ended();
  }
}

/** A client that is killed leaves unread bytes behind. */
function describe(error: NodeJS.ErrnoException): string {
  return error.code === 'EPIPE' || error.code === 'ECONNRESET' ? 'went away without reading all' : error.message;
}
