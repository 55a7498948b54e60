import type { ClientMemory } from './client-memory.ts';
import type { Connection } from './connection.ts';
import type { Message } from './message-reader.ts';
import { COMMAND, ProtocolError, u64, viewOf } from './protocol.ts';

/**
 * Bytes of one message, and of all that are on their way at once. They stay well below a socket's buffer (212,992 bytes on
 * Linux): in the guest lane QEMU 11.1.3 fell silent for good soon after a reply of 156 KiB, and never with these bounds.
 */
const PIECE_BYTES = 1 << 15;
const BYTES_IN_FLIGHT = 1 << 16;

interface Transfer {
  command: typeof COMMAND.dmaRead | typeof COMMAND.dmaWrite;
  address: number;
  length: number;
  /** Of a write: its data. */
  bytes?: Uint8Array;
  /** `data` of a read; undefined if the transfer failed. */
  done(data: Uint8Array | undefined): void;
}

/** DMA_READ and DMA_WRITE: commands of the server, answered by the client in its own time. */
export class DmaChannel {
  readonly #connection: Connection;
  readonly #memory: ClientMemory;
  readonly #inFlight = new Map<number, Transfer>();
  #waiting: Transfer[] = [];
  #lastId = 0;
  #bytesInFlight = 0;
  /** The client's limit for one transfer. */
  maxBytes = PIECE_BYTES;

  constructor(connection: Connection, memory: ClientMemory) {
    this.#connection = connection;
    this.#memory = memory;
  }

  /** Reads client memory. `done` gets undefined if any part of it fails. */
  read(address: number, length: number, done: (bytes: Uint8Array | undefined) => void): void {
    const whole = new Uint8Array(length);
    const parts = this.#parts(length);
    let left = parts.length;
    let failed = left === 0;
    for (const [from, count] of parts)
      this.#waiting.push({
        command: COMMAND.dmaRead,
        address: address + from,
        length: count,
        done: (data) => {
          if (data) whole.set(data, from);
          else failed = true;
          if (--left === 0) done(failed ? undefined : whole);
        },
      });
    if (left === 0) done(undefined);
    this.#send();
  }

  /** Writes client memory; `done` is called when all of it is there or has failed. */
  write(address: number, bytes: Uint8Array, done: () => void): void {
    const parts = this.#parts(bytes.length);
    let left = parts.length;
    for (const [from, count] of parts)
      this.#waiting.push({
        command: COMMAND.dmaWrite,
        address: address + from,
        length: count,
        bytes: bytes.subarray(from, from + count),
        done: () => {
          if (--left === 0) done();
        },
      });
    if (left === 0) done();
    this.#send();
  }

  /**
   * A reply of the client.
   * @throws ProtocolError if it answers nothing that was asked
   */
  reply(message: Message): void {
    const transfer = this.#inFlight.get(message.id);
    if (transfer?.command !== message.command) throw new ProtocolError(`a reply to nothing, id ${message.id}`);
    this.#inFlight.delete(message.id);
    this.#bytesInFlight -= transfer.length;
    transfer.done(message.failed ? undefined : answered(transfer, message.payload));
    this.#send();
  }

  #parts(length: number): [from: number, count: number][] {
    const parts: [number, number][] = [];
    const most = Math.min(this.maxBytes, PIECE_BYTES);
    if (most > 0) for (let from = 0; from < length; from += most) parts.push([from, Math.min(most, length - from)]);
    return parts;
  }

  #send(): void {
    while (this.#waiting.length > 0 && this.#bytesInFlight + this.#waiting[0].length <= BYTES_IN_FLIGHT) {
      const transfer = this.#waiting.shift()!;
      const { command, address, length, bytes } = transfer;
      if (!this.#isMapped(transfer)) {
        transfer.done(undefined); // it was unmapped meanwhile; nothing may touch it any more
        continue;
      }
      do this.#lastId = (this.#lastId + 1) & 0xffff;
      while (this.#inFlight.has(this.#lastId));
      this.#inFlight.set(this.#lastId, transfer);
      this.#bytesInFlight += length;
      const { view, at } = this.#connection.append(this.#lastId, command, 0, 16 + (bytes?.length ?? 0));
      view.setBigUint64(at, BigInt(address), true);
      view.setBigUint64(at + 8, BigInt(length), true);
      if (bytes) new Uint8Array(view.buffer).set(bytes, at + 16);
    }
    this.#connection.flush();
  }

  #isMapped({ command, address, length }: Transfer): boolean {
    const place = this.#memory.map.find(address);
    if (!place || place.left < length) return false;
    return command === COMMAND.dmaRead ? place.range.readable : place.range.writable;
  }
}

/** Data of a read's reply; empty for a write, whose reply clients shape differently. */
function answered({ command, address, length }: Transfer, payload: Uint8Array): Uint8Array | undefined {
  if (command === COMMAND.dmaWrite) return new Uint8Array(0);
  if (payload.length !== 16 + length) return undefined;
  const view = viewOf(payload);
  return u64(view, 0) === address && u64(view, 8) === length ? payload.slice(16) : undefined;
}
