import type { Width } from '../../core/index.ts';
import type { EmulatedFunction } from '../../pci/index.ts';
import { NaiveIrqs } from './naive-irqs.ts';

/** A message of the client with the descriptors that belong to it. */
export interface VfioMessage {
  id: number;
  command: number;
  flags: number;
  payload: Uint8Array;
  fds: readonly VfioFd[];
}

/** A descriptor as a server can tell them apart. */
export interface VfioFd {
  number: number;
  kind: 'eventfd' | 'file' | 'other';
  /** Of a file, in bytes. */
  size: bigint;
}

/**
 * What a server must answer: one of these errno values, or a payload: one of several where the protocol's text leaves a
 * choice.
 */
export type Expected = { errno: readonly number[] } | { payloads: readonly Uint8Array[]; errno?: readonly number[] };

const E = { ENOENT: 2, EEXIST: 17, EINVAL: 22, ENOSYS: 38, EOPNOTSUPP: 95 };
const INVALID: Expected = { errno: [E.EINVAL] };
const MOST_DATA = 1 << 20;

interface Mapping {
  address: bigint;
  size: bigint;
  flags: number;
  fd: VfioFd | undefined;
}

/**
 * A vfio-user server told again from the protocol's text (QEMU, docs/interop/vfio-user.rst) and docs/vfio-user.md: what
 * each command must be answered, what it does to a second instance of the device, which descriptors are kept.
 */
export class NaiveVfioServer {
  readonly twin: EmulatedFunction;
  readonly irqs: NaiveIrqs;
  maps: Mapping[] = [];
  greeted = false;
  writeMultiple = false;
  /** The client has written something since the device last had no work. */
  wrote = false;

  constructor(twin: EmulatedFunction) {
    this.twin = twin;
    this.irqs = new NaiveIrqs(twin);
  }

  /** The client is gone; the device stays as it is. */
  leave(): void {
    this.maps = [];
    this.greeted = false;
    this.wrote = false;
    this.irqs.leave();
  }

  /** Descriptors that must be open: those of mappings and of interrupts. */
  get keptFds(): Set<number> {
    const kept = new Set(this.irqs.fds);
    for (const { fd } of this.maps) if (fd) kept.add(fd.number);
    return kept;
  }

  /** Carries out a command after VERSION. */
  execute(m: VfioMessage): Expected {
    const { command, payload } = m;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    const u32 = (at: number) => view.getUint32(at, true);
    const room = (bytes: number) => payload.length >= bytes && u32(0) >= bytes;
    switch (command) {
      case 2:
        return this.#map(m, view);
      case 3:
        return this.#unmap(m, view);
      case 4:
        return room(16) ? { payloads: [words(16, 3, 9, 5)] } : INVALID;
      case 5: {
        if (!room(32) || u32(8) >= 9) return INVALID;
        const size = this.#size(u32(8));
        const flags = size === 0 ? 0 : u32(8) === 6 ? 1 : 3;
        return { payloads: [words(32, flags, u32(8), 0, size % 2 ** 32, Math.floor(size / 2 ** 32), 0, 0)] };
      }
      case 6:
        if (!room(16) || u32(4) !== 0 || u32(8) >= 9 || u32(12) !== 0) return INVALID;
        return { payloads: [words(16, 0, u32(8), 0)] };
      case 7: {
        if (!room(16) || u32(8) >= 5) return INVALID;
        const index = u32(8);
        const count = this.irqs.count(index);
        const flags = index === 0 ? [7] : index < 3 ? [9, 1] : [1];
        return { payloads: flags.map((f) => words(16, f, index, count)) };
      }
      case 8: {
        if (!room(20)) return INVALID;
        const [flags, index, start, count] = [4, 8, 12, 16].map(u32);
        const errno = this.irqs.set(flags, index, start, count, payload.subarray(20), m.fds);
        return errno ? { errno: [errno] } : { payloads: [NOTHING] };
      }
      case 9:
        return this.#read(payload, view);
      case 10: {
        if (payload.length < 16 || payload.length - 16 !== u32(12)) return INVALID;
        if (!this.#write(view, 0, payload.length - 16, 16)) return INVALID;
        const done = { payloads: [payload.slice(0, 16)] };
        return u32(8) === 6 ? { ...done, errno: [E.EINVAL] } : done; // a ROM may refuse
      }
      case 13:
        if (payload.length !== 0) return INVALID;
        this.twin.reset('conventional');
        this.wrote = true;
        return { payloads: [NOTHING] };
      case 15:
        return this.#writeMulti(payload, view);
      case 1:
      case 16:
      case 17:
      case 18:
        return INVALID;
      default:
        return { errno: [E.EINVAL, E.ENOSYS] };
    }
  }

  #map({ payload, fds }: VfioMessage, view: DataView): Expected {
    if (payload.length !== 32 || view.getUint32(0, true) < 32 || fds.length > 1) return INVALID;
    const flags = view.getUint32(4, true);
    const [offset, address, size] = [8, 16, 24].map((at) => view.getBigUint64(at, true));
    const [fd] = fds;
    const errno: number[] = [];
    if (size === 0n || address + size > 1n << 64n || flags > 15) errno.push(E.EINVAL);
    if (fd && (fd.kind !== 'file' || offset + size > fd.size)) errno.push(E.EINVAL);
    if (this.maps.some((m) => m.address < address + size && address < m.address + m.size)) errno.push(E.EEXIST);
    if (errno.length > 0) return { errno };
    this.maps.push({ address, size, flags, fd });
    this.wrote = true;
    return { payloads: [NOTHING] };
  }

  #unmap({ payload }: VfioMessage, view: DataView): Expected {
    if (payload.length !== 24 || view.getUint32(0, true) < 24) return INVALID;
    const flags = view.getUint32(4, true);
    const [address, size] = [8, 16].map((at) => view.getBigUint64(at, true));
    if (flags === 2) {
      if (address !== 0n || size !== 0n) return INVALID;
      this.maps = [];
    } else if (flags !== 0) return INVALID;
    else {
      const at = this.maps.findIndex((m) => m.address === address && m.size === size);
      if (at < 0) return { errno: [E.ENOENT, E.EINVAL] };
      this.maps.splice(at, 1);
    }
    this.wrote = true;
    return { payloads: [payload.slice()] };
  }

  #read(payload: Uint8Array, view: DataView): Expected {
    if (payload.length !== 16) return INVALID;
    const offset = view.getBigUint64(0, true);
    const [region, count] = [view.getUint32(8, true), view.getUint32(12, true)];
    if (count > MOST_DATA || !this.#fits(region, offset, count)) return INVALID;
    const reply = new Uint8Array(16 + count);
    reply.set(payload);
    for (const [at, width] of pieces(Number(offset), count)) {
      const value =
        region === 7 ? this.twin.readConfig(at, width as Width) : this.twin.readBar(region, at, width as Width);
      for (let i = 0; i < width; i++) reply[16 + at - Number(offset) + i] = value >>> (8 * i);
    }
    return { payloads: count === 0 ? [reply, NOTHING] : [reply] };
  }

  /** @returns false if it must be refused */
  #write(view: DataView, at: number, count: number, dataAt: number): boolean {
    const offset = view.getBigUint64(at, true);
    const region = view.getUint32(at + 8, true);
    if (!this.#fits(region, offset, count)) return false;
    this.wrote = true;
    for (const [place, width] of pieces(Number(offset), count)) {
      let value = 0;
      for (let i = width - 1; i >= 0; i--) value = value * 256 + view.getUint8(dataAt + place - Number(offset) + i);
      if (region === 7) this.twin.writeConfig(place, width as Width, value);
      else this.twin.writeBar(region, place, width as Width, value);
    }
    return true;
  }

  #writeMulti(payload: Uint8Array, view: DataView): Expected {
    if (!this.writeMultiple || payload.length < 8) return INVALID;
    const count = view.getBigUint64(0, true);
    if (BigInt(payload.length) !== 8n + 24n * count) return INVALID;
    let done = 0;
    for (; done < count; done++) {
      const bytes = view.getUint32(8 + 24 * done + 12, true);
      if (bytes > 8 || !this.#write(view, 8 + 24 * done, bytes, 24 + 24 * done)) break;
    }
    return done === 0 && count > 0n ? INVALID : { payloads: [words(done, 0)] };
  }

  #fits(region: number, offset: bigint, count: number): boolean {
    const size = region < 9 ? this.#size(region) : 0;
    return size > 0 && offset + BigInt(count) <= BigInt(size);
  }

  #size(region: number): number {
    if (region === 7) return this.twin.configSize;
    return this.twin.layout.bars.find((b) => b.bar === region)?.sizeBytes ?? 0;
  }
}

/** Place and width of the accesses that a run of bytes is made of: 1, 2 or 4 bytes are one, others go aligned, low first. */
function pieces(offset: number, count: number): [at: number, width: number][] {
  if ([1, 2, 4].includes(count)) return [[offset, count]];
  const list: [number, number][] = [];
  for (let at = offset; at < offset + count; ) {
    const width = [4, 2, 1].find((w) => at % w === 0 && at + w <= offset + count)!;
    list.push([at, width]);
    at += width;
  }
  return list;
}

/**
 * What a VERSION message must lead to: accepted with capabilities no wider than these, refused, or either where the text
 * leaves it open.
 */
export function judgeVersion(payload: Uint8Array): {
  verdict: 'accept' | 'refuse' | 'either';
  limits: Record<string, number>;
  writeMultiple: boolean;
} {
  const limits: Record<string, number> = { max_msg_fds: 16, max_data_xfer_size: MOST_DATA, max_dma_maps: 65535 };
  const refuse = { verdict: 'refuse', limits, writeMultiple: false } as const;
  if (payload.length < 4 || payload[0] !== 0 || payload[1] !== 0) return refuse;
  if (payload.length === 4) return { verdict: 'accept', limits, writeMultiple: false };
  if (payload[payload.length - 1] !== 0) return refuse;
  let said: unknown;
  try {
    said = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload.slice(4, -1)));
  } catch {
    return refuse;
  }
  const isObject = (v: unknown): v is Record<string, unknown> =>
    typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!isObject(said)) return refuse;
  const inner = said['capabilities'];
  if (inner === null) return { ...refuse, verdict: 'either' };
  if (inner !== undefined && !isObject(inner)) return refuse;
  let verdict: 'accept' | 'either' = 'accept';
  const capabilities = inner ?? {};
  for (const name of [...Object.keys(limits), 'pgsizes']) {
    const value = Object.hasOwn(capabilities, name) ? capabilities[name] : undefined;
    if (value === null) verdict = 'either';
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || value < 0 || !Number.isInteger(value)) return refuse;
    if (name in limits) limits[name] = Math.min(limits[name], value);
  }
  const multiple = Object.hasOwn(capabilities, 'write_multiple') ? capabilities['write_multiple'] : undefined;
  if (multiple !== undefined && typeof multiple !== 'boolean') verdict = 'either';
  return { verdict, limits, writeMultiple: multiple === true };
}

const NOTHING = new Uint8Array(0);

function words(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}
