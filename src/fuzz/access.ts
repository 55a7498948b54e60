import { UsageError } from '../core/index.ts';

/** Bytes of an access record without its data. */
const RECORD_BYTES = 24;
/** Region and width where there are none. */
export const NOT_APPLICABLE = 0xff;

/** What a record asks; the numbers are those of the binary register interface. */
export const KIND = { read: 0, write: 1, reset: 2, raise: 5, hypercall: 6 } as const;
/** Regions beyond the BARs, as VFIO numbers them. */
export const REGION = { rom: 6, config: 7 } as const;
/** Values of a reset record; a hot reset is what software makes with a bridge, not a record. */
export const RESET = { conventional: 0, flr: 1 } as const;
/** Values of a raise record: the condition begins or ends. */
export const SIGNAL = { begins: 0, ends: 1 } as const;

/** One step of an input: an access record in plain numbers. */
export interface Access {
  /** One of {@link KIND}. */
  kind: number;
  /** 0–5 BAR, 6 ROM, 7 configuration space. */
  region: number;
  /** Bytes: 1, 2 or 4. */
  width: number;
  /** Segment << 16 | bus << 8 | devfn; for a hypercall the calling domain. */
  function: number;
  /** In the region; a raise's vector; nr × 2^32 + cmd of a hypercall. */
  offset: number;
  /** Unsigned 32 bits; for a hypercall the number of argument bytes. */
  value: number;
  /** Argument bytes of a hypercall. */
  data: Uint8Array | undefined;
}

/** Accesses as a stream of 24-byte records, argument bytes padded to a multiple of 24 behind theirs. */
export function encodeAccesses(accesses: readonly Access[]): Uint8Array {
  const size = accesses.reduce((sum, a) => sum + RECORD_BYTES + padded(a.data?.length ?? 0), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const a of accesses) {
    bytes.set([a.kind, a.region, a.width, 0], at);
    view.setUint32(at + 4, a.function, true);
    view.setUint32(at + 8, a.offset % 0x1_0000_0000, true);
    view.setUint32(at + 12, Math.floor(a.offset / 0x1_0000_0000), true);
    view.setUint32(at + 16, a.value, true);
    at += RECORD_BYTES;
    if (!a.data) continue;
    bytes.set(a.data, at);
    at += padded(a.data.length);
  }
  return bytes;
}

/** @throws UsageError if the bytes end within a record */
export function decodeAccesses(bytes: Uint8Array): Access[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const accesses: Access[] = [];
  for (let at = 0; at < bytes.length; ) {
    if (at + RECORD_BYTES > bytes.length) throw new UsageError(`access records end within a record, at byte ${at}`);
    const access: Access = {
      kind: bytes[at],
      region: bytes[at + 1],
      width: bytes[at + 2],
      function: view.getUint32(at + 4, true),
      offset: view.getUint32(at + 8, true) + 0x1_0000_0000 * view.getUint32(at + 12, true),
      value: view.getUint32(at + 16, true),
      data: undefined,
    };
    at += RECORD_BYTES;
    if (access.kind === KIND.hypercall) {
      if (at + padded(access.value) > bytes.length)
        throw new UsageError(`access records end within the argument of a hypercall, at byte ${at}`);
      access.data = bytes.slice(at, at + access.value);
      at += padded(access.value);
    }
    accesses.push(access);
  }
  return accesses;
}

const padded = (length: number) => Math.ceil(length / RECORD_BYTES) * RECORD_BYTES;
