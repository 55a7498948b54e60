import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, u32s } from './client.ts';
import { until } from './setup.ts';

/** Guest memory from address 0, in a file whose descriptor the client passes, or in the client alone. */
export interface GuestMemory {
  read(at: number, length: number): Buffer;
  write(at: number, bytes: Uint8Array): void;
  close(): void;
}

export const RAM_BYTES = 1 << 20;

/** Maps guest memory: `shared` passes a file, `unshared` leaves the server with messages. */
export async function mapMemory(client: Client, directory: string, kind: 'shared' | 'unshared'): Promise<GuestMemory> {
  if (kind === 'unshared') {
    const bytes = (client.ram.bytes = new Uint8Array(RAM_BYTES));
    await client.mapRam(RAM_BYTES);
    return {
      read: (at, length) => Buffer.from(bytes.slice(at, at + length)),
      write: (at, data) => bytes.set(data, at),
      close() {},
    };
  }
  const fd = openSync(join(directory, 'ram'), 'w+');
  ftruncateSync(fd, RAM_BYTES + 8192);
  await client.mapRam(RAM_BYTES, [fd], 0n, 4096n);
  return {
    read: (at, length) => {
      const bytes = Buffer.alloc(length);
      readSync(fd, bytes, 0, length, 4096 + at);
      return bytes;
    },
    write: (at, data) => void writeSync(fd, data, 0, data.length, 4096 + at),
    close: () => closeSync(fd),
  };
}

const DEPTH = 16;
/** Pages of guest memory: queues of pair q from 0x1000 × (2q + 1), data beyond. */
const sqOf = (q: number) => 0x1000 * (2 * q + 1);
const cqOf = (q: number) => 0x1000 * (2 * q + 2);

/** The little of an NVMe driver that brings a controller up and moves blocks (NVMe 1.4). */
export class NvmeClient {
  readonly #client: Client;
  readonly #memory: GuestMemory;
  readonly #rings = new Map<number, { tail: number; head: number; phase: number }>();
  #cid = 0;

  constructor(client: Client, memory: GuestMemory) {
    this.#client = client;
    this.#memory = memory;
  }

  /** Bus mastering on, MSI-X on with `vectors`, admin queue up. */
  async enable(msixControl: number, vectors: number[]): Promise<void> {
    const client = this.#client;
    await client.write(7, 4, Buffer.from([6, 4]));
    await client.write(7, msixControl, Buffer.from([0, 0xc0]));
    await client.setIrqs(0x24, 2, 0, vectors.length, vectors);
    await client.write(7, msixControl, Buffer.from([0, 0x80]));
    await client.write32(0, 0x14, 0);
    await client.write32(0, 0x24, (DEPTH - 1) | ((DEPTH - 1) << 16));
    await client.write(0, 0x28, u32s(sqOf(0), 0, cqOf(0), 0));
    this.#newRing(0);
    await client.write32(0, 0x14, 0x00460001);
    if ((await client.read32(0, 0x1c)) !== 1) throw new Error('not ready');
  }

  async createPair(q: number): Promise<void> {
    this.#newRing(q);
    const size = q | ((DEPTH - 1) << 16);
    await this.run(0, 0x05, { prp: [cqOf(q), 0], cdw: [size, 3 | (q << 16)] });
    await this.run(0, 0x01, { prp: [sqOf(q), 0], cdw: [size, 1 | (q << 16)] });
  }

  async identify(page: number): Promise<Buffer> {
    await this.run(0, 0x06, { prp: [page, 0], cdw: [1] });
    return this.#memory.read(page, 4096);
  }

  /** Reads or writes blocks at a buffer that begins on a page and is longer than two, through a PRP list. */
  io(q: number, write: boolean, lba: number, buffer: number, bytes: number, list: number): Promise<void> {
    const pages = bytes / 4096 - 1;
    this.#memory.write(list, u32s(...Array.from({ length: pages }, (_, i) => [buffer + 4096 * (i + 1), 0]).flat()));
    return this.run(q, write ? 1 : 2, { nsid: 1, prp: [buffer, list], cdw: [lba, 0, bytes / 512 - 1] });
  }

  /** One command to its completion, which must be a success. */
  async run(q: number, opcode: number, { nsid = 0, prp, cdw }: { nsid?: number; prp: number[]; cdw: number[] }) {
    await this.submit(q, opcode, nsid, prp, cdw);
    const status = await this.completion(q);
    if (status !== 0) throw new Error(`opcode ${opcode}: status ${status.toString(16)}`);
  }

  async submit(q: number, opcode: number, nsid: number, prp: number[], cdw: number[]): Promise<void> {
    const ring = this.#rings.get(q)!;
    const entry = Buffer.alloc(64);
    entry.set(u32s(opcode | (this.#cid++ << 16), nsid));
    entry.set(u32s(prp[0], 0, prp[1], 0, ...cdw), 24);
    this.#memory.write(sqOf(q) + 64 * ring.tail, entry);
    ring.tail = (ring.tail + 1) % DEPTH;
    await this.#client.write32(0, 0x1000 + 8 * q, ring.tail);
  }

  async completion(q: number): Promise<number> {
    const ring = this.#rings.get(q)!;
    const at = cqOf(q) + 16 * ring.head;
    let status = 0;
    await until(() => {
      status = this.#memory.read(at, 16).readUInt16LE(14);
      return (status & 1) === ring.phase;
    });
    ring.head = (ring.head + 1) % DEPTH;
    if (ring.head === 0) ring.phase ^= 1;
    await this.#client.write32(0, 0x1004 + 8 * q, ring.head);
    return status >> 1;
  }

  #newRing(q: number): void {
    this.#memory.write(sqOf(q), Buffer.alloc(8192));
    this.#rings.set(q, { tail: 0, head: 0, phase: 1 });
  }
}
