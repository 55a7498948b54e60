import { closeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { FD_WORDS, type FdSockets, READABLE, WRITABLE } from '../../harness/vfio-user/index.ts';
import { PeerLost, PeerRefusal } from './peer.ts';

/** Commands that a client sends; reference: QEMU's docs/interop/vfio-user.rst. */
export const COMMAND = {
  version: 1,
  getInfo: 4,
  getRegionInfo: 5,
  getIrqInfo: 7,
  setIrqs: 8,
  regionRead: 9,
  regionWrite: 10,
  reset: 13,
} as const;

/** Longest wait for a reply; QEMU waits as long. */
const PATIENCE_MS = 5000;
const HEADER_BYTES = 16;
const FLAG = { typeMask: 0xf, reply: 1, error: 0x20 } as const;
/** Larger replies nobody asks for here. */
const MAX_REPLY_BYTES = 1 << 20;
const EAGAIN = 11;
const EINVAL = 22;
const NOTHING = new Uint8Array(0);

interface Waiting {
  command: number;
  resolve(payload: Buffer): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/**
 * The client's end of vfio-user, knowing nothing of our server. Commands may be given without waiting for the replies of
 * those before. No memory is offered: DMA is refused.
 */
export class VfioUserClient {
  readonly #sockets: FdSockets;
  readonly #fd: number;
  readonly #watch: number;
  readonly #waiting = new Map<number, Waiting>();
  #received: Buffer = Buffer.alloc(0);
  #out: { bytes: Buffer; fds: Int32Array }[] = [];
  #lastId = 0;
  #lost: PeerLost | undefined;

  /** @throws PeerLost if nobody listens there */
  constructor(sockets: FdSockets, path: string) {
    this.#sockets = sockets;
    this.#fd = sockets.connect(path);
    if (this.#fd < 0) throw new PeerLost(`cannot connect to ${path}: ${getSystemErrorName(this.#fd)}`);
    this.#watch = sockets.watch(this.#fd, (events) => this.#ready(events));
    sockets.setEvents(this.#watch, READABLE);
  }

  /** Sends a command. @returns the payload of its reply; rejects with PeerRefusal or PeerLost */
  request(command: number, payload: Uint8Array = NOTHING, fds: readonly number[] = []): Promise<Buffer> {
    if (this.#lost) return Promise.reject(this.#lost);
    do this.#lastId = (this.#lastId + 1) & 0xffff;
    while (this.#waiting.has(this.#lastId));
    const id = this.#lastId;
    const promise = new Promise<Buffer>((resolve, reject) => {
      const timer = setTimeout(
        () => this.#lose(`no reply to command ${command} in ${PATIENCE_MS / 1000} s`),
        PATIENCE_MS,
      );
      this.#waiting.set(id, { command, resolve, reject, timer });
    });
    this.#send(encode(id, command, 0, 0, payload), fds);
    return promise;
  }

  close(): void {
    this.#lose('closed');
  }

  #send(bytes: Buffer, fds: readonly number[] = []): void {
    this.#out.push({ bytes, fds: Int32Array.from(fds) });
    if (this.#out.length === 1) this.#flush();
  }

  #flush(): void {
    while (this.#out.length > 0 && !this.#lost) {
      const next = this.#out[0];
      const sent = this.#sockets.send(this.#fd, next.bytes, 0, next.bytes.length, next.fds);
      if (sent === -EAGAIN) break;
      if (sent < 0) {
        this.#lose(`send: ${getSystemErrorName(sent)}`);
        return;
      }
      next.fds = new Int32Array(0);
      next.bytes = next.bytes.subarray(sent);
      if (next.bytes.length === 0) this.#out.shift();
    }
    if (!this.#lost) this.#sockets.setEvents(this.#watch, READABLE | (this.#out.length > 0 ? WRITABLE : 0));
  }

  #ready(events: number): void {
    if (events & WRITABLE) this.#flush();
    if (this.#lost || !(events & READABLE)) return;
    const buffer = Buffer.allocUnsafe(1 << 16);
    const fds = new Int32Array(FD_WORDS);
    const got = this.#sockets.receive(this.#fd, buffer, 0, fds);
    for (let i = 0; i < fds[0]; i++) closeSync(fds[2 + i]); // of regions that could be mapped
    if (got === -EAGAIN) return;
    if (got <= 0) {
      this.#lose('the server closed the connection');
      return;
    }
    const part = buffer.subarray(0, got);
    this.#received = this.#received.length > 0 ? Buffer.concat([this.#received, part]) : part;
    while (!this.#lost && this.#received.length >= HEADER_BYTES) {
      const size = this.#received.readUInt32LE(4);
      if (size < HEADER_BYTES || size > MAX_REPLY_BYTES) this.#lose(`a message of ${size} bytes`);
      if (this.#lost || this.#received.length < size) break;
      this.#take(this.#received.subarray(0, size));
      this.#received = this.#received.subarray(size);
    }
  }

  #take(message: Buffer): void {
    const id = message.readUInt16LE(0);
    const command = message.readUInt16LE(2);
    const flags = message.readUInt32LE(8);
    if ((flags & FLAG.typeMask) !== FLAG.reply) {
      this.#send(encode(id, command, FLAG.reply | FLAG.error, EINVAL));
      return;
    }
    const waiting = this.#waiting.get(id);
    if (waiting?.command !== command) {
      this.#lose(`a reply to nothing: command ${command}, id ${id}`);
      return;
    }
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    const errno = message.readUInt32LE(12);
    if (flags & FLAG.error) waiting.reject(new PeerRefusal(errnoName(errno)));
    else waiting.resolve(message.subarray(HEADER_BYTES));
  }

  #lose(why: string): void {
    if (this.#lost) return;
    this.#lost = new PeerLost(why);
    this.#sockets.setEvents(this.#watch, -1);
    closeSync(this.#fd);
    for (const { timer, reject } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#lost);
    }
    this.#waiting.clear();
  }
}

function errnoName(errno: number): string {
  if (errno === 0) return 'errno 0';
  try {
    return getSystemErrorName(-errno);
  } catch {
    return `errno ${errno}`;
  }
}

function encode(id: number, command: number, flags: number, errno: number, payload: Uint8Array = NOTHING): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + payload.length);
  bytes.writeUInt16LE(id, 0);
  bytes.writeUInt16LE(command, 2);
  bytes.writeUInt32LE(bytes.length, 4);
  bytes.writeUInt32LE(flags, 8);
  bytes.writeUInt32LE(errno, 12);
  bytes.set(payload, HEADER_BYTES);
  return bytes;
}
