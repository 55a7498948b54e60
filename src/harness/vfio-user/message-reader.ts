import { MOST_FDS } from './fd-sockets.ts';
import { FLAG, HEADER_BYTES, MAX_MESSAGE_BYTES, ProtocolError } from './protocol.ts';

/** A header's fields and what follows it, valid until more is received. */
export class Message {
  readonly id: number;
  readonly command: number;
  readonly isReply: boolean;
  readonly noReply: boolean;
  /** Of a reply: the error bit and the number beside it. */
  readonly failed: boolean;
  readonly errno: number;
  /** All that was received; the payload is the `payloadBytes` from `at` on. */
  readonly view: DataView;
  readonly at: number;
  readonly payloadBytes: number;
  /** Descriptors that came with it; whoever handles the message takes them out of the list or closes them. */
  readonly fds: number[] = [];
  /** True if some descriptors did not fit into this process. */
  fdsLost = false;

  /** Of a header at `from` that was checked. */
  constructor(view: DataView, from: number, size: number, flags: number) {
    this.id = view.getUint16(from, true);
    this.command = view.getUint16(from + 2, true);
    this.isReply = (flags & FLAG.typeMask) === FLAG.reply;
    this.noReply = (flags & FLAG.noReply) !== 0;
    this.failed = (flags & FLAG.error) !== 0;
    this.errno = view.getUint32(from + 12, true);
    this.view = view;
    this.at = from + HEADER_BYTES;
    this.payloadBytes = size - HEADER_BYTES;
  }

  /** Made when asked for: a view of its own for each message would cost more than answering a read. */
  get payload(): Uint8Array {
    return new Uint8Array(this.view.buffer, this.at, this.payloadBytes);
  }
}

/** Enough for a burst of many small messages; grows for a longer one. */
const INITIAL_BYTES = 1 << 16;

/**
 * Cuts a stream of bytes into messages, however it arrives, and finds the message that descriptors belong to.
 *
 * Linux ends a read at the last byte of the piece that carried the descriptors, as it was sent or as far as there was
 * room (`net/unix/af_unix.c: unix_stream_read_generic`), so they belong to the message that holds the last byte read.
 */
export class MessageReader {
  #buffer = new Uint8Array(INITIAL_BYTES);
  #view = new DataView(this.#buffer.buffer);
  #from = 0;
  #to = 0;
  /** Descriptors not handed out yet, with the place of the byte that they came with. */
  #held: { at: number; fds: number[]; lost: boolean }[] = [];

  /** Where to put what is received next: into `buffer` from `at` to its end, which is at least one byte. */
  room(): { buffer: Uint8Array; at: number } {
    if (this.#from > 0) this.#compact();
    const size = this.#to >= HEADER_BYTES ? this.#view.getUint32(4, true) : 0;
    if (size > this.#buffer.length) {
      const larger = new Uint8Array(size); // a size beyond the limit was refused by next()
      larger.set(this.#buffer.subarray(0, this.#to));
      this.#buffer = larger;
      this.#view = new DataView(larger.buffer);
    }
    return { buffer: this.#buffer, at: this.#to };
  }

  /** `count` > 0 bytes were put there, and descriptors came with them. */
  received(count: number, fds: number[], lost: boolean): void {
    this.#to += count;
    if (fds.length > 0 || lost) this.#held.push({ at: this.#to - 1, fds, lost });
  }

  /**
   * The next whole message, if it is here.
   * @throws ProtocolError at a header that cannot be
   */
  next(): Message | undefined {
    const available = this.#to - this.#from;
    if (available < HEADER_BYTES) return this.#incomplete();
    const from = this.#from;
    const size = this.#view.getUint32(from + 4, true);
    const flags = this.#view.getUint32(from + 8, true);
    const type = flags & FLAG.typeMask;
    if (size < HEADER_BYTES || size > MAX_MESSAGE_BYTES) throw new ProtocolError(`a message of ${size} bytes`);
    if (type > FLAG.reply) throw new ProtocolError(`a message of type ${type}`);
    if (available < size) return this.#incomplete();
    const message = new Message(this.#view, from, size, flags);
    const end = from + size;
    while (this.#held.length > 0 && this.#held[0].at < end) {
      const piece = this.#held.shift()!;
      message.fds.push(...piece.fds);
      message.fdsLost ||= piece.lost;
    }
    this.#from = end;
    return message;
  }

  /** Gives up the descriptors that belong to no message any more, for the caller to close. */
  dispose(): number[] {
    return this.#held.splice(0).flatMap(({ fds }) => fds);
  }

  /** All that is held belongs to the message that has begun. */
  #incomplete(): undefined {
    let count = 0;
    for (const { fds } of this.#held) count += fds.length;
    if (count > MOST_FDS) throw new ProtocolError(`more than ${MOST_FDS} descriptors with one message`);
    return undefined;
  }

  #compact(): void {
    this.#buffer.copyWithin(0, this.#from, this.#to);
    for (const piece of this.#held) piece.at -= this.#from;
    this.#to -= this.#from;
    this.#from = 0;
  }
}
