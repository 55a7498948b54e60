import type { SparseMemory } from '../../harness/sparse-memory.ts';
import type { DmaMemory } from '../../pci/index.ts';

/** A run of client memory, as it was mapped. */
export interface NaiveMapping {
  address: bigint;
  size: bigint;
  /** 1 readable, 2 writable. */
  flags: number;
  /** True if it is a file's, which is all zeros here. */
  isFile: boolean;
}

/** A DMA command of the server that the client has not answered. */
export interface DmaCommand {
  id: number;
  command: number;
  address: bigint;
  count: number;
  /** The client answered it well. */
  isGood: boolean;
}

const DMA_READ = 11;

/** What a device does to its client's memory: commands on their way, and the same memory for the device's twin. */
export class NaiveDma implements DmaMemory {
  maps: readonly NaiveMapping[] = [];
  /** Oldest first. */
  inFlight: DmaCommand[] = [];
  /** Reads since the device last had no work, in the order in which they were asked for. */
  #reads: DmaCommand[] = [];
  /** Which runs the present piece of work has read, and whether that went well. */
  readonly #known = new Map<string, boolean>();
  /** The twin has read other memory than the device. */
  isLost = false;
  /** The client's limit for one transfer. */
  maxBytes = 1 << 20;
  readonly #memory: SparseMemory;
  /** Bytes that were written and that should have been, by address: `told` by the device, `expected` by its twin. */
  #told: { address: bigint; bytes: Uint8Array }[] = [];
  #expected: { address: bigint; bytes: Uint8Array }[] = [];

  constructor(memory: SparseMemory) {
    this.#memory = memory;
  }

  /** The server sends a command. `before`: mappings before the messages of this turn. @returns what is wrong with it */
  command(id: number, command: number, payload: Uint8Array, before: readonly NaiveMapping[]): string | undefined {
    const name = command === DMA_READ ? 'DMA_READ' : 'DMA_WRITE';
    if ((command !== DMA_READ && command !== 12) || payload.length < 16) return `a command ${command} of the server`;
    const view = new DataView(payload.buffer, payload.byteOffset);
    const [address, count] = [view.getBigUint64(0, true), Number(view.getBigUint64(8, true))];
    const what = `${name} of ${count} bytes at 0x${address.toString(16)}`;
    const data = payload.length - 16;
    if (data !== (command === DMA_READ ? 0 : count)) return `${what} carries ${data} bytes`;
    if (count === 0 || count > this.maxBytes) return `${what}, where the client takes ${this.maxBytes}`;
    if (this.inFlight.some((c) => c.id === id)) return `${what} has the id of another that is not answered`;
    const may = command === DMA_READ ? 1 : 2;
    const fits = (m: NaiveMapping) =>
      !m.isFile && m.flags & may && m.address <= address && address + BigInt(count) <= m.address + m.size;
    if (![...this.maps, ...before].some(fits)) return `${what}, which is not mapped for that`;
    const asked = { id, command, address, count, isGood: false };
    this.inFlight.push(asked);
    if (command === DMA_READ) {
      this.#reads.push(asked);
      return undefined;
    }
    this.#told.push({ address, bytes: payload.slice(16) });
    this.#memory.writeBytes(Number(address), payload.slice(16));
    return undefined;
  }

  /** A reply of the client; a read has failed if it is not what was asked for. @returns false if it answers nothing */
  reply(id: number, command: number, flags: number, payload: Uint8Array): boolean {
    const at = this.inFlight.findIndex((c) => c.id === id && c.command === command);
    if (at < 0) return false;
    const [asked] = this.inFlight.splice(at, 1);
    asked.isGood = (flags & 0x20) === 0 && Buffer.compare(payload, this.replyTo(asked)) === 0;
    return true;
  }

  /** The payload that answers a command. */
  replyTo({ command, address, count }: DmaCommand): Uint8Array {
    const payload = new Uint8Array(command === DMA_READ ? 16 + count : 16);
    const view = new DataView(payload.buffer);
    view.setBigUint64(0, address, true);
    view.setBigUint64(8, BigInt(count), true);
    if (command === DMA_READ) payload.set(this.#memory.readBytes(Number(address), count), 16);
    return payload;
  }

  /** What device and twin have written since the last call must be the same, however it was cut. */
  compareWrites(): string | undefined {
    const [told, expected] = [this.#told, this.#expected].map(joined);
    this.forgetWrites();
    for (let i = 0; i < Math.max(told.length, expected.length); i++) {
      const [got, want] = [told[i], expected[i]];
      if (got && want && got.address === want.address && Buffer.compare(got.bytes, want.bytes) === 0) continue;
      const tell = (w: typeof got) => (w ? `${w.bytes.length} bytes at 0x${w.address.toString(16)}` : 'nothing');
      return `the device writes ${tell(got)}, should write ${tell(want)}`;
    }
    return undefined;
  }

  forgetWrites(): void {
    this.#told = [];
    this.#expected = [];
  }

  /** The device has come to rest. */
  forgetReads(): void {
    this.#reads = [];
    this.isLost = false;
  }

  /** Call before the twin's next piece of work. */
  beginWork(): void {
    this.#known.clear();
  }

  /** For the twin: as far as it is mapped to be read. */
  readBytes(address: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const place = this.#find(address + done, 1);
      if (!place) break;
      const count = Math.min(length - done, place.left);
      if (!place.isFile && !this.#wasRead(BigInt(address + done), count)) break;
      if (!place.isFile) bytes.set(this.#memory.readBytes(address + done, count), done);
      done += count;
    }
    return bytes.subarray(0, done);
  }

  writeBytes(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const place = this.#find(address + done, 2);
      if (!place) return;
      const count = Math.min(bytes.length - done, place.left);
      if (!place.isFile)
        this.#expected.push({ address: BigInt(address + done), bytes: bytes.slice(done, done + count) });
      done += count;
    }
  }

  /** True if the device has read this run of memory too, and had it. */
  #wasRead(address: bigint, count: number): boolean {
    const key = `${address} ${count}`;
    let good = this.#known.get(key);
    if (good !== undefined) return good;
    good = true;
    for (let at = address; at < address + BigInt(count); ) {
      const read = this.#reads.shift();
      if (!read || read.address !== at) {
        this.isLost = true;
        return false;
      }
      good &&= read.isGood;
      at += BigInt(read.count);
    }
    this.#known.set(key, good);
    return good;
  }

  #find(address: number, may: number): { isFile: boolean; left: number } | undefined {
    const at = BigInt(address);
    const map = this.maps.find((m) => m.address <= at && at < m.address + m.size);
    return map && map.flags & may ? { isFile: map.isFile, left: Number(map.address + map.size - at) } : undefined;
  }
}

/** Runs that follow each other are one. */
function joined(writes: readonly { address: bigint; bytes: Uint8Array }[]): { address: bigint; bytes: Uint8Array }[] {
  const list: { address: bigint; bytes: Uint8Array }[] = [];
  for (const { address, bytes } of writes) {
    const last = list.at(-1);
    if (last && last.address + BigInt(last.bytes.length) === address)
      last.bytes = new Uint8Array(Buffer.concat([last.bytes, bytes]));
    else list.push({ address, bytes });
  }
  return list;
}
