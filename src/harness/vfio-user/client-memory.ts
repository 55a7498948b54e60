import type { DmaMemory } from '../../pci/index.ts';
import { DmaMap } from './dma-map.ts';
import type { SessionHost } from './session-host.ts';

export interface Posted {
  address: number;
  bytes: Uint8Array;
}

/**
 * A client's memory as its device sees it. Ranges with a descriptor are read and written in place. For the others there
 * are messages, whose answers come later: writes are collected in {@link posted}; a read whose bytes are not here yet
 * falls short, and {@link wanted} says what to fetch before the access that needed it is tried again.
 *
 * Reads and writes go through the file, not through a mapping of it: a client that shortens the file then gets a failed
 * transfer, where touching a mapping would kill this process.
 */
export class ClientMemory implements DmaMemory {
  readonly map: DmaMap;
  /** Writes by message that are to be sent, oldest first. */
  posted: Posted[] = [];
  /** The first read that could not be answered since {@link begin}. */
  wanted: { address: number; length: number } | undefined;
  readonly #host: SessionHost;
  readonly #fetched = new Map<string, Uint8Array | undefined>();

  constructor(host: SessionHost) {
    this.#host = host;
    this.map = new DmaMap(host);
  }

  /** Call before an attempt. */
  begin(): void {
    this.wanted = undefined;
  }

  /** What a fetch brought; undefined: the client refused it, and the device sees a failed read. */
  fetched(address: number, length: number, bytes: Uint8Array | undefined): void {
    this.#fetched.set(`${address} ${length}`, bytes);
  }

  /** Forgets what was fetched. */
  forget(): void {
    this.#fetched.clear();
  }

  readBytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length && !this.wanted) {
      const place = this.map.find(address + done);
      if (!place?.range.readable) break;
      const part = Math.min(length - done, place.left);
      if (place.range.fd >= 0) {
        const got = this.#readFully(
          place.range.fd,
          bytes.subarray(done, done + part),
          place.range.fileOffset + place.offset,
        );
        done += got;
        if (got < part) break;
      } else {
        const key = `${address + done} ${part}`;
        if (!this.#fetched.has(key)) this.wanted = { address: address + done, length: part };
        const fetched = this.#fetched.get(key);
        if (!fetched) break;
        bytes.set(fetched, done);
        done += part;
      }
    }
    return done === length ? bytes : bytes.subarray(0, done);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length && !this.wanted; ) {
      const place = this.map.find(address + done);
      if (!place?.range.writable) return;
      const part = Math.min(bytes.length - done, place.left);
      const piece = bytes.subarray(done, done + part);
      if (place.range.fd >= 0) this.#writeFully(place.range.fd, piece, place.range.fileOffset + place.offset);
      else this.posted.push({ address: address + done, bytes: piece.slice() });
      done += part;
    }
  }

  #readFully(fd: number, into: Uint8Array, position: number): number {
    let done = 0;
    try {
      for (let got = 1; got > 0 && done < into.length; done += got)
        got = this.#host.readFile(fd, into, done, position + done);
    } catch {
      // a transfer that fails: what came before it counts
    }
    return done;
  }

  /** What does not fit any more is lost, as a write to memory that is gone. */
  #writeFully(fd: number, bytes: Uint8Array, position: number): void {
    try {
      for (let done = 0; done < bytes.length; ) done += this.#host.writeFile(fd, bytes, done, position + done);
    } catch {
      // as above
    }
  }
}
