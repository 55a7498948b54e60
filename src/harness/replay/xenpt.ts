import { fromHex, ones, readLe, UsageError, type Width, writeLe } from '../../core/index.ts';
import {
  type DeviceModelProfile,
  deviceModel,
  type HostFunction,
  type HostRegion,
  type MapPirqMsi,
  type MsiBinding,
  PassthroughDevice,
  type Toolstack,
} from '../../xen/device-model/index.ts';
import type { RecordingLine, Replayer, ReplayResult } from './result.ts';
import { Tally } from './tally.ts';

/** Bits of a `fail` operation. */
const FAIL = { map: 1, update: 2, unbind: 4, unmap: 8 } as const;
const LOWEST_FREE = 48;
const HIGHEST_FREE = 255;

interface Header {
  version: string;
  variant: { permissive: boolean };
  host: string;
  host_writable: string;
  table_bar: { bar: number; base: number; size: number };
  host_bdf: string;
  guest_table: number;
}

/** Recordings of QEMU's own pass-through code against a stub device and stub hypercalls: golden/xenpt. */
export const XENPT_REPLAYER: Replayer = {
  replay(file, header, lines) {
    return replayXenpt(file, checked(file, header), lines);
  },
};

/** @throws UsageError naming what the header lacks */
function checked(file: string, header: Record<string, unknown>): Header {
  const isImage = (value: unknown) => typeof value === 'string' && /^[0-9a-f]{512}$/i.test(value);
  const isObject = (value: unknown) => typeof value === 'object' && value !== null;
  const wanted: Record<keyof Header, (value: unknown) => boolean> = {
    version: (value) => typeof value === 'string',
    variant: isObject,
    host: isImage,
    host_writable: isImage,
    table_bar: isObject,
    host_bdf: (value) => typeof value === 'string' && /^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(value),
    guest_table: (value) => typeof value === 'number',
  };
  for (const [name, isRight] of Object.entries(wanted))
    if (!isRight(header[name])) throw new UsageError(`${file}: header of a xenpt recording lacks a proper "${name}"`);
  return header as unknown as Header;
}

/** The profile that a recording's `version` names: `pre-c976437c (2.0.x)`, `c976437c (2.1)`, `7.2`. */
function profileOf(version: string): DeviceModelProfile {
  return deviceModel(`qemu-${/(\d+\.\d+)(?:\.x)?\)?$/.exec(version)?.[1] ?? version}`);
}

function replayXenpt(file: string, header: Header, lines: Iterable<RecordingLine>): ReplayResult {
  const tally = new Tally();
  const stub = new Stub(header);
  const device = new PassthroughDevice(profileOf(header.version), stub, stub, {
    permissive: header.variant.permissive,
    guestTable: header.guest_table,
    coreWritable: new Uint8Array(0x40),
  });
  if (device.msix) stub.tableAddress = device.msix.layout.tableBase + device.msix.layout.tableOffset;
  stub.calls.length = 0; // what happens at creation is not recorded

  const compare = (what: string, recorded: unknown, actual: unknown) => {
    const [want, got] = [textOf(recorded), textOf(actual)];
    tally.compare(want === got, () => `${what}: recorded ${want}, model ${got}`);
  };

  for (const line of lines as Iterable<unknown[]>) {
    tally.line++;
    tally.operations++;
    if (!Array.isArray(line)) throw new UsageError(`${file}:${tally.line}: an operation is a JSON array`);
    const [op, ...args] = line as [string, ...number[]];
    if (op === 'init') {
      const [status, state] = line[1] as [string, string];
      compare('set-up', status, 'init 0');
      compare('state after set-up', state, `st ${stateText(device)}`);
      continue;
    }
    const [calls, answer, state] = line.slice(-3);
    const actual = carryOut(device, stub, op, args);
    const what = `${op} ${args.filter((a) => typeof a === 'number').join(' ')}`;
    compare(`calls of ${what}`, calls, stub.calls.splice(0));
    if (answer !== null) compare(`answer of ${what}`, asAccessed(op, args, answer as number), actual);
    if (state !== null) compare(`state after ${what}`, state, stateText(device));
  }
  return tally.result(file);
}

function textOf(value: unknown): string {
  return JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? String(inner) : inner));
}

/** A recorded read is what the C function returns; the bus passes on only the bytes that were asked for. */
function asAccessed(op: string, args: number[], answer: number): number {
  return op === 'r' ? (answer & ones(args[1] as Width)) >>> 0 : answer;
}

function carryOut(device: PassthroughDevice, stub: Stub, op: string, args: number[]): number | null {
  switch (op) {
    case 'w':
      device.writeConfig(args[0], args[1] as Width, args[2]);
      return null;
    case 'r':
      return device.readConfig(args[0], args[1] as Width);
    case 'tw':
      device.writeTable(args[0], args[1]);
      return null;
    case 'tr':
      return device.readTable(args[0]);
    case 'hwt':
      stub.table.set(args[0], args[1]);
      return null;
    case 'fail':
      stub.failing = args[0];
      return null;
    case 'destroy':
      device.destroy();
      return null;
    default:
      throw new UsageError(`unknown operation "${op}" in a recording of kind xenpt`);
  }
}

/** Internal state as the recordings write it. */
function stateText({ msi, msix }: PassthroughDevice): string {
  const bit = (value: boolean | undefined) => (value ? 1 : 0);
  const parts: string[] = [];
  if (msi) {
    const { addressLo, addressHi, data } = msi.message;
    parts.push(
      `msi flags=${msi.flags} addr=${addressHi}:${addressLo} data=${data} pirq=${msi.pirq} ` +
        `init=${bit(msi.initialized)} mapped=${bit(msi.mapped)}`,
    );
  }
  if (msix) {
    const entries = Array.from(
      { length: msix.entryCount },
      (_, entry) => `${msix.entryPirq(entry)}/${bit(msix.entryUpdated(entry))}`,
    );
    parts.push(`msix enabled=${bit(msix.enabled)} pirqs=${entries.join(',')}`);
  }
  return parts.join(' ');
}

/** The device and the hypervisor of the recordings: masked bytes, and a set of mapped pirqs. Logs every call. */
class Stub implements HostFunction, Toolstack {
  readonly sbdf: number;
  readonly regions: readonly HostRegion[];
  readonly table = new Map<number, number>();
  readonly calls: unknown[] = [];
  failing = 0;
  tableAddress = 0;
  readonly #config: Uint8Array;
  readonly #writable: Uint8Array;
  readonly #mapped = new Set<number>();

  constructor(header: Header) {
    const [bus, device, fn] = header.host_bdf.split(/[:.]/).map((part) => Number.parseInt(part, 16));
    this.sbdf = (bus << 8) | (device << 3) | fn;
    this.#config = fromHex(header.host);
    this.#writable = fromHex(header.host_writable);
    const { bar, base, size } = header.table_bar;
    this.regions = [{ bar, kind: 'mem32', base, sizeBytes: size }];
  }

  readConfig(offset: number, length: number): number {
    const padded = new Uint8Array(4);
    padded.set(this.#config.subarray(offset, offset + length));
    const value = readLe(padded, 0, 4);
    this.calls.push(['hr', offset, length, value]);
    return value;
  }

  writeConfig(offset: number, length: number, value: number): void {
    this.calls.push(['hw', offset, length, value]);
    const written = new Uint8Array(4);
    writeLe(written, 0, 4, value);
    for (let i = 0; i < length; i++) {
      const mask = this.#writable[offset + i];
      this.#config[offset + i] = (this.#config[offset + i] & ~mask) | (written[i] & mask);
    }
  }

  readMemory(address: number): number {
    return this.table.get(address - this.tableAddress) ?? 0;
  }

  mapPirqMsi({ index, pirq, devfn, bus, entry, tableBase }: MapPirqMsi): { rc: number; pirq: number } {
    let free = HIGHEST_FREE;
    while (free >= LOWEST_FREE && this.#mapped.has(free)) free--;
    const isRefused = this.failing & FAIL.map || (pirq < 0 && free < LOWEST_FREE);
    const rc = isRefused ? -1 : 0;
    const got = pirq < 0 && !isRefused ? free : pirq;
    if (rc === 0) this.#mapped.add(got);
    this.calls.push(['map_pirq_msi', [index, pirq, devfn, bus, entry, tableBase], [rc, got]]);
    return { rc, pirq: got };
  }

  updateMsiIrq({ gvec, pirq, gflags, gtable }: MsiBinding & { gtable: number }): number {
    const rc = this.failing & FAIL.update || !this.#mapped.has(pirq) ? -1 : 0;
    this.calls.push(['update_msi_irq', [gvec, pirq, gflags, gtable], [rc]]);
    return rc;
  }

  unbindMsiIrq({ gvec, pirq, gflags }: MsiBinding): number {
    const rc = this.failing & FAIL.unbind ? -1 : 0;
    this.calls.push(['unbind_msi_irq', [gvec, pirq, gflags], [rc]]);
    return rc;
  }

  unmapPirq(pirq: number): number {
    const rc = this.failing & FAIL.unmap || !this.#mapped.delete(pirq) ? -1 : 0;
    this.calls.push(['unmap_pirq', [pirq], [rc]]);
    return rc;
  }

  /** The recordings never move the table. */
  unbindPtIrq(): number {
    return 0;
  }

  /** The recorded code goes on, though the real one ends its domain. */
  fatal(): void {
    this.calls.push(['FATAL']);
  }
}
