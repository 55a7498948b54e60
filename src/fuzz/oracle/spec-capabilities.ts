import { readLe } from '../../core/index.ts';

/** What some bytes of a configuration space do; bits that no mask names are read-only and keep what the image says. */
export interface Row {
  at: number;
  width: number;
  rw?: number;
  w1c?: number;
  reset?: number;
  sticky?: number;
  keptByFlr?: number;
}

/** A value of the capability's own bytes, and the Device/Port Type of the function (−1: not express). */
type View = { peek(at: number, width: 1 | 2 | 4): number; port: number };

/** A capability told a second time: its bytes, and of those the ones that are not read-only, at offsets from its start. */
interface Told {
  bytes(view: View): number;
  rows(view: View): Row[];
}

const told = (bytes: number, ...rows: Row[]): Told => ({ bytes: () => bytes, rows: () => rows });
const rw = (at: number, width: number, mask: number, more: Partial<Row> = {}): Row => ({
  at,
  width,
  rw: mask,
  ...more,
});
/** `mask` where a bit of something else is set. */
const given = (condition: number, mask: number) => (condition ? mask : 0);

const isRoot = (port: number) => port === 4 || port === 10;

/** PCIe 5.0 §7.8.4: errors of uncorrectable and correctable registers, severities and masks that are 1 after reset. */
const UNCORRECTABLE = 0x07ff_f030;
const CORRECTABLE = 0x0000_f1c1;

const AER: Told = {
  bytes: ({ peek, port }) => (peek(2, 1) & 14 ? 0x48 : isRoot(port) ? 0x38 : 0x2c),
  rows({ peek, port }) {
    const caps = peek(0x18, 4);
    const enables = given(caps & 0x20, 0x40) | given(caps & 0x80, 0x100) | given(caps & 0x200, 0x400);
    const rows: Row[] = [
      { at: 0x04, width: 4, w1c: UNCORRECTABLE, sticky: UNCORRECTABLE },
      rw(0x08, 4, UNCORRECTABLE, { reset: 0x0440_0000, sticky: UNCORRECTABLE }),
      rw(0x0c, 4, UNCORRECTABLE, { reset: 0x0046_2030, sticky: UNCORRECTABLE }),
      { at: 0x10, width: 4, w1c: CORRECTABLE, sticky: CORRECTABLE },
      rw(0x14, 4, CORRECTABLE, { reset: 0x0000_e000, sticky: CORRECTABLE }),
      rw(0x18, 4, enables, { sticky: enables }),
    ];
    if (isRoot(port)) rows.push(rw(0x2c, 4, 7), { at: 0x30, width: 4, w1c: 0x7f, sticky: 0x7f });
    return rows;
  },
};

/** §7.7.8: what is offered can be enabled. */
const ACS: Told = { bytes: () => 8, rows: ({ peek }) => [rw(6, 2, peek(4, 2) & 0xff)] };

/** §7.8.7. */
const ARI: Told = {
  bytes: () => 8,
  rows({ peek }) {
    const caps = peek(4, 2) & 3;
    return [rw(6, 2, caps | given(caps, 0x70))];
  },
};

/** §7.8.8. */
const PASID: Told = { bytes: () => 8, rows: ({ peek }) => [rw(6, 2, 1 | (peek(4, 2) & 6))] };

/** §7.9.16. */
const PTM: Told = { bytes: () => 12, rows: ({ peek }) => [rw(8, 4, 0xff01 | given(peek(4, 4) & 4, 2))] };

/** §9.3.3; sizes of VF BARs are not known. */
const SRIOV: Told = {
  bytes: () => 0x40,
  rows({ peek }) {
    const caps = peek(4, 4);
    return [
      rw(0x08, 2, 0x19 | given(caps & 1, 6) | given(caps & 4, 0x20)),
      { at: 0x0a, width: 2, w1c: 1 },
      rw(0x10, 2, 0xffff),
      rw(0x20, 4, peek(0x1c, 4), { reset: 1 }),
    ];
  },
};

/** §7.9.11. */
const MULTICAST: Told = {
  bytes: () => 0x30,
  rows: ({ peek }) => [
    rw(6, 2, 0x8000 | given(peek(4, 2) & 0x3f, 0x3f)),
    rw(8, 4, 0xffff_f03f),
    ...[0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24].map((at) => rw(at, 4, 0xffff_ffff)),
  ],
};

/** Extended capabilities by id, PCIe 5.0 chapters 7, 9 and 10. */
export const EXTENDED: ReadonlyMap<number, Told> = new Map([
  [0x0001, AER],
  [0x0003, told(12)], // serial number
  [0x0004, told(16, rw(4, 1, 0xff))], // power budgeting
  [0x000d, ACS],
  [0x000e, ARI],
  [0x000f, told(8, rw(6, 2, 0x801f))], // ATS
  [0x0010, SRIOV],
  [0x0012, MULTICAST],
  [0x0013, told(16, rw(4, 2, 1), { at: 6, width: 2, w1c: 3 }, rw(12, 4, 0xffff_ffff))], // PRI
  [0x0018, told(8, rw(4, 2, 0x1fff), rw(6, 2, 0x1fff))], // LTR
  [0x001b, PASID],
  // DPC
  [0x001d, told(12, rw(6, 2, 0xbf), { at: 8, width: 2, w1c: 9, sticky: 9 })],
  // L1 PM substates
  [0x001e, told(16, rw(8, 4, 0xe3ff_ff0f), rw(12, 4, 0xfb, { reset: 0x28 }))],
  [0x001f, PTM],
  [0x0025, told(12)], // data link feature
]);

/** Registers of PCI Express behind Device Status, §7.5.3.7 to §7.5.3.20, but for a slot's. */
export function expressLinkRows(image: Uint8Array, at: number): Row[] {
  const peek = (offset: number, width: 1 | 2 | 4) => readLe(image, at + offset, width);
  const flags = peek(2, 2);
  const port = (flags >> 4) & 15;
  const downstream = port === 4 || port === 6;
  const link = peek(0x0c, 4);
  const notify = link & 0x20_0000;
  const placed = (row: Row): Row => ({ ...row, at: at + row.at });
  const rows: Row[] = [];
  if (port !== 9 && port !== 10) {
    const control =
      0x02c3 |
      given(Number(port === 0 || port === 1), 0x0008) |
      given(Number(downstream), 0x0010) |
      given(link & 0x4_0000, 0x0100) |
      given(Number(downstream) && notify, 0x0c00);
    rows.push(rw(0x10, 2, control, { keptByFlr: 0x03cb }), { at: 0x12, width: 2, w1c: given(notify, 0xc000) });
  }
  if (isRoot(port))
    rows.push(rw(0x1c, 2, 0x0f | given(peek(0x1e, 2) & 1, 0x10)), { at: 0x20, width: 4, w1c: 0x1_0000 });
  if ((flags & 15) < 2) return rows.map(placed);
  const caps2 = peek(0x24, 4);
  const control2 =
    0x0300 |
    given(caps2 & 0x0f, 0x000f) |
    given(caps2 & 0x10, 0x0010) |
    given(caps2 & 0x20, 0x0020) |
    given(caps2 & 0x1c0, 0x0040) |
    given(caps2 & 0x40, 0x0080) |
    given(caps2 & 0x800, 0x0400) |
    given(caps2 & 0x0300_0000, 0x0800) |
    given(caps2 & 0x2_0000, 0x1000) |
    given(caps2 & 0xc_0000, 0x6000) |
    given(caps2 & 0x20_0000, 0x8000);
  rows.push(rw(0x28, 2, control2));
  if (port !== 9 && port !== 10)
    rows.push(rw(0x30, 2, 0xffbf, { reset: link & 15, sticky: 0xffbf }), {
      at: 0x32,
      width: 2,
      w1c: 0x8020,
      sticky: 0x0020,
    });
  return rows.map(placed);
}

/** The extended list, §7.6.3: where each capability that is known here stands; first pointer 0x100, a loop ends it. */
export function extendedRows(image: Uint8Array, port: number): Row[] {
  const rows: Row[] = [];
  const seen = new Set<number>();
  if (image.length < 4096) return rows;
  for (let at = 0x100; at >= 0x100 && !seen.has(at); at = (image[at + 3] << 4) | ((image[at + 2] >> 4) & 12)) {
    seen.add(at);
    const header = readLe(image, at, 4);
    if (header === 0 || header === 0xffff_ffff) break;
    const known = EXTENDED.get(header & 0xffff);
    if (!known) continue;
    const view: View = { peek: (offset, width) => readLe(image, at + offset, width), port };
    rows.push({ at: at + 4, width: known.bytes(view) - 4 });
    for (const row of known.rows(view)) rows.push({ ...row, at: at + row.at });
  }
  return rows;
}
