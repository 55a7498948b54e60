import { closeSync, openSync, readSync } from 'node:fs';
import { UsageError } from '../core/index.ts';

/** First bytes of a recording of access records. */
export const RECORDING_MAGIC = 'PIRQACC1';

/** True if a file begins as a recording of access records does. */
export function isAccessRecording(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, 8)).toString('latin1') === RECORDING_MAGIC;
}

/** The same of a file, of which only the beginning is read; false if that cannot be. */
export function isAccessFile(path: string): boolean {
  const bytes = new Uint8Array(RECORDING_MAGIC.length);
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    readSync(file, bytes);
  } catch {
    return false;
  } finally {
    if (file !== undefined) closeSync(file);
  }
  return isAccessRecording(bytes);
}

/** Bytes of a record without its data. */
export const RECORD_BYTES = 24;
/** Most data bytes that one record carries; longer transfers are made of several. */
export const MAX_DATA_BYTES = 65536;
/** Bit of `kind` that makes a record an answer. */
export const ANSWER = 0x80;
/** Region and width where there are none. */
export const NOT_APPLICABLE = 0xff;

/** What a record asks or tells; docs/access-records.md has who sends which. */
export const KIND = {
  read: 0,
  write: 1,
  reset: 2,
  message: 3,
  intx: 4,
  raise: 5,
  hypercall: 6,
  dmaRead: 7,
  dmaWrite: 8,
} as const;

/** Regions as VFIO numbers them (`include/uapi/linux/vfio.h`, VFIO_PCI_*_REGION_INDEX). */
export const REGION = { bar0: 0, rom: 6, config: 7, vga: 8 } as const;

/** `status` of answers: numbers of Linux' errno. */
export const STATUS = { ok: 0, io: 5, noDevice: 19, invalid: 22, noHypercalls: 38, tooLong: 90 } as const;

/** One access, effect or answer. Words are unsigned; 64-bit fields are split. */
export interface AccessRecord {
  /** One of {@link KIND}, with {@link ANSWER} set in answers. */
  kind: number;
  region: number;
  /** Bytes: 1, 2, 4 or 8 for reads and writes. */
  width: number;
  status: number;
  /** Segment << 16 | bus << 8 | device << 3 | function. */
  function: number;
  offsetLo: number;
  offsetHi: number;
  valueLo: number;
  valueHi: number;
  /** The bytes behind records of some kinds, as many as the value says. */
  data?: Uint8Array;
}

/** Fields of a record as people write them; what is left out is 0, or not applicable. */
export interface RecordFields {
  kind: number;
  function?: number;
  region?: number;
  width?: number;
  status?: number;
  offset?: number | bigint;
  /** Not for records with data, where it is the length. */
  value?: number | bigint;
  data?: Uint8Array;
}

/** Makes a record; numbers up to 2^53 and bigints up to 2^64 are split into words. */
export function accessRecord(fields: RecordFields): AccessRecord {
  const [offsetLo, offsetHi] = splitWords(fields.offset ?? 0);
  const [valueLo, valueHi] = splitWords(fields.data ? fields.data.length : (fields.value ?? 0));
  return {
    kind: fields.kind,
    region: fields.region ?? NOT_APPLICABLE,
    width: fields.width ?? NOT_APPLICABLE,
    status: fields.status ?? STATUS.ok,
    function: fields.function ?? 0,
    offsetLo,
    offsetHi,
    valueLo,
    valueHi,
    ...(fields.data && { data: fields.data }),
  };
}

/** Low and high word of an unsigned number or bigint below 2^64. */
export function splitWords(value: number | bigint): [lo: number, hi: number] {
  if (typeof value === 'bigint') return [Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn)];
  return [value >>> 0, Math.floor(value / 0x1_0000_0000) >>> 0];
}

/** Two words as a number, rounded from 2^53 on; every offset that exists is below. */
export function joinWords(lo: number, hi: number): number {
  return hi * 0x1_0000_0000 + lo;
}

/** True for records that are followed by `value` bytes of data, padded to a multiple of 24. */
export function carriesData(kind: number): boolean {
  return (
    kind === KIND.hypercall ||
    kind === (KIND.hypercall | ANSWER) ||
    kind === (KIND.dmaRead | ANSWER) ||
    kind === KIND.dmaWrite
  );
}

/** Bytes that `length` bytes of data take in the stream. */
export function paddedBytes(length: number): number {
  return Math.ceil(length / RECORD_BYTES) * RECORD_BYTES;
}

/** Collects encoded records. */
export class RecordWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #used = 0;

  get length(): number {
    return this.#used;
  }

  write(record: AccessRecord): void {
    const { data } = record;
    const at = this.#used;
    this.#grow(RECORD_BYTES + (data ? paddedBytes(data.length) : 0));
    const bytes = this.#bytes;
    const view = this.#view;
    bytes[at] = record.kind;
    bytes[at + 1] = record.region;
    bytes[at + 2] = record.width;
    bytes[at + 3] = record.status;
    view.setUint32(at + 4, record.function, true);
    view.setUint32(at + 8, record.offsetLo, true);
    view.setUint32(at + 12, record.offsetHi, true);
    view.setUint32(at + 16, record.valueLo, true);
    view.setUint32(at + 20, record.valueHi, true);
    if (!data) return;
    bytes.set(data, at + RECORD_BYTES);
    bytes.fill(0, at + RECORD_BYTES + data.length, this.#used);
  }

  /** A copy of what was written since the last call. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(0, this.#used);
    this.#used = 0;
    if (this.#bytes.length > 1 << 20) this.#resize(1024);
    return taken;
  }

  #grow(by: number): void {
    this.#used += by;
    if (this.#used <= this.#bytes.length) return;
    const old = this.#bytes;
    this.#resize(Math.max(this.#used, 2 * old.length));
    this.#bytes.set(old);
  }

  #resize(length: number): void {
    this.#bytes = new Uint8Array(length);
    this.#view = new DataView(this.#bytes.buffer);
  }
}

/** Encodes one record with its data. */
export function encodeRecord(record: AccessRecord): Uint8Array {
  const writer = new RecordWriter();
  writer.write(record);
  return writer.take();
}

/** The records of a stream that arrives in pieces of any size. */
export class RecordReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;

  /** Bytes that are here and not yet read as records. */
  get pendingBytes(): number {
    return this.#bytes.length - this.#at;
  }

  push(chunk: Uint8Array): void {
    const rest = this.pendingBytes;
    if (rest === 0) this.#bytes = chunk;
    else {
      const joined = new Uint8Array(rest + chunk.length);
      joined.set(this.#bytes.subarray(this.#at));
      joined.set(chunk, rest);
      this.#bytes = joined;
    }
    this.#at = 0;
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length);
  }

  /**
   * The next complete record, undefined while there is none.
   * @throws DataTooLong where a record claims more data than there may be; the stream ends there
   */
  next(): AccessRecord | undefined {
    const at = this.#at;
    if (this.#bytes.length - at < RECORD_BYTES) return undefined;
    const bytes = this.#bytes;
    const view = this.#view;
    const record: AccessRecord = {
      kind: bytes[at],
      region: bytes[at + 1],
      width: bytes[at + 2],
      status: bytes[at + 3],
      function: view.getUint32(at + 4, true),
      offsetLo: view.getUint32(at + 8, true),
      offsetHi: view.getUint32(at + 12, true),
      valueLo: view.getUint32(at + 16, true),
      valueHi: view.getUint32(at + 20, true),
    };
    let end = at + RECORD_BYTES;
    if (carriesData(record.kind)) {
      const length = joinWords(record.valueLo, record.valueHi);
      if (length > MAX_DATA_BYTES) throw new DataTooLong(record);
      end += paddedBytes(length);
      if (end > bytes.length) return undefined;
      record.data = bytes.slice(at + RECORD_BYTES, at + RECORD_BYTES + length);
    }
    this.#at = end;
    return record;
  }
}

/** A record claims more data than one may carry, so nobody knows where the next begins. */
export class DataTooLong extends UsageError {
  readonly record: AccessRecord;

  constructor(record: AccessRecord) {
    super(`a record of kind ${record.kind} claims more than ${MAX_DATA_BYTES} bytes of data`);
    this.record = record;
  }
}

/** One line for people: `read 0000:00:04.0 config+0x04 width 2 -> 0x0007`. */
export function describeRecord(record: AccessRecord): string {
  const hex = (lo: number, hi: number) =>
    `0x${hi ? hi.toString(16) + lo.toString(16).padStart(8, '0') : lo.toString(16)}`;
  const name = Object.entries(KIND).find(([, kind]) => kind === (record.kind & ~ANSWER))?.[0] ?? `kind ${record.kind}`;
  const region = record.region === NOT_APPLICABLE ? '' : ` region ${record.region} width ${record.width}`;
  const status = record.status ? ` status ${record.status}` : '';
  const data = record.data?.length ? ` ${Buffer.from(record.data.subarray(0, 16)).toString('hex')}` : '';
  return (
    `${name}${record.kind & ANSWER ? ' answer' : ''} function ${hex(record.function, 0)}${region} ` +
    `offset ${hex(record.offsetLo, record.offsetHi)} value ${hex(record.valueLo, record.valueHi)}${status}${data}`
  );
}
