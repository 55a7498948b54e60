import { closeSync } from 'node:fs';
import { FD_WORDS, type FdSockets, READABLE } from '../../../src/harness/vfio-user/index.ts';

export interface Reply {
  errno: number;
  failed: boolean;
  payload: Buffer;
}

/** Memory that a client offers for DMA by message, from address 0. */
export interface ClientRam {
  bytes: Uint8Array;
  /** DMA commands seen, oldest first. */
  log: string[];
  /** Answers with this errno instead. */
  refuse?: number;
}

const NONE = new Int32Array(0);
const EAGAIN = 11;

/** A vfio-user client that knows the protocol's text and nothing of the server's code, but for the way descriptors go. */
export class Client {
  readonly fd: number;
  readonly ram: ClientRam = { bytes: new Uint8Array(0), log: [] };
  /** False: DMA commands are left unanswered. */
  answersDma = true;
  /** Resolves when the server has closed the connection. */
  readonly ended: Promise<void>;
  /** True while commands wait for replies, in which DMA must not come: QEMU would hang. */
  readonly violations: string[] = [];
  readonly #sockets: FdSockets;
  readonly #watch: number;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #received = Buffer.alloc(0);
  #lastId = 0;
  #end!: () => void;
  #open = true;

  constructor(sockets: FdSockets, path: string) {
    this.#sockets = sockets;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.fd = sockets.connect(path);
    if (this.fd < 0) throw new Error(`connect: errno ${-this.fd}`);
    this.#watch = sockets.watch(this.fd, () => this.#ready());
    sockets.setEvents(this.#watch, READABLE);
  }

  /** A client that has agreed on a version. */
  static async open(
    sockets: FdSockets,
    path: string,
    capabilities: object = { write_multiple: true },
  ): Promise<Client> {
    const client = new Client(sockets, path);
    const reply = await client.request(1, version({ capabilities }));
    if (reply.failed) throw new Error(`VERSION: errno ${reply.errno}`);
    return client;
  }

  /** Sends one command and gives its reply, see {@link expect}. */
  request(
    command: number,
    payload: Uint8Array = NOTHING,
    fds: number[] = [],
    send: (bytes: Buffer, fds: number[]) => void = (bytes, fds) => this.sendRaw(bytes, fds),
  ): Promise<Reply> {
    const id = (this.#lastId = (this.#lastId + 1) & 0xffff);
    const reply = this.expect(id);
    send(message(id, command, payload), fds);
    return reply;
  }

  /** The reply to a message of this id; never settles if the connection ends first. */
  expect(id: number): Promise<Reply> {
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array, fds: number[] = []): void {
    let from = 0;
    let left = Int32Array.from(fds);
    while (from < bytes.length) {
      const sent = this.#sockets.send(this.fd, bytes, from, bytes.length, left);
      if (sent === -EAGAIN) throw new Error('the socket is full');
      if (sent < 0) return; // the server has closed; `ended` tells
      from += sent;
      left = NONE;
    }
  }

  /** Bytes that the socket takes without waiting, or −errno. */
  sendSome(bytes: Uint8Array, fds: number[] = []): number {
    return this.#sockets.send(this.fd, bytes, 0, bytes.length, Int32Array.from(fds));
  }

  /** How many bytes were sent: none while the socket is full, all of them if the server has closed. */
  trySend(bytes: Uint8Array, fds: number[]): number {
    const sent = this.sendSome(bytes, fds);
    return sent === -EAGAIN ? 0 : sent < 0 ? bytes.length : sent;
  }

  async read(region: number, offset: number, count: number): Promise<Buffer> {
    const { failed, errno, payload } = await this.request(9, access(offset, region, count));
    if (failed) throw new Error(`read: errno ${errno}`);
    return payload.subarray(16);
  }

  async read32(region: number, offset: number): Promise<number> {
    return (await this.read(region, offset, 4)).readUInt32LE();
  }

  async write(region: number, offset: number, data: Uint8Array): Promise<void> {
    const { failed, errno } = await this.request(10, Buffer.concat([access(offset, region, data.length), data]));
    if (failed) throw new Error(`write: errno ${errno}`);
  }

  write32(region: number, offset: number, value: number): Promise<void> {
    return this.write(region, offset, u32s(value));
  }

  setIrqs(flags: number, index: number, start: number, count: number, fds: number[] = [], data: Uint8Array = NOTHING) {
    return this.request(8, Buffer.concat([u32s(20 + data.length, flags, index, start, count), data]), fds);
  }

  mapRam(bytes: number, fds: number[] = [], address = 0n, fileOffset = 0n): Promise<Reply> {
    return this.request(2, dmaMap({ address, size: BigInt(bytes), fileOffset }), fds);
  }

  /** Reads nothing from now on. */
  stopReading(): void {
    this.#sockets.setEvents(this.#watch, 0);
  }

  resumeReading(): void {
    this.#sockets.setEvents(this.#watch, READABLE);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#sockets.setEvents(this.#watch, -1);
    closeSync(this.fd);
    this.#end();
  }

  #ready(): void {
    const buffer = new Uint8Array(1 << 16);
    const fds = new Int32Array(FD_WORDS);
    const got = this.#sockets.receive(this.fd, buffer, 0, fds);
    for (let i = 0; i < fds[0]; i++) closeSync(fds[2 + i]);
    if (got === -EAGAIN) return;
    if (got <= 0) {
      this.close();
      return;
    }
    this.#received = Buffer.concat([this.#received, buffer.subarray(0, got)]);
    while (this.#received.length >= 16 && this.#received.length >= this.#received.readUInt32LE(4)) {
      const size = this.#received.readUInt32LE(4);
      this.#take(this.#received.subarray(0, size));
      this.#received = this.#received.subarray(size);
    }
  }

  #take(bytes: Buffer): void {
    const id = bytes.readUInt16LE(0);
    const flags = bytes.readUInt32LE(8);
    if ((flags & 0xf) === 0) {
      this.#serve(id, bytes);
      return;
    }
    const resolve = this.#waiting.get(id);
    this.#waiting.delete(id);
    resolve?.({ failed: (flags & 0x20) !== 0, errno: bytes.readUInt32LE(12), payload: bytes.subarray(16) });
  }

  #serve(id: number, bytes: Buffer): void {
    const command = bytes.readUInt16LE(2);
    const address = Number(bytes.readBigUInt64LE(16));
    const count = Number(bytes.readBigUInt64LE(24));
    this.ram.log.push(`${command === 11 ? 'read' : 'write'} ${address} ${count}`);
    if (this.#waiting.size > 0) this.violations.push(this.ram.log.at(-1)!);
    if (!this.answersDma) return;
    if (this.ram.refuse !== undefined) {
      this.sendRaw(message(id, command, NOTHING, 0x21, this.ram.refuse));
      return;
    }
    if (command === 12) this.ram.bytes.set(bytes.subarray(32), address);
    const data = command === 11 ? this.ram.bytes.subarray(address, address + count) : NOTHING;
    this.sendRaw(message(id, command, Buffer.concat([bytes.subarray(16, 32), data]), 1));
  }
}

const NOTHING = Buffer.alloc(0);

export function message(id: number, command: number, payload: Uint8Array = NOTHING, flags = 0, errno = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt16LE(id, 0);
  header.writeUInt16LE(command, 2);
  header.writeUInt32LE(16 + payload.length, 4);
  header.writeUInt32LE(flags, 8);
  header.writeUInt32LE(errno, 12);
  return Buffer.concat([header, payload]);
}

export function version(json: unknown, major = 0, minor = 0): Buffer {
  const text = typeof json === 'string' ? json : `${JSON.stringify(json)}\0`;
  return Buffer.concat([Buffer.from([major, 0, minor, 0]), Buffer.from(text)]);
}

export function u32s(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => void bytes.writeUInt32LE(value >>> 0, 4 * i));
  return bytes;
}

/** Offset, region, count, as region accesses begin. */
export function access(offset: number | bigint, region: number, count: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(BigInt(offset), 0);
  bytes.writeUInt32LE(region, 8);
  bytes.writeUInt32LE(count, 12);
  return bytes;
}

export function dmaMap(map: {
  address: bigint;
  size: bigint;
  fileOffset?: bigint;
  flags?: number;
  argsz?: number;
}): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(map.argsz ?? 32, 0);
  bytes.writeUInt32LE(map.flags ?? 3, 4);
  bytes.writeBigUInt64LE(map.fileOffset ?? 0n, 8);
  bytes.writeBigUInt64LE(map.address, 16);
  bytes.writeBigUInt64LE(map.size, 24);
  return bytes;
}

export function dmaUnmap(address: bigint, size: bigint, flags = 0): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(24, 0);
  bytes.writeUInt32LE(flags, 4);
  bytes.writeBigUInt64LE(address, 8);
  bytes.writeBigUInt64LE(size, 16);
  return bytes;
}
