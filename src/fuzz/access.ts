import { UsageError } from '../core/index.ts';
import {
  type AccessRecord,
  joinWords,
  KIND,
  NOT_APPLICABLE,
  REGION,
  RecordReader,
  RecordWriter,
  STATUS,
  splitWords,
} from '../harness/access-record.ts';

export { KIND, NOT_APPLICABLE, REGION };

/** Values of a reset record; a hot reset is what software makes with a bridge, not a record. */
export const RESET = { conventional: 0, flr: 1 } as const;
/** Values of a raise record: the condition begins or ends. */
export const SIGNAL = { begins: 0, ends: 1 } as const;

/** Regions of accesses that a CPU makes by address, whoever decodes it: memory, and I/O by port. */
export const BY_ADDRESS = { memory: NOT_APPLICABLE, io: 0xfe } as const;
/** Segment of a configuration access through ECAM, where bus numbers are those of one segment. */
export const ECAM_SEGMENT = 0x1_0000;

/** One step of an input: an access record in plain numbers, which are quicker to make and to change than its words. */
export interface Access {
  /** One of {@link KIND}. */
  kind: number;
  /** 0–5 BAR, 6 ROM, 7 configuration space. */
  region: number;
  /** Bytes: 1, 2 or 4. */
  width: number;
  /** Segment << 16 | bus << 8 | devfn; for a hypercall the calling domain. */
  function: number;
  /** In the region; a raise's vector; nr × 2^32 + cmd of a hypercall; address of a DMA write, here the host's own. */
  offset: number;
  /** Unsigned 32 bits; for a hypercall or a DMA write the number of bytes in `data`. */
  value: number;
  /** Argument of a hypercall, bytes of a DMA write. */
  data: Uint8Array | undefined;
}

/** An access as the binary register interface has it. */
export function toRecord(access: Access): AccessRecord {
  const { kind, region, width, function: fn, offset, value, data } = access;
  const [offsetLo, offsetHi] = splitWords(offset);
  const record = {
    kind,
    region,
    width,
    status: STATUS.ok,
    function: fn,
    offsetLo,
    offsetHi,
    valueLo: value,
    valueHi: 0,
  };
  return data ? { ...record, data } : record;
}

/** Accesses as a stream of records, see docs/access-records.md. */
export function encodeAccesses(accesses: readonly Access[]): Uint8Array {
  const writer = new RecordWriter();
  for (const access of accesses) writer.write(toRecord(access));
  return writer.take();
}

/**
 * The accesses of a stream of records; one of eight bytes is two of four, low first.
 * @throws UsageError if the bytes end within a record, or a width cannot be
 */
export function decodeAccesses(bytes: Uint8Array): Access[] {
  const reader = new RecordReader();
  reader.push(bytes);
  const accesses: Access[] = [];
  for (let record = reader.next(); record; record = reader.next()) {
    const { kind, region, width, valueLo, valueHi } = record;
    const offset = joinWords(record.offsetLo, record.offsetHi);
    const access = { kind, region, width, function: record.function, offset, value: valueLo, data: record.data };
    const isAccess = kind === KIND.read || kind === KIND.write;
    if (isAccess && ![1, 2, 4, 8].includes(width)) throw new UsageError(`an access of ${width} bytes cannot be`);
    if (!isAccess || width !== 8) accesses.push(access);
    else accesses.push({ ...access, width: 4 }, { ...access, width: 4, offset: offset + 4, value: valueHi });
  }
  if (reader.pendingBytes > 0)
    throw new UsageError(`access records end within a record, ${reader.pendingBytes} bytes over`);
  return accesses;
}
