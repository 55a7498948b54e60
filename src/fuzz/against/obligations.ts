import { readLe } from '../../core/index.ts';
import type { Layout } from '../../pci/index.ts';
import type { SpecBits } from '../oracle/spec-bits.ts';

/**
 * What the specifications oblige each bit of a register of somebody else's function to do. `spec-bits.ts` says what our
 * own model does, and where a specification leaves a choice the model has made one; here the choices are left open.
 * Bits in none of the masks are constant, reserved ones zero.
 */
export interface Duty {
  at: number;
  width: number;
  /** Must take what is written. */
  must?: number;
  /** May take what is written or be constant, as the implementation likes. */
  may?: number;
  w1c?: number;
  /** Changes by itself, or is the device's own: not judged. */
  own?: number;
  /** Value after reset, where the specification states one. */
  reset?: number;
  /** No value after reset is stated. */
  unstated?: number;
  /** Kept by FLR and hot reset; after a conventional reset as power was, so not judged there. */
  sticky?: number;
  /** Kept by FLR though not sticky. PCIe 5.0 §6.6.2. */
  keptByFlr?: number;
  section: string;
  /** Of bytes that no table of ours names. */
  name?: string;
  /** An implementation may do otherwise, hardware does not. */
  custom?: boolean;
}

/** The duties of a function, a byte of flags a bit; `bits` is what {@link NaiveFunction} takes. */
export interface Obligations {
  readonly bits: SpecBits;
  /** Bits that are compared. */
  readonly judged: Uint8Array;
  /** Writable bits that a conventional reset, and FLR, must set to `bits.reset`. */
  readonly afterReset: Uint8Array;
  readonly afterFlr: Uint8Array;
  /** The duty that a byte belongs to. */
  readonly duty: readonly Duty[];
}

const ROOT_PORT = 4;
const INTEGRATED = 9;
const PORTS = [4, 6];

/** What the rows depend on. */
interface Function_ {
  image: Uint8Array;
  bars: Layout['bars'];
  /** Device/Port Type, −1 of a conventional function. */
  port: number;
  header: number;
}

const word = (image: Uint8Array, at: number) => readLe(image, at, 2);

/** PCI 3.0 §6.2; PCIe 5.0 §7.5.1.1, what is said there of types 0 and 1 in §7.5.1.2 and §7.5.1.3. */
function header({ image, bars, port, header: type }: Function_): Duty[] {
  const express = port >= 0;
  const has = (kinds: string[]) => bars.some((b) => kinds.includes(b.kind)) || type === 1;
  const [io, memory] = [has(['io']) ? 1 : 0, has(['mem32', 'mem64']) ? 2 : 0];
  // Parity Error Response and SERR# Enable: an integrated endpoint may have neither
  const errors = express && port !== INTEGRATED ? 0x140 : 0;
  const pin = image[0x3d] !== 0;
  const duties: Duty[] = [
    {
      ...{ at: 4, width: 2, must: io | memory | errors | (pin ? 0x400 : 0) | (type === 1 ? 4 : 0) },
      ...{ may: express ? 0x0547 : 0x07ff, section: express ? '§7.5.1.1.3' : 'PCI 3.0 §6.2.2' },
    },
    { at: 6, width: 2, w1c: 0xf900, section: express ? '§7.5.1.1.4' : 'PCI 3.0 §6.2.3' },
    {
      ...{ at: 0x0c, width: 1, [express ? 'must' : 'may']: 0xff, unstated: express ? 0xff : 0 },
      ...{ section: express ? '§7.5.1.1.7' : 'PCI 3.0 §6.2.4' },
    },
    { at: 0x0d, width: 1, may: express ? 0 : 0xff, section: express ? '§7.5.1.1.8' : 'PCI 3.0 §6.2.4' },
    { at: 0x0e, width: 1, section: '§7.5.1.1.9' },
    { at: 0x0f, width: 1, may: 0x40, section: '§7.5.1.1.10' },
    { at: 0x34, width: 1, section: '§7.5.1.1.11' },
    { at: 0x3c, width: 1, [pin ? 'must' : 'may']: 0xff, unstated: 0xff, section: '§7.5.1.1.12' },
    { at: 0x3d, width: 1, section: '§7.5.1.1.13' },
  ];
  for (const b of bars) {
    if (b.kind === 'rom') {
      const at = type === 1 ? 0x38 : 0x30;
      const must = (2 ** 32 - Math.max(b.sizeBytes, 2048)) | 1;
      duties.push({ at, width: 4, must, unstated: must & ~1, section: '§7.5.1.2.4' });
      continue;
    }
    const at = 0x10 + 4 * b.bar;
    const low = b.sizeBytes >= 2 ** 32 ? 0 : 2 ** 32 - b.sizeBytes;
    const must = b.kind === 'io' ? low & ~3 : low & ~15;
    duties.push({ at, width: 4, must, unstated: must, section: '§7.5.1.2.1' });
    const high = 2 ** 32 - Math.max(1, b.sizeBytes / 2 ** 32);
    if (b.kind === 'mem64') duties.push({ at: at + 4, width: 4, must: high, unstated: high, section: '§7.5.1.2.1' });
  }
  if (type === 1) duties.push(...bridge(image, express));
  return duties;
}

/** PCI-to-PCI Bridge 1.2 §3.2.5, PCIe 5.0 §7.5.1.3: windows that are there, and buses. */
function bridge(image: Uint8Array, express: boolean): Duty[] {
  const io = 0xf0f0;
  const memory = 0xfff0_fff0;
  const latency = express ? 0 : 0xff00_0000;
  return [
    { at: 0x18, width: 3, must: 0xff_ffff, section: '§7.5.1.3.2' },
    { at: 0x1b, width: 1, may: latency, section: express ? '§7.5.1.3.5' : 'Bridge 1.2 §3.2.5.5' },
    { at: 0x1c, width: 2, may: io, unstated: io, section: '§7.5.1.3.6' },
    { at: 0x1e, width: 2, w1c: 0xf900, section: '§7.5.1.3.7' },
    { at: 0x20, width: 4, must: memory, unstated: memory, section: '§7.5.1.3.8' },
    { at: 0x24, width: 4, may: memory, unstated: memory, section: '§7.5.1.3.9' },
    { at: 0x28, width: 8, may: -1, unstated: -1, section: '§7.5.1.3.10' },
    { at: 0x30, width: 4, may: (image[0x1c] & 15) === 1 ? -1 : 0, unstated: -1, section: 'Bridge 1.2 §3.2.5.11' },
    {
      ...{ at: 0x3e, width: 2, must: express ? 0x0047 : 0x0043, may: express ? 0x001c : 0x0bff },
      ...{ own: express ? 0 : 0x0400, section: '§7.5.1.3.13' },
    },
  ];
}

/** PCIe 5.0 §7.5.2. */
function powerManagement({ image }: Function_, at: number): Duty[] {
  const support = word(image, at + 2);
  const pme = support >>> 11 !== 0;
  const fromCold = (support & 0x8000) !== 0;
  return [
    { at: at + 2, width: 2, section: '§7.5.2.1' },
    {
      ...{ at: at + 4, width: 2, must: pme ? 0x0103 : 0x0003, may: 0x1f00, w1c: pme ? 0x8000 : 0 },
      ...{ sticky: fromCold ? 0x8100 : 0, section: '§7.5.2.2' },
    },
    { at: at + 6, width: 2, own: 0xff00, section: '§7.5.2.3' },
  ];
}

/** PCIe 5.0 §7.7.1. */
function msi({ image, port }: Function_, at: number): Duty[] {
  const ctrl = word(image, at + 2);
  const [wide, maskable, extended] = [ctrl & 0x80, ctrl & 0x100, ctrl & 0x200];
  const data = at + (wide ? 12 : 8);
  const count = 1 << Math.min((ctrl >> 1) & 7, 5);
  const offered = count === 32 ? -1 : 2 ** count - 1;
  const duties: Duty[] = [
    { at: at + 2, width: 2, must: extended ? 0x0471 : 0x0071, section: '§7.7.1.2' },
    { at: at + 4, width: 4, must: 0xffff_fffc, unstated: -1, section: '§7.7.1.3' },
    { at: data, width: 2, must: 0xffff, unstated: -1, section: '§7.7.1.5' },
  ];
  if (wide) duties.push({ at: at + 8, width: 4, must: -1, unstated: -1, section: '§7.7.1.4' });
  if (extended) duties.push({ at: data + 2, width: 2, must: 0xffff, unstated: -1, section: '§7.7.1.6' });
  else {
    // reserved since extended data is defined; before, the structure without masks ended with data
    const name = 'msi.data, upper half';
    if (maskable || port >= 0) duties.push({ at: data + 2, width: 2, name, section: '§7.7.1.6', custom: !maskable });
  }
  if (maskable) {
    duties.push({ at: data + 4, width: 4, must: offered, section: '§7.7.1.7' });
    duties.push({ at: data + 8, width: 4, section: '§7.7.1.8' });
  }
  return duties;
}

/** PCIe 5.0 §7.7.2. */
const msix = (_: Function_, at: number): Duty[] => [
  { at: at + 2, width: 2, must: 0xc000, section: '§7.7.2.2' },
  { at: at + 4, width: 8, section: '§7.7.2.3' },
];

/** PCIe 5.0 §7.5.3; which registers there are depends on version and port type. */
function express({ image, port }: Function_, at: number): Duty[] {
  const integrated = port === INTEGRATED;
  const downstream = PORTS.includes(port);
  const [flags, caps, link] = [word(image, at + 2), readLe(image, at + 4, 4), readLe(image, at + 12, 4)];
  const hasSlot = downstream && (flags & 0x100) !== 0;
  const flr = caps & 0x1000_0000 ? 0x8000 : 0;
  const duties: Duty[] = [
    { at: at + 2, width: 2, section: '§7.5.3.2' },
    { at: at + 4, width: 4, section: '§7.5.3.3' },
    // error reporting; all the rest may be constant where the function makes no use of it
    {
      ...{ at: at + 8, width: 2, must: integrated ? 0 : 0x000f, may: 0x7fff, own: flr, keptByFlr: 0x00e0 },
      ...{ unstated: 0x7ff0, section: '§7.5.3.4' },
    },
    { at: at + 10, width: 2, w1c: 0x000f, own: 0x0030, section: '§7.5.3.5' },
  ];
  const second = (flags & 15) >= 2;
  // atomic operations, IDO, LTR and so on as the implementation likes
  if (second)
    duties.push(
      { at: at + 36, width: 4, section: '§7.5.3.15' },
      {
        ...{ at: at + 40, width: 2, must: downstream && readLe(image, at + 36, 4) & 0x20 ? 0x0020 : 0 },
        ...{ may: 0xffff, keptByFlr: 0x0400, section: '§7.5.3.16' },
      },
    );
  if (integrated) return duties;
  // kept by FLR: ASPM, RCB, common clock, extended synch, clock PM, autonomous width
  const control =
    0x00c0 |
    (link & 0xc00 ? 0x0003 : 0) |
    (downstream ? 0x0010 : 0) |
    (link & 0x40000 ? 0x0100 : 0) |
    (downstream && link & 0x20_0000 ? 0x0c00 : 0);
  duties.push(
    { at: at + 12, width: 4, section: '§7.5.3.6' },
    { at: at + 16, width: 2, must: control, may: 0x020b, keptByFlr: 0x03cb, section: '§7.5.3.7' },
    { at: at + 18, width: 2, own: -1, section: '§7.5.3.8' },
  );
  // Target Link Speed and compliance: a function of 2.5 GT/s alone may have them constant
  const fast = (link & 15) > 1;
  if (second)
    duties.push(
      { at: at + 44, width: 4, section: '§7.5.3.18' },
      {
        ...{ at: at + 48, width: 2, must: fast ? 0xff9f : 0, may: 0xffbf, unstated: 0x000f, sticky: -1 },
        ...{ section: '§7.5.3.19' },
      },
      { at: at + 50, width: 2, own: -1, section: '§7.5.3.20' },
    );
  if (hasSlot) duties.push(...slot(image, at, link));
  if (port === ROOT_PORT) duties.push(...root(image, at));
  return duties;
}

/** PCIe 5.0 §7.5.3.9 to §7.5.3.11: what the slot has can be controlled. */
function slot(image: Uint8Array, at: number, link: number): Duty[] {
  const caps = readLe(image, at + 20, 4);
  const when = (bit: number, bits: number) => (caps & bit ? bits : 0);
  const must =
    when(0x1, 0x0001) |
    when(0x2, 0x0400) |
    when(0x4, 0x0004) |
    when(0x8, 0x00c0) |
    when(0x10, 0x0300) |
    when(0x40, 0x0028) |
    (caps & 0x40000 ? 0 : 0x0010) |
    (link & 0x10_0000 ? 0x1000 : 0);
  return [
    { at: at + 20, width: 4, section: '§7.5.3.9' },
    { at: at + 24, width: 2, must, may: 0x373f, own: when(0x20000, 0x0800), unstated: 0x27c0, section: '§7.5.3.10' },
    { at: at + 26, width: 2, w1c: 0x011f, own: 0x00e0, section: '§7.5.3.11' },
  ];
}

/** PCIe 5.0 §7.5.3.12 to §7.5.3.14. */
const root = (image: Uint8Array, at: number): Duty[] => [
  { at: at + 28, width: 2, must: word(image, at + 30) & 1 ? 0x001f : 0x000f, section: '§7.5.3.12' },
  { at: at + 30, width: 2, section: '§7.5.3.13' },
  { at: at + 32, width: 4, w1c: 0x10000, own: 0x2ffff, section: '§7.5.3.14' },
];

/** PCIe 5.0 §7.8.4: an error whose severity can be chosen is implemented, and can be masked. */
function errors({ image, port }: Function_, at: number, writable: Uint8Array): Duty[] {
  const implemented = readLe(writable, at + 12, 4);
  const caps = image[at + 24] | (image[at + 25] << 8);
  const enables = (caps & 0x20 ? 0x40 : 0) | (caps & 0x80 ? 0x100 : 0) | (caps & 0x200 ? 0x400 : 0);
  const duties: Duty[] = [
    { at: at + 4, width: 4, w1c: implemented, section: '§7.8.4.2' },
    { at: at + 8, width: 4, must: implemented, sticky: -1, section: '§7.8.4.3' },
    { at: at + 12, width: 4, may: 0x07ff_f030, sticky: -1, section: '§7.8.4.4' },
    { at: at + 16, width: 4, w1c: 0xf1c1, section: '§7.8.4.5' },
    { at: at + 20, width: 4, may: 0xf1c1, sticky: -1, section: '§7.8.4.6' },
    { at: at + 24, width: 4, must: enables, sticky: -1, section: '§7.8.4.7' },
    { at: at + 28, width: 16, section: '§7.8.4.8' },
  ];
  if (port === ROOT_PORT)
    duties.push(
      { at: at + 44, width: 4, must: 7, section: '§7.8.4.9' },
      { at: at + 48, width: 4, w1c: 0x7f, own: -1 << 27, section: '§7.8.4.10' },
      { at: at + 52, width: 4, section: '§7.8.4.11' },
    );
  return duties;
}

/** PCIe 5.0 §7.7.8. */
const accessControl = ({ image }: Function_, at: number): Duty[] => [
  { at: at + 4, width: 2, section: '§7.7.8.2' },
  { at: at + 6, width: 2, must: word(image, at + 4) & 0x7f, section: '§7.7.8.3' },
];

type Rows = (fn: Function_, at: number, writable: Uint8Array) => Duty[];
const CONVENTIONAL: Record<number, Rows> = { 1: powerManagement, 5: msi, 16: express, 17: msix };
const EXTENDED: Record<number, Rows> = { 1: errors, 13: accessControl };
const SECTIONS: Record<number, string> = { 1: '§7.5.2', 5: '§7.7.1', 16: '§7.5.3', 17: '§7.7.2' };
/** Capabilities whose bytes are all constant: subsystem, serial number. Those of a kind without rows are not judged. */
const CONSTANT = { conventional: [0x0d], extended: [3] };

const UNCLAIMED: Duty = { at: 0, width: 0, section: 'PCI 3.0 §6.1', custom: true };
const RESERVED: Duty = { at: 0, width: 0, section: '§7.5.1.1' };

/**
 * Compiles the duties of a function.
 * @param writable which bits were measured to be writable: where there is a choice, the one that was made
 */
export function obligationsOf(layout: Layout, writable: Uint8Array): Obligations {
  const { image, configSize: size, capabilities, traits } = layout;
  const fn: Function_ = { image, bars: layout.bars, port: traits.portType, header: traits.headerType };
  const bytes = () => new Uint8Array(size);
  const bits = {
    rw: bytes(),
    w1c: bytes(),
    reset: image.slice(),
    sticky: bytes(),
    keptByFlr: bytes(),
    volatile: bytes(),
  };
  const [afterReset, afterFlr, judged] = [bytes(), bytes(), bytes().fill(0xff)];
  const duty: Duty[] = Array.from({ length: size }, (_, at) => (at < 0x40 ? RESERVED : UNCLAIMED));
  const place = (d: Duty) => {
    for (let i = 0; i < d.width && d.at + i < size; i++) {
      const at = d.at + i;
      const byte = (mask = 0) => (i < 4 ? mask >>> (8 * i) : mask === -1 ? -1 : 0) & 0xff;
      const own = byte(d.own);
      duty[at] = d;
      bits.rw[at] = byte(d.must) | (byte(d.may) & writable[at]);
      bits.w1c[at] = byte(d.w1c);
      bits.sticky[at] = byte(d.sticky);
      bits.keptByFlr[at] = byte(d.keptByFlr);
      judged[at] = ~own;
      const changes = bits.rw[at] | bits.w1c[at];
      bits.reset[at] = (image[at] & ~changes) | (byte(d.reset) & changes);
      afterReset[at] = changes & ~own & ~byte(d.unstated) & ~byte(d.sticky);
      afterFlr[at] = changes & ~own & ~byte(d.unstated);
    }
  };
  for (const d of header(fn)) place(d);
  for (const { id, at, extended, sizeBytes } of capabilities) {
    const headerBytes = extended ? 4 : 2;
    place({ at, width: headerBytes, section: extended ? '§7.6.3' : '§7.5.1.1.11' });
    place({
      at: at + headerBytes,
      width: sizeBytes - headerBytes,
      section: extended ? '§7.6' : (SECTIONS[id] ?? 'PCI 3.0 §6.7'),
    });
    const rows = (extended ? EXTENDED : CONVENTIONAL)[id]?.(fn, at, writable);
    for (const d of rows ?? []) place(d);
    const isConstant = (extended ? CONSTANT.extended : CONSTANT.conventional).includes(id);
    if (!rows && !isConstant) judged.fill(0, at + headerBytes, at + sizeBytes);
  }
  const found = new Map<number, number>();
  for (const { id, at, extended } of capabilities) if (!extended && !found.has(id)) found.set(id, at);
  return { bits: { size, image, ...bits, capabilities: found }, judged, afterReset, afterFlr, duty };
}

/** What a function lacks that it must have, without any access. */
export function missing(layout: Layout): { register: string; section: string; text: string }[] {
  const { capabilities, traits } = layout;
  const has = (id: number) => capabilities.some((c) => !c.extended && c.id === id);
  if (traits.portType < 0 || has(1)) return [];
  return [{ register: 'pm', section: '§7.5.2', text: 'an express function without a Power Management capability' }];
}
