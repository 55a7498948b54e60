/**
 * Access records told a second time, from docs/access-records.md and not from `src/harness`: the 24 bytes, what follows
 * them, and which status a request must get.
 */

export const BLOCK = 24;
export const MOST_DATA = 65536;
/** errno values that docs/access-records.md names. */
export const ERRNO = { EINVAL: 22, ENODEV: 19, ENOSYS: 38, EMSGSIZE: 90 } as const;

export interface NaiveRecord {
  kind: number;
  region: number;
  width: number;
  status: number;
  function: number;
  offset: bigint;
  value: bigint;
  /** Bytes behind the record, where its kind has some. */
  data: Uint8Array | undefined;
}

const WITH_DATA = [6, 0x86, 0x87, 8];

export const padded = (length: number) => length + ((BLOCK - (length % BLOCK)) % BLOCK);

/** The record at `at`; `end` is where the next begins; undefined while it is not complete; `tooLong` if it claims too much. */
export function parseNaive(
  bytes: Uint8Array,
  at: number,
): { record: NaiveRecord; end: number; tooLong: boolean } | undefined {
  if (bytes.length - at < BLOCK) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, BLOCK);
  const [kind, region, width, status] = bytes.subarray(at, at + 4);
  const record: NaiveRecord = {
    kind,
    region,
    width,
    status,
    function: view.getUint32(4, true),
    offset: view.getBigUint64(8, true),
    value: view.getBigUint64(16, true),
    data: undefined,
  };
  let end = at + BLOCK;
  if (!WITH_DATA.includes(kind)) return { record, end, tooLong: false };
  if (record.value > MOST_DATA) return { record, end, tooLong: true };
  const length = Number(record.value);
  end += padded(length);
  if (bytes.length < end) return undefined;
  record.data = bytes.slice(at + BLOCK, at + BLOCK + length);
  return { record, end, tooLong: false };
}

export function encodeNaive(r: NaiveRecord): Uint8Array {
  const bytes = new Uint8Array(BLOCK + (r.data ? padded(r.data.length) : 0));
  const view = new DataView(bytes.buffer);
  bytes.set([r.kind, r.region, r.width, r.status]);
  view.setUint32(4, r.function, true);
  view.setBigUint64(8, r.offset, true);
  view.setBigUint64(16, r.value, true);
  if (r.data) bytes.set(r.data, BLOCK);
  return bytes;
}

/** What a request can name: of a function the rules need no more than this. */
export interface NaiveShape {
  /** BARs that are there; 6 is the ROM. */
  bars: readonly number[];
  /** Vectors it can signal in some mode. */
  vectors: number;
}

/**
 * Why a request must be refused: every errno that a rule gives it, for where two rules apply the text has no order. Empty:
 * it must be carried out.
 */
export function refusals(request: NaiveRecord, shape: NaiveShape | undefined, hypercalls: boolean): number[] {
  const { kind, region, width, offset, value } = request;
  const why: number[] = [];
  const must = (holds: boolean, errno: number) => {
    if (!holds) why.push(errno);
  };
  if (kind === 0 || kind === 1) {
    must([1, 2, 4, 8].includes(width), ERRNO.EINVAL);
    if (region === 7) return why; // configuration space where no function is can be read
    must(shape !== undefined, ERRNO.ENODEV);
    must(region < 7 && (shape?.bars.includes(region) ?? true), ERRNO.EINVAL);
  } else if (kind === 2 || kind === 5) {
    must(value <= 1n, ERRNO.EINVAL);
    must(shape !== undefined, ERRNO.ENODEV);
    if (kind === 5 && value === 0n) must(offset < BigInt(shape?.vectors ?? 2048), ERRNO.EINVAL);
  } else if (kind === 6) must(hypercalls, ERRNO.ENOSYS);
  else must(false, ERRNO.EINVAL);
  return why;
}

/** One line for people: `write config+0x4 width 2 = 0x6 of 00:04.0`. */
export function tellRecord(r: NaiveRecord): string {
  const h = (value: bigint | number) => `0x${value.toString(16)}`;
  const whom = `of ${((r.function >> 8) & 0xff).toString(16).padStart(2, '0')}:${((r.function >> 3) & 31).toString(16).padStart(2, '0')}.${r.function & 7}`;
  const where = `${r.region === 7 ? 'config' : r.region === 6 ? 'ROM' : r.region < 6 ? `BAR ${r.region}` : `region ${r.region}`}+${h(r.offset)} width ${r.width}`;
  const failed = r.status ? `, status ${r.status}` : '';
  switch (r.kind) {
    case 0:
      return `read ${where} ${whom}${failed}`;
    case 1:
      return `write ${where} = ${h(r.value)} ${whom}${failed}`;
    case 2:
      return `reset ${h(r.value)} ${whom}${failed}`;
    case 3:
      return `message ${h(r.value)} to ${h(r.offset)} ${whom}`;
    case 4:
      return `INTx pin ${h(r.offset)} level ${h(r.value)} ${whom}`;
    case 5:
      return r.value === 1n
        ? `lower ${whom}${failed}`
        : `raise vector ${h(r.offset)} value ${h(r.value)} ${whom}${failed}`;
    case 6:
      return `hypercall ${r.offset >> 32n} cmd ${r.offset & 0xffffffffn} with ${r.value} bytes${failed}`;
    case 7:
      return `DMA read of ${r.value} bytes at ${h(r.offset)} ${whom}`;
    case 8:
      return `DMA write of ${r.value} bytes at ${h(r.offset)} ${whom}`;
    case 0x87:
      return `DMA answer of ${r.value} bytes${failed} ${whom}`;
    default:
      return r.kind >= 0x80
        ? `answer${failed} value ${h(r.value)} to ${tellRecord({ ...r, kind: r.kind & 0x7f, status: 0, data: undefined })}`
        : `kind ${r.kind} region ${r.region} width ${r.width} offset ${h(r.offset)} value ${h(r.value)} ${whom}`;
  }
}
