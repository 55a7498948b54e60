import { writeLe } from '../core/index.ts';
import type { BarSpec, FunctionSpec } from '../pci/index.ts';

/** Which structures a made-up function has; offsets are chosen here. */
export interface ImageOptions {
  name: string;
  bdf?: number;
  /** 0 or 1, a port of a bridge. */
  headerType?: 0 | 1;
  /** Interrupt pin, default 1 (INTA). */
  pin?: number;
  /** Power Management Capabilities, 16 bit at +2. */
  pm?: number;
  /** Message Control of MSI as it stands after reset. */
  msi?: number;
  /** `tight`: table and pending bits each fill a BAR of their own to its end. */
  msix?: { count: number; pbaBar?: number; tight?: boolean };
  /** Device Capabilities of a PCI Express capability, and the Device/Port Type. */
  express?: { caps: number; portType?: number };
  vpd?: boolean;
  /** Advanced Features with FLR. */
  af?: boolean;
  /** A ROM of 64 KiB. */
  rom?: boolean;
  /** Everything that a written 1 clears has happened. */
  events?: boolean;
  /** Extended capabilities in list order: the first stands at 0x100. Words at offsets from each. */
  extended?: readonly { id: number; at: number; version?: number; words?: Readonly<Record<number, number>> }[];
  /** BARs besides those that the table and the ROM need. */
  bars?: readonly BarSpec[];
  /** Where MSI stands, default 0x50. */
  msiAt?: number;
  /** Dwords that differ, by offset. */
  words?: Readonly<Record<number, number>>;
}

const TABLE_BAR = 0;
const TABLE_OFFSET = 0x1000;

/** A function with the structures asked for, as it stands after reset; every one of them is what the spec allows. */
export function imageSpec(options: ImageOptions): FunctionSpec {
  const { name, bdf = 0x20, headerType = 0, pin = 1, pm, msi, msix, express, vpd, af, rom, events } = options;
  const { extended = [], msiAt = 0x50, words = {} } = options;
  const image = new Uint8Array(express ? 4096 : 256);
  const put = (at: number, width: 1 | 2 | 4, value: number) => writeLe(image, at, width, value);
  put(0x00, 4, 0x0001_1af4);
  put(0x06, 2, events ? 0xf910 : 0x0010);
  put(0x08, 4, headerType === 1 ? 0x0604_0001 : 0x0108_0201);
  put(0x0e, 1, headerType);
  put(0x3d, 1, pin);
  let link = 0x34;
  const capability = (id: number, at: number) => {
    put(link, 1, at);
    put(at, 1, id);
    link = at + 1;
  };
  const bars: BarSpec[] = [];
  if (pm !== undefined) {
    capability(1, 0x40);
    put(0x42, 2, pm);
    if (events && pm >>> 11) put(0x44, 2, 0x8000);
  }
  if (msi !== undefined) {
    capability(5, msiAt);
    put(msiAt + 2, 2, msi);
  }
  if (msix) {
    const { count, tight = false, pbaBar = tight ? 2 : TABLE_BAR } = msix;
    const tableOffset = tight ? 0 : TABLE_OFFSET;
    const pbaOffset = pbaBar === TABLE_BAR ? TABLE_OFFSET + 16 * count : 0;
    capability(0x11, 0x70);
    put(0x72, 2, count - 1);
    put(0x74, 4, tableOffset | TABLE_BAR);
    put(0x78, 4, pbaOffset | pbaBar);
    bars.push({ bar: TABLE_BAR, kind: 'mem64', sizeBytes: tight ? 16 * count : 0x10000 });
    put(0x10, 4, 4);
    if (pbaBar !== TABLE_BAR) bars.push({ bar: pbaBar, kind: 'mem32', sizeBytes: tight ? count / 8 : 0x1000 });
  }
  if (express) {
    const { caps, portType = 0 } = express;
    capability(0x10, 0x80);
    put(0x82, 2, 2 | (portType << 4));
    put(0x84, 4, caps);
    put(0x88, 2, 0x2810);
    if (events) put(0x8a, 2, 0x000f);
    put(0x8c, 4, 0x0000_0412);
    put(0x92, 2, 0x0012);
  }
  if (rom) bars.push({ bar: 6, kind: 'rom', sizeBytes: 0x10000 });
  if (vpd) capability(3, 0xc0);
  if (af) {
    capability(0x13, 0xd0);
    put(0xd2, 2, 0x0306);
  }
  put(link, 1, 0);
  for (const [i, { id, at, version = 1, words = {} }] of extended.entries()) {
    put(at, 4, (((extended[i + 1]?.at ?? 0) << 20) | (version << 16) | id) >>> 0);
    for (const [offset, value] of Object.entries(words)) put(at + Number(offset), 4, value);
  }
  for (const bar of options.bars ?? []) {
    bars.push(bar);
    const type = bar.kind === 'io' ? 1 : (bar.kind === 'mem64' ? 4 : 0) | (bar.prefetchable ? 8 : 0);
    if (bar.kind !== 'rom') put(0x10 + 4 * bar.bar, 4, type);
  }
  for (const [at, value] of Object.entries(words)) put(Number(at), 4, value);
  return { name, bdf, image, bars };
}
