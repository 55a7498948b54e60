import { type AccessKind, fieldMask, readLe } from '../../core/index.ts';
import type { BarSpec, Layout } from '../../pci/index.ts';
import { expressLinkRows, extendedRows, type Row } from './spec-capabilities.ts';

/**
 * What each bit of a configuration space does, one byte of flags a bit. Written a second time, from the specifications
 * and not from `src/pci`, for the registers that matter to interrupts; a register without a row here follows its table in
 * `src/pci`, bit by bit, so that only what is made of the table is judged there, not the table.
 */
export interface SpecBits {
  readonly size: number;
  readonly image: Uint8Array;
  readonly rw: Uint8Array;
  readonly w1c: Uint8Array;
  /** What writable bits are after a conventional reset. */
  readonly reset: Uint8Array;
  readonly sticky: Uint8Array;
  readonly keptByFlr: Uint8Array;
  /** Bits that hardware changes on its own and no second model follows: not compared. */
  readonly volatile: Uint8Array;
  /** Capability offsets by id; conventional list. */
  readonly capabilities: ReadonlyMap<number, number>;
}

/** PCI Local Bus 3.0 §6.2, PCIe 5.0 §7.5.1.1 and §7.5.1.2; type 1: PCI-to-PCI Bridge 1.2 §3.2, PCIe 5.0 §7.5.1.3. */
function headerRows(image: Uint8Array): Row[] {
  const rows: Row[] = [
    { at: 0x00, width: 4 },
    // I/O, memory, bus master, parity response, SERR#, INTx disable
    { at: 0x04, width: 2, rw: 0x0547 },
    { at: 0x06, width: 2, w1c: 0xf900 },
    { at: 0x08, width: 4 },
    { at: 0x0c, width: 1, rw: 0xff },
    { at: 0x0d, width: 3 },
    { at: 0x34, width: 4 },
    { at: 0x3c, width: 1, rw: 0xff },
    { at: 0x3d, width: 1 },
  ];
  const type = image[0x0e] & 0x7f;
  // what is no BAR stays as it is; the rows of those that are come after these
  if (type === 0)
    rows.push({ at: 0x10, width: 24 }, { at: 0x28, width: 12 }, { at: 0x38, width: 4 }, { at: 0x3e, width: 2 });
  if (type !== 1) return rows;
  // the low four bits of a base say how wide its window's addresses are; a prefetchable window of zeros is none
  const prefetch = readLe(image, 0x24, 4);
  const wide = (prefetch & 15) === 1 ? 0xffffffff : 0;
  const io32 = (image[0x1c] & 15) === 1 ? 0xffff : 0;
  rows.push(
    { at: 0x10, width: 8 },
    { at: 0x24, width: 4, rw: prefetch === 0 ? 0 : 0xfff0fff0 },
    { at: 0x28, width: 4, rw: wide },
    { at: 0x2c, width: 4, rw: wide },
    { at: 0x30, width: 2, rw: io32 },
    { at: 0x32, width: 2, rw: io32 },
    { at: 0x38, width: 4 },
    { at: 0x18, width: 4, rw: 0x00ffffff },
    { at: 0x1c, width: 2, rw: 0xf0f0 },
    { at: 0x1e, width: 2, w1c: 0xf900 },
    { at: 0x20, width: 4, rw: 0xfff0fff0 },
    { at: 0x3e, width: 2, rw: 0x005f },
  );
  return rows;
}

/** Bits of as many vectors as Multiple Message Capable offers. */
const offered = (ctrl: number): number => {
  const count = 1 << Math.min((ctrl >> 1) & 7, 5);
  return count === 32 ? 0xffffffff : 2 ** count - 1;
};

/** PCIe 5.0 §7.7.1, figures 7-45 to 7-48. */
function msiRows(image: Uint8Array, at: number): Row[] {
  const ctrl = readLe(image, at + 2, 2);
  const extended = (ctrl & 0x200) !== 0;
  const data = at + (ctrl & 0x80 ? 12 : 8);
  const rows: Row[] = [
    { at: at + 2, width: 2, rw: extended ? 0x0471 : 0x0071 },
    { at: at + 4, width: 4, rw: 0xfffffffc },
    { at: data, width: 2, rw: 0xffff },
  ];
  if (ctrl & 0x80) rows.push({ at: at + 8, width: 4, rw: 0xffffffff });
  if (extended || ctrl & 0x100) rows.push({ at: data + 2, width: 2, rw: extended ? 0xffff : 0 });
  if (ctrl & 0x100) rows.push({ at: data + 4, width: 4, rw: offered(ctrl) }, { at: data + 8, width: 4 });
  return rows;
}

/** PCIe 5.0 §7.5.2: power state; PME enable and status where PME is supported. */
function pmRows(image: Uint8Array, at: number): Row[] {
  const pme = readLe(image, at + 2, 2) >>> 11 !== 0;
  return [
    { at: at + 2, width: 2 },
    pme ? { at: at + 4, width: 2, rw: 0x0103, w1c: 0x8000, sticky: 0x8100 } : { at: at + 4, width: 2, rw: 0x0003 },
    { at: at + 6, width: 2 },
  ];
}

/** PCIe 5.0 §7.5.3.2 to §7.5.3.5: what every express function has; error reporting, payload, relaxed ordering. */
function expressRows(image: Uint8Array, at: number): Row[] {
  const caps = readLe(image, at + 4, 4);
  const port = (image[at + 2] >> 4) & 15;
  const control =
    0x781f | (caps & 7 ? 0xe0 : 0) | (caps & 0x20 ? 0x100 : 0) | (caps & 0x18 ? 0x200 : 0) | (port === 7 ? 0x8000 : 0);
  return [
    { at: at + 2, width: 2 },
    { at: at + 4, width: 4 },
    { at: at + 8, width: 2, rw: control, reset: 0x2810, keptByFlr: 0x00e0 },
    { at: at + 10, width: 2, w1c: 0x000f },
  ];
}

/** PCIe 5.0 §7.7.2. */
const msixRows = (at: number): Row[] => [
  { at: at + 2, width: 2, rw: 0xc000 },
  { at: at + 4, width: 4 },
  { at: at + 8, width: 4 },
];

/** PCI Local Bus 3.0 §6.2.5.1: address bits above the size can be written. */
function barRows(bar: BarSpec, type: number): Row[] {
  const at = bar.bar === 6 ? (type === 1 ? 0x38 : 0x30) : 0x10 + 4 * bar.bar;
  if (bar.kind === 'rom') return [{ at, width: 4, rw: (2 ** 32 - Math.max(bar.sizeBytes, 2048)) | 1 }];
  const low = bar.sizeBytes >= 2 ** 32 ? 0 : 2 ** 32 - bar.sizeBytes;
  const rows: Row[] = [{ at, width: 4, rw: bar.kind === 'io' ? low & ~3 : low & ~15 }];
  if (bar.kind === 'mem64') rows.push({ at: at + 4, width: 4, rw: 2 ** 32 - Math.max(1, bar.sizeBytes / 2 ** 32) });
  return rows;
}

/** The conventional list, PCIe 5.0 §7.5.1.1.11; a walk that comes round ends. First of each id. */
function walk(image: Uint8Array): Map<number, number> {
  const found = new Map<number, number>();
  const seen = new Set<number>();
  if (!(image[6] & 0x10)) return found;
  for (let at = image[0x34] & 0xfc; at >= 0x40 && !seen.has(at); at = image[at + 1] & 0xfc) {
    seen.add(at);
    if (!found.has(image[at])) found.set(image[at], at);
  }
  return found;
}

/** Compiles the bits of a function in the `spec` flavour. */
export function specBits(layout: Layout): SpecBits {
  const size = layout.configSize;
  const { image } = layout;
  const bytes = () => new Uint8Array(size);
  const bits = {
    rw: bytes(),
    w1c: bytes(),
    reset: image.slice(),
    sticky: bytes(),
    keptByFlr: bytes(),
    volatile: bytes(),
  };
  const put = (into: Uint8Array, at: number, width: number, value: number) => {
    for (let i = 0; i < width && at + i < size; i++) into[at + i] = i < 4 ? value >>> (8 * i) : 0;
  };
  const row = (r: Row) => {
    put(bits.rw, r.at, r.width, r.rw ?? 0);
    put(bits.w1c, r.at, r.width, r.w1c ?? 0);
    put(bits.sticky, r.at, r.width, r.sticky ?? 0);
    put(bits.keptByFlr, r.at, r.width, r.keptByFlr ?? 0);
    const changes = (r.rw ?? 0) | (r.w1c ?? 0);
    for (let i = 0; i < Math.min(r.width, 4) && r.at + i < size; i++)
      bits.reset[r.at + i] =
        (image[r.at + i] & ~(changes >>> (8 * i))) | (((r.reset ?? 0) >>> (8 * i)) & (changes >>> (8 * i)));
  };
  const hardware = layout.traits.headerType === 1 ? PORT_HARDWARE : NONE;
  for (const { at, register } of layout.registers) {
    const sum = (has: (access: AccessKind) => boolean) =>
      Object.values(register.fields).reduce((mask, f) => mask | (has(f.access) ? fieldMask(f) : 0), 0);
    const flagged = (flag: 'sticky' | 'keptByFlr') =>
      Object.values(register.fields).reduce((mask, f) => mask | (f[flag] ? fieldMask(f) : 0), 0);
    const reset = Object.values(register.fields).reduce((value, f) => value | ((f.reset ?? 0) << f.at), 0);
    row({
      at,
      width: register.width,
      rw: sum((a) => a === 'rw'),
      w1c: sum((a) => a === 'rw1c'),
      reset,
      sticky: flagged('sticky'),
      keptByFlr: flagged('keptByFlr'),
    });
    if (hardware.test(register.name)) put(bits.volatile, at, register.width, -1);
  }
  for (const r of headerRows(image)) row(r);
  for (const bar of layout.bars) for (const r of barRows(bar, image[0x0e] & 0x7f)) row(r);
  const capabilities = walk(image);
  const [pm, msi, express, msix] = [1, 5, 0x10, 0x11].map((id) => capabilities.get(id));
  if (pm) for (const r of pmRows(image, pm)) row(r);
  if (msi) for (const r of msiRows(image, msi)) row(r);
  const port = express ? (image[express + 2] >> 4) & 15 : -1;
  if (express) for (const r of [...expressRows(image, express), ...expressLinkRows(image, express)]) row(r);
  for (const r of extendedRows(image, port)) row(r);
  if (msix) for (const r of msixRows(msix)) row(r);
  return { size, image, ...bits, capabilities };
}

/** Registers of a port that change by themselves: its slot's, its own errors, its link's. */
const PORT_HARDWARE = /^(pcie\.(slotControl|slotStatus|linkStatus)|aer\.(rootStatus|control|headerLog.*))$/;
const NONE = /^$/;
