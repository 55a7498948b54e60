import { closeSync, readSync } from 'node:fs';
import { UsageError, type Width } from '../../core/index.ts';
import { type FdSockets, loadFdSockets } from '../../harness/vfio-user/index.ts';
import type { BarSpec, FunctionSpec } from '../../pci/index.ts';
import { REGION } from '../access.ts';
import { type Peer, type PeerEvent, PeerLost, PeerRefusal } from './peer.ts';
import { COMMAND, VfioUserClient } from './vfio-user-client.ts';

/** Vectors of each kind that get an eventfd. */
const MOST_VECTORS = 16;
/** Interrupt indices of VFIO: INTx, MSI, MSI-X. */
const IRQS = [0, 1, 2] as const;
const SET_TRIGGER_EVENTFD = 0x24;
const RESET_WORKS = 1;
/** Bytes of configuration space in one read, as QEMU takes them. */
const CHUNK_BYTES = 256;

/** A device of any vfio-user server, by its registers. It is told by eventfds which vectors it signals. */
export class VfioUserPeer implements Peer {
  readonly label: string;
  readonly spec: FunctionSpec;
  readonly #client: VfioUserClient;
  readonly #eventfds: readonly { index: number; vector: number; fd: number }[];

  private constructor(
    label: string,
    spec: FunctionSpec,
    client: VfioUserClient,
    eventfds: { index: number; vector: number; fd: number }[],
  ) {
    this.label = label;
    this.spec = spec;
    this.#client = client;
    this.#eventfds = eventfds;
  }

  /** @throws UsageError if there is no such server, or it lacks what is needed */
  static async open(path: string): Promise<VfioUserPeer> {
    const sockets = loadFdSockets();
    if ('unavailable' in sockets) throw new UsageError(`vfio-user cannot be spoken here: ${sockets.unavailable}`);
    let client: VfioUserClient | undefined;
    try {
      client = new VfioUserClient(sockets, path);
      await client.request(COMMAND.version, version());
      const info = await client.request(COMMAND.getInfo, u32s(16, 0, 0, 0));
      if (!(info.readUInt32LE(4) & RESET_WORKS))
        throw new UsageError(`the device at ${path} says that it cannot be reset, which shrinking needs`);
      await client.request(COMMAND.reset);
      const spec = await describeDevice(client, info.readUInt32LE(8));
      const eventfds = await takeInterrupts(client, sockets);
      return new VfioUserPeer(`vfio-user ${spec.name} at ${path}`, spec, client, eventfds);
    } catch (error) {
      client?.close();
      if (error instanceof PeerLost || error instanceof PeerRefusal)
        throw new UsageError(`no vfio-user device at ${path}: ${error.message}`);
      throw error;
    }
  }

  async read(region: number, offset: number, width: Width): Promise<number> {
    const reply = await this.#client.request(COMMAND.regionRead, access(region, offset, width));
    if (reply.length !== 16 + width) throw new PeerLost(`a read of ${width} bytes was answered with ${reply.length}`);
    return reply.readUIntLE(16, width);
  }

  async write(region: number, offset: number, width: Width, value: number): Promise<void> {
    const data = Buffer.alloc(width);
    data.writeUIntLE(value, 0, width);
    await this.#client.request(COMMAND.regionWrite, Buffer.concat([access(region, offset, width), data]));
  }

  async reset(): Promise<void> {
    await this.#client.request(COMMAND.reset);
  }

  /** A server may signal after its reply to the access, but before it takes the next command but one. */
  async drain(): Promise<PeerEvent[]> {
    for (let i = 0; i < 2; i++) await this.#client.request(COMMAND.getInfo, u32s(16, 0, 0, 0));
    const events: PeerEvent[] = [];
    for (const { index, vector, fd } of this.#eventfds)
      for (let count = countOf(fd); count > 0; count--)
        events.push(index === 0 ? { kind: 'intx' } : { kind: 'message', vector });
    return events;
  }

  async close(): Promise<void> {
    this.#client.close();
    for (const { fd } of this.#eventfds) closeSync(fd);
  }
}

function version(): Buffer {
  const capabilities = { max_msg_fds: MOST_VECTORS, max_data_xfer_size: 1 << 20 };
  return Buffer.from(`\0\0\0\0${JSON.stringify({ capabilities })}\0`);
}

/** Configuration space as it is now, and a BAR for each region that has a size. */
async function describeDevice(client: VfioUserClient, regions: number): Promise<FunctionSpec> {
  const sizes: number[] = [];
  for (let index = 0; index < Math.min(regions, REGION.config + 1); index++) {
    const info = await client.request(COMMAND.getRegionInfo, u32s(32, 0, index, 0, 0, 0, 0, 0));
    sizes[index] = Number(info.readBigUInt64LE(16));
  }
  const configBytes = sizes[REGION.config] ?? 0;
  if (configBytes !== 256 && configBytes !== 4096)
    throw new UsageError(`its configuration space has ${configBytes} bytes, not 256 or 4096`);
  const image = new Uint8Array(configBytes);
  for (let at = 0; at < configBytes; at += CHUNK_BYTES)
    image.set((await client.request(COMMAND.regionRead, access(REGION.config, at, CHUNK_BYTES))).subarray(16), at);
  const bars = sizes
    .slice(0, REGION.config)
    .flatMap((sizeBytes, bar) => (sizeBytes > 0 ? [describeBar(image, bar, sizeBytes)] : []));
  const ids = [2, 0].map((at) => (image[at] | (image[at + 1] << 8)).toString(16).padStart(4, '0')).reverse();
  return { name: ids.join(':'), bdf: 0, image, bars };
}

function describeBar(image: Uint8Array, bar: number, sizeBytes: number): BarSpec {
  if (bar === REGION.rom) return { bar, kind: 'rom', sizeBytes };
  const type = image[0x10 + 4 * bar];
  if (type & 1) return { bar, kind: 'io', sizeBytes };
  const kind = (type & 6) === 4 ? 'mem64' : 'mem32';
  return { bar, kind, sizeBytes, ...(type & 8 && { prefetchable: true }) };
}

/** An eventfd for the first vectors of each kind. */
async function takeInterrupts(client: VfioUserClient, sockets: FdSockets) {
  const taken: { index: number; vector: number; fd: number }[] = [];
  for (const index of IRQS) {
    const info = await client.request(COMMAND.getIrqInfo, u32s(16, 0, index, 0));
    const count = Math.min(info.readUInt32LE(12), MOST_VECTORS);
    if (count === 0) continue;
    const fds = Array.from({ length: count }, () => sockets.eventfd());
    fds.forEach((fd, vector) => void taken.push({ index, vector, fd }));
    await client.request(COMMAND.setIrqs, u32s(20, SET_TRIGGER_EVENTFD, index, 0, count), fds);
  }
  return taken;
}

/** What was added since the last look; the descriptors do not block. */
function countOf(fd: number): number {
  const count = new BigUint64Array(1);
  try {
    readSync(fd, count);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  return Number(count[0]);
}

function u32s(...values: number[]): Buffer {
  return Buffer.from(new Uint32Array(values).buffer);
}

function access(region: number, offset: number, count: number): Buffer {
  return u32s(offset % 2 ** 32, Math.floor(offset / 2 ** 32), region, count);
}
