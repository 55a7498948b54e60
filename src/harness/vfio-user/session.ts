import { ClientMemory } from './client-memory.ts';
import { Connection } from './connection.ts';
import type { VfioDevice } from './device.ts';
import { DmaChannel } from './dma-channel.ts';
import { Interrupts, SET_IRQS_BYTES } from './interrupts.ts';
import type { Message } from './message-reader.ts';
import {
  COMMAND,
  DEVICE_INFO,
  DMA_UNMAP_ALL,
  ERRNO,
  FLAG,
  IRQ_COUNT,
  MAX_DATA_BYTES,
  ProtocolError,
  REGION_COUNT,
  u64,
  viewOf,
} from './protocol.ts';
import { Regions } from './regions.ts';
import type { SessionHost } from './session-host.ts';
import { negotiate } from './version.ts';
import { Worker } from './worker.ts';

/** A reply's payload, or an errno. */
type Answer = Uint8Array | number;
type Handler = (session: Session, message: Message, view: DataView) => Answer;

const NOTHING = new Uint8Array(0);
/** An index that no function has. */
const NO_REGION = 0xffffffff;

/** One client of one device, from VERSION to the end of the connection. */
export class Session {
  readonly #device: VfioDevice;
  readonly #connection: Connection;
  readonly #memory: ClientMemory;
  readonly #regions: Regions;
  readonly #interrupts: Interrupts;
  readonly #channel: DmaChannel;
  readonly #worker: Worker;
  #greeted = false;
  #writeMultiple = false;

  /** @param ended called once, with the reason unless the client just left */
  constructor(host: SessionHost, fd: number, device: VfioDevice, ended: (why?: string) => void) {
    this.#device = device;
    this.#regions = new Regions(device.fn);
    this.#interrupts = new Interrupts(device.fn, host);
    this.#memory = new ClientMemory(host);
    this.#connection = new Connection(host, fd, {
      message: (message) => this.#handle(message),
      settled: () => this.#worker.run(),
      closed: (why) => {
        this.#worker.dispose();
        device.port.memory = undefined;
        device.fn.effects.length = 0;
        this.#memory.map.clear();
        this.#interrupts.dispose();
        ended(why);
      },
    });
    this.#channel = new DmaChannel(this.#connection, this.#memory);
    this.#worker = new Worker(device, this.#memory, this.#channel, this.#interrupts, (callback) =>
      host.later(callback),
    );
    device.port.memory = this.#memory;
  }

  close(): void {
    this.#connection.close();
  }

  #handle(message: Message): void {
    if (message.isReply) this.#channel.reply(message);
    else if (this.#greeted) this.#execute(message);
    else if (message.command === COMMAND.version) this.#greet(message);
    else this.#refuse(message, `command ${message.command} before VERSION`);
  }

  #execute(message: Message): void {
    if (message.fdsLost) this.#connection.replyError(message, ERRNO.EMFILE);
    else if (message.command === COMMAND.regionRead) this.#read(message);
    else {
      const answer = HANDLERS.get(message.command)?.(this, message, viewOf(message.payload)) ?? ERRNO.EINVAL;
      if (typeof answer === 'number') this.#connection.replyError(message, answer);
      else this.#connection.reply(message, answer);
    }
  }

  #greet(message: Message): void {
    try {
      const { client, reply } = negotiate(message.payload);
      this.#channel.maxBytes = client.maxDataXferSize;
      this.#writeMultiple = client.writeMultiple;
      this.#greeted = true;
      this.#connection.reply(message, reply);
    } catch (error) {
      if (error instanceof ProtocolError) this.#refuse(message, error.message);
      throw error;
    }
  }

  /** Says so to the client, then ends the connection. */
  #refuse(message: Message, why: string): never {
    this.#connection.replyError(message, ERRNO.EINVAL);
    throw new ProtocolError(why);
  }

  /** REGION_READ, straight into what is sent. */
  #read(message: Message): void {
    const { view, at } = message;
    const [offset, region, count] = message.payloadBytes === 16 ? accessOf(view, at) : [0, NO_REGION, 0];
    const refused = count > MAX_DATA_BYTES ? ERRNO.EINVAL : this.#regions.check(region, offset, count);
    if (refused) this.#connection.replyError(message, refused);
    else if (message.noReply) this.#regions.read(region, offset, count, new DataView(new ArrayBuffer(count)), 0);
    else {
      const reply = this.#connection.append(message.id, message.command, FLAG.reply, 16 + count);
      for (let i = 0; i < 16; i += 4) reply.view.setUint32(reply.at + i, view.getUint32(at + i, true), true);
      this.#regions.read(region, offset, count, reply.view, reply.at + 16);
    }
  }

  dmaMap({ payload, fds }: Message, view: DataView): Answer {
    if (payload.length !== 32 || view.getUint32(0, true) < 32 || fds.length > 1) return ERRNO.EINVAL;
    const request = {
      flags: view.getUint32(4, true),
      fileOffset: view.getBigUint64(8, true),
      address: view.getBigUint64(16, true),
      size: view.getBigUint64(24, true),
    };
    const failed = this.#memory.map.add(request, fds.length === 1 ? fds[0] : -1);
    if (failed) return failed;
    fds.length = 0;
    this.#worker.wrote(true);
    return NOTHING;
  }

  dmaUnmap({ payload }: Message, view: DataView): Answer {
    if (payload.length !== 24 || view.getUint32(0, true) < 24) return ERRNO.EINVAL;
    const flags = view.getUint32(4, true);
    const address = view.getBigUint64(8, true);
    const size = view.getBigUint64(16, true);
    if (flags & ~DMA_UNMAP_ALL) return ERRNO.EINVAL; // no dirty bitmaps
    if (flags === DMA_UNMAP_ALL) {
      if (address !== 0n || size !== 0n) return ERRNO.EINVAL;
      this.#memory.map.clear();
    } else {
      const failed = this.#memory.map.remove(address, size);
      if (failed) return failed;
    }
    this.#worker.wrote(true);
    return payload;
  }

  getInfo({ payload }: Message, view: DataView): Answer {
    if (payload.length < 16 || view.getUint32(0, true) < 16) return ERRNO.EINVAL;
    return words(16, DEVICE_INFO.reset | DEVICE_INFO.pci, REGION_COUNT, IRQ_COUNT);
  }

  getRegionInfo({ payload }: Message, view: DataView): Answer {
    if (payload.length < 32 || view.getUint32(0, true) < 32) return ERRNO.EINVAL;
    const index = view.getUint32(8, true);
    const info = this.#regions.info(index);
    if (!info) return ERRNO.EINVAL;
    return words(32, info.flags, index, 0, info.size, Math.floor(info.size / 2 ** 32), 0, 0);
  }

  getRegionIoFds({ payload }: Message, view: DataView): Answer {
    if (payload.length < 16 || view.getUint32(0, true) < 16) return ERRNO.EINVAL;
    const index = view.getUint32(8, true);
    if (view.getUint32(4, true) !== 0 || view.getUint32(12, true) !== 0 || index >= REGION_COUNT) return ERRNO.EINVAL;
    return words(16, 0, index, 0);
  }

  getIrqInfo({ payload }: Message, view: DataView): Answer {
    if (payload.length < 16 || view.getUint32(0, true) < 16) return ERRNO.EINVAL;
    const index = view.getUint32(8, true);
    const info = this.#interrupts.info(index);
    return info ? words(16, info.flags, index, info.count) : ERRNO.EINVAL;
  }

  setIrqs({ payload, fds }: Message, view: DataView): Answer {
    if (payload.length < SET_IRQS_BYTES || view.getUint32(0, true) < SET_IRQS_BYTES) return ERRNO.EINVAL;
    const [flags, index, start, count] = [4, 8, 12, 16].map((at) => view.getUint32(at, true));
    const data = payload.subarray(SET_IRQS_BYTES);
    return this.#interrupts.set({ flags, index, start, count, data }, fds) || NOTHING;
  }

  regionWrite({ payload }: Message, view: DataView): Answer {
    if (payload.length < 16 || payload.length - 16 !== view.getUint32(12, true)) return ERRNO.EINVAL;
    return this.#write(view, 0, payload.length - 16, 16) || payload.subarray(0, 16);
  }

  /** Carries out entries up to the first that cannot be, and tells how many. */
  regionWriteMulti({ payload }: Message, view: DataView): Answer {
    if (!this.#writeMultiple || payload.length < 8) return ERRNO.EINVAL;
    const count = u64(view, 0);
    if (payload.length !== 8 + 24 * count) return ERRNO.EINVAL;
    let done = 0;
    for (; done < count; done++) {
      const at = 8 + 24 * done;
      const bytes = view.getUint32(at + 12, true);
      if (bytes > 8 || this.#write(view, at, bytes, at + 16)) break;
    }
    return done === 0 && count > 0 ? ERRNO.EINVAL : words(done, 0);
  }

  deviceReset({ payload }: Message): Answer {
    if (payload.length !== 0) return ERRNO.EINVAL;
    this.#device.fn.reset('conventional');
    this.#worker.wrote(true);
    return NOTHING;
  }

  /** Offset, region and count at `at`, `count` bytes of data at `dataAt`. @returns 0 or an errno */
  #write(view: DataView, at: number, count: number, dataAt: number): number {
    const [offset, region] = accessOf(view, at);
    const refused = this.#regions.check(region, offset, count);
    if (refused) return refused;
    this.#worker.wrote(this.#device.work?.disturbs(region, offset) ?? true);
    this.#regions.write(region, offset, count, view, dataAt);
    return 0;
  }
}

const HANDLERS = new Map<number, Handler>([
  [COMMAND.version, () => ERRNO.EINVAL], // once is enough
  [COMMAND.dmaMap, (s, m, v) => s.dmaMap(m, v)],
  [COMMAND.dmaUnmap, (s, m, v) => s.dmaUnmap(m, v)],
  [COMMAND.deviceGetInfo, (s, m, v) => s.getInfo(m, v)],
  [COMMAND.deviceGetRegionInfo, (s, m, v) => s.getRegionInfo(m, v)],
  [COMMAND.deviceGetRegionIoFds, (s, m, v) => s.getRegionIoFds(m, v)],
  [COMMAND.deviceGetIrqInfo, (s, m, v) => s.getIrqInfo(m, v)],
  [COMMAND.deviceSetIrqs, (s, m, v) => s.setIrqs(m, v)],
  [COMMAND.regionWrite, (s, m, v) => s.regionWrite(m, v)],
  [COMMAND.regionWriteMulti, (s, m, v) => s.regionWriteMulti(m, v)],
  [COMMAND.deviceReset, (s, m) => s.deviceReset(m)],
  // no feature is offered: no migration, no logging of what DMA wrote; probes are told so too
  [COMMAND.deviceFeature, () => ERRNO.EINVAL],
  [COMMAND.migDataRead, () => ERRNO.EINVAL],
  [COMMAND.migDataWrite, () => ERRNO.EINVAL],
]);

/** Offset, region and count, as region accesses begin. */
function accessOf(view: DataView, at: number): [offset: number, region: number, count: number] {
  return [u64(view, at), view.getUint32(at + 8, true), view.getUint32(at + 12, true)];
}

/** 32-bit little-endian words as a payload. */
function words(...values: number[]): Uint8Array {
  const payload = new Uint8Array(4 * values.length);
  const view = viewOf(payload);
  values.forEach((value, i) => void view.setUint32(4 * i, value >>> 0, true));
  return payload;
}
