import { FD_WORDS, READABLE, WRITABLE } from './fd-sockets.ts';
import { type Message, MessageReader } from './message-reader.ts';
import { FLAG, HEADER_BYTES, ProtocolError } from './protocol.ts';
import type { SessionHost } from './session-host.ts';

/** While more than this waits to be sent, no further message is looked at. */
const HIGH_WATER = 1 << 18;
const NO_FDS = new Int32Array(0);
const EAGAIN = 11;
const ECONNRESET = 104;
const EPIPE = 32;

export interface ConnectionHandler {
  /** Descriptors left in the message afterwards are closed. @throws ProtocolError to end the connection */
  message(message: Message): void;
  /** After the messages of one burst. */
  settled(): void;
  /** The connection has ended; `why` unless the client just left. */
  closed(why?: string): void;
}

/** One client's stream: cuts what comes into messages, collects what goes and sends it in as few calls as it can. */
export class Connection {
  readonly #host: SessionHost;
  readonly #fd: number;
  readonly #handler: ConnectionHandler;
  readonly #watch: number;
  readonly #reader = new MessageReader();
  readonly #fds = new Int32Array(FD_WORDS);
  #out = new Uint8Array(1 << 16);
  #view = new DataView(this.#out.buffer);
  #from = 0;
  #to = 0;
  #events = 0;
  #open = true;
  /** True while messages wait in the reader because too much waits to be sent. */
  #stalled = false;

  constructor(host: SessionHost, fd: number, handler: ConnectionHandler) {
    this.#host = host;
    this.#fd = fd;
    this.#handler = handler;
    this.#watch = host.watch(fd, (events) => this.#ready(events));
    this.#wait();
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /**
   * Appends a message of `payloadBytes` to what will be sent; the caller fills in the payload before the next call.
   * @returns where the payload begins in `view`
   */
  append(id: number, command: number, flags: number, payloadBytes: number, errno = 0): { view: DataView; at: number } {
    const size = HEADER_BYTES + payloadBytes;
    this.#reserve(size);
    const at = this.#to;
    this.#view.setUint16(at, id, true);
    this.#view.setUint16(at + 2, command, true);
    this.#view.setUint32(at + 4, size, true);
    this.#view.setUint32(at + 8, flags, true);
    this.#view.setUint32(at + 12, errno, true);
    this.#to += size;
    return { view: this.#view, at: at + HEADER_BYTES };
  }

  /** A reply, if the command wants one. */
  reply(message: Message, payload: Uint8Array): void {
    if (message.noReply) return;
    const { view, at } = this.append(message.id, message.command, FLAG.reply, payload.length);
    new Uint8Array(view.buffer).set(payload, at);
  }

  replyError(message: Message, errno: number): void {
    if (!message.noReply) this.append(message.id, message.command, FLAG.reply | FLAG.error, 0, errno);
  }

  /** Sends what it can of what was appended. */
  flush(): void {
    while (this.#open && this.#from < this.#to) {
      const sent = this.#host.send(this.#fd, this.#out, this.#from, this.#to, NO_FDS);
      if (sent === -EAGAIN) break;
      if (sent < 0) {
        this.close(sent === -EPIPE || sent === -ECONNRESET ? undefined : `send: errno ${-sent}`);
        return;
      }
      this.#from += sent;
    }
    if (this.#from === this.#to) this.#from = this.#to = 0;
    if (!this.#open) return;
    this.#wait();
    if (this.#stalled && !this.#blocked) this.#host.later(() => this.#ready(0));
  }

  close(why?: string): void {
    if (!this.#open) return;
    this.#open = false;
    this.#host.setEvents(this.#watch, -1);
    this.#host.close(this.#fd);
    this.#closeAll(this.#reader.dispose());
    this.#handler.closed(why);
  }

  #ready(events: number): void {
    if (this.#open && events & WRITABLE) this.flush();
    if (this.#open) this.#process(); // what was left when the client stopped reading
    if (this.#open && !this.#stalled && events & READABLE) {
      this.#receive();
      if (this.#open) this.#process();
    }
    if (!this.#open) return;
    if (this.#stalled) this.#wait();
    else this.flush();
    if (this.#open) this.#handler.settled();
  }

  #receive(): void {
    const { buffer, at } = this.#reader.room();
    const got = this.#host.receive(this.#fd, buffer, at, this.#fds);
    if (got === -EAGAIN) return;
    if (got <= 0) this.close(got === 0 || got === -ECONNRESET ? undefined : `receive: errno ${-got}`);
    else this.#reader.received(got, Array.from(this.#fds.subarray(2, 2 + this.#fds[0])), this.#fds[1] !== 0);
  }

  #process(): void {
    this.#stalled = false;
    try {
      while (this.#open) {
        if (this.#blocked) this.flush();
        if (this.#blocked) {
          this.#stalled = true;
          return;
        }
        const message = this.#reader.next();
        if (!message) return;
        try {
          this.#handler.message(message);
        } finally {
          this.#closeAll(message.fds);
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.flush();
      this.close(error.message);
    }
  }

  #closeAll(fds: readonly number[]): void {
    for (const fd of fds) this.#host.close(fd);
  }

  get #blocked(): boolean {
    return this.#to - this.#from > HIGH_WATER;
  }

  #wait(): void {
    const pending = this.#from < this.#to;
    const events = (this.#stalled ? 0 : READABLE) | (pending ? WRITABLE : 0);
    if (events !== this.#events) this.#host.setEvents(this.#watch, (this.#events = events));
  }

  #reserve(size: number): void {
    if (this.#to + size <= this.#out.length) return;
    const pending = this.#to - this.#from;
    const larger = pending + size > this.#out.length ? new Uint8Array(2 * (pending + size)) : this.#out;
    larger.set(this.#out.subarray(this.#from, this.#to));
    this.#out = larger;
    this.#view = new DataView(larger.buffer);
    this.#from = 0;
    this.#to = pending;
  }
}
