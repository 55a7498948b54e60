/** A 64-bit address as the host wrote it; from 2^53 on nothing can be reached, and exactness does not matter. */
export function hostAddress(lo: number, hi: number): number {
  return (hi >>> 0) * 2 ** 32 + (lo >>> 0);
}

const UNREACHABLE = 2 ** 53 - 1;

/** The memory of a host from address 0, and which parts of it the controller wrote since the last look. */
export class NaiveMemory {
  readonly bytes: Uint8Array;
  /** Address and length of each write, alternately. */
  readonly written: number[] = [];
  readonly #view: DataView;

  constructor(sizeBytes: number) {
    this.bytes = new Uint8Array(sizeBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Undefined where there is no memory. */
  read(address: number, length: number): Uint8Array | undefined {
    if (address + length > this.bytes.length) return undefined;
    return this.bytes.slice(address, address + length);
  }

  /** False if the address cannot be put on the bus; where no memory is, bytes vanish. */
  write(address: number, data: Uint8Array): boolean {
    if (address + data.length > UNREACHABLE) return false;
    const length = Math.min(data.length, this.bytes.length - address);
    if (length <= 0) return true;
    this.bytes.set(data.length === length ? data : data.subarray(0, length), address);
    this.written.push(address, length);
    return true;
  }

  u32(address: number): number {
    return this.#view.getUint32(address, true);
  }

  has(address: number, length: number): boolean {
    return address + length <= this.bytes.length;
  }
}

/** Where the data of a command lies, in order; or the status that the pointers call for. */
export interface DataPlaces {
  runs: { address: number; length: number }[];
  /** 0: none. */
  error: number;
}

const TRANSFER_ERROR = 0x04;
const PRP_OFFSET = 0x13;

/**
 * Physical Region Pages, NVMe 1.4 §4.3: the first entry may begin anywhere in its page at a dword, all others at its
 * start; two pages are named directly, more by a list, whose last entry in a page leads on if data is left then.
 */
export function prpPlaces(memory: NaiveMemory, page: number, cmd: DataView, length: number): DataPlaces {
  const runs: DataPlaces['runs'] = [];
  const at = (offset: number) => hostAddress(cmd.getUint32(offset, true), cmd.getUint32(offset + 4, true));
  const [prp1, prp2] = [at(24), at(32)];
  if (cmd.getUint32(24, true) % 4 !== 0) return { runs, error: PRP_OFFSET };
  const inFirst = Math.min(length, page - (cmd.getUint32(24, true) % page));
  runs.push({ address: prp1, length: inFirst });
  let left = length - inFirst;
  if (left === 0) return { runs, error: 0 };
  if (left <= page) {
    runs.push({ address: prp2, length: left });
    return { runs, error: cmd.getUint32(32, true) % page ? PRP_OFFSET : 0 };
  }
  if (cmd.getUint32(32, true) % 8) return { runs, error: PRP_OFFSET };
  let entry = prp2;
  while (left > 0) {
    if (!memory.has(entry, 8)) return { runs, error: TRANSFER_ERROR };
    const lo = memory.u32(entry);
    const address = hostAddress(lo, memory.u32(entry + 4));
    if (lo % page) return { runs, error: PRP_OFFSET };
    const isLastOfPage = (entry + 8) % page === 0;
    if (isLastOfPage && left > page) {
      entry = address;
      continue;
    }
    const part = Math.min(left, page);
    runs.push({ address, length: part });
    left -= part;
    entry += 8;
  }
  return { runs, error: 0 };
}

const SGL = { data: 0x00, segment: 0x20, last: 0x30 } as const;
const SGL_SEGMENT_INVALID = 0x0d;
const SGL_COUNT_INVALID = 0x0e;
const SGL_LENGTH_INVALID = 0x0f;
const SGL_TYPE_INVALID = 0x11;
const MAX_DESCRIPTORS = 4096;

/**
 * Scatter gather list, NVMe 1.4 §4.4: descriptors in order until the data is placed; the last of a segment may lead to
 * another, from a last segment nothing leads on. The command's own descriptor is a segment of one.
 */
export function sglPlaces(memory: NaiveMemory, cmd: DataView, length: number): DataPlaces {
  const runs: DataPlaces['runs'] = [];
  let left = length;
  let used = 1;
  let segment = new DataView(cmd.buffer, cmd.byteOffset + 24, 16);
  let kind = 'own' as 'own' | 'segment' | 'last';
  for (;;) {
    const count = segment.byteLength / 16;
    let next: DataView | undefined;
    let nextKind = kind;
    for (let i = 0; i < count && left > 0; i++) {
      const type = segment.getUint8(16 * i + 15);
      const address = hostAddress(segment.getUint32(16 * i, true), segment.getUint32(16 * i + 4, true));
      const bytes = segment.getUint32(16 * i + 8, true);
      if (type === SGL.data) {
        const part = Math.min(bytes, left);
        if (part > 0) runs.push({ address, length: part });
        left -= part;
        continue;
      }
      if (type !== SGL.segment && type !== SGL.last) return { runs, error: SGL_TYPE_INVALID };
      if (kind === 'last' || bytes === 0 || bytes % 16 !== 0) return { runs, error: SGL_SEGMENT_INVALID };
      used += bytes / 16;
      if (i !== count - 1 || used > MAX_DESCRIPTORS) return { runs, error: SGL_COUNT_INVALID };
      const list = memory.read(address, bytes);
      if (!list) return { runs, error: TRANSFER_ERROR };
      next = new DataView(list.buffer);
      nextKind = type === SGL.last ? 'last' : 'segment';
    }
    if (left === 0) return { runs, error: 0 };
    if (!next) return { runs, error: kind === 'segment' ? SGL_SEGMENT_INVALID : SGL_LENGTH_INVALID };
    segment = next;
    kind = nextKind;
  }
}
