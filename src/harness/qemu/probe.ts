import { readLe, toHex, type Width } from '../../core/index.ts';
import { conventionalCapabilities, formatBdf, PORT_TYPE } from '../../pci/index.ts';
import type { QemuPci } from './pci.ts';

/** One function as measured: the fields of a probe file that comparisons use. */
export interface LiveProbe {
  bdf: string;
  /** Complete configuration space, hexadecimal. */
  init: string;
  /** 1 bits take what is written. */
  rw: string;
  /** Offset, mask and reason of bits that are no function of configuration writes. */
  nonpure: [number, number, string][];
}

const CAP_MSI = 0x05;
const CAP_VENDOR = 0x09;
const CAP_SHPC = 0x0c;
const CAP_EXPRESS = 0x10;
/** Of MSI control's low byte: the bits of Multiple Message Enable that stand for more than two vectors. */
const MANY_VECTORS = 0x60;
const VIRTIO_WINDOW = 5;

/**
 * Measures which bits of a function can be written, by flipping each and reading back: one by one in the first 256
 * bytes, where a bit may change what its neighbours do, a dword at a time beyond. Leaves the function altered (registers
 * have side effects): compare with a QEMU started afresh.
 */
export async function probeFunction(pci: QemuPci, bdf: number): Promise<LiveProbe> {
  const image = await pci.image(bdf);
  const writable = new Uint8Array(image.length);
  const measured: Promise<void>[] = [];
  const measure = async (at: number, width: Width, flip: number) => {
    const changed = await tryFlip(pci, bdf, at, width, readLe(image, at, width), flip);
    for (let i = 0; i < width; i++) writable[at + i] |= changed >>> (8 * i);
  };
  const [fatalAt, fatal] = fatalBits(image);
  if (fatalAt >= 0) writable[fatalAt] = fatal;
  for (let at = 0; at < 0x100; at++)
    for (let flip = 1; flip <= 0x80; flip <<= 1)
      if (at !== fatalAt || !(flip & fatal)) measured.push(measure(at, 1, flip));
  for (let at = 0x100; at < image.length; at += 4) measured.push(measure(at, 4, 0xffff_ffff));
  await Promise.all(measured);
  return { bdf: shortBdf(bdf), init: toHex(image), rw: toHex(writable), nonpure: windows(image) };
}

/** Bits of `flip` that took the opposite of their value `before`, and then that value again. */
async function tryFlip(
  pci: QemuPci,
  bdf: number,
  at: number,
  width: Width,
  before: number,
  flip: number,
): Promise<number> {
  const answers = await Promise.all([
    pci.write(bdf, pci.best, at, width, before ^ flip),
    pci.read(bdf, pci.best, at, width),
    pci.write(bdf, pci.best, at, width, before),
    pci.read(bdf, pci.best, at, width),
  ]);
  return (answers[1] ^ before) & ~(answers[3] ^ before) & flip;
}

/**
 * Bits that can be written but must not be: QEMU 7.2's ioh3420, a root port with two MSI vectors, aborts when more are
 * chosen while MSI is off (`hw/pci-bridge/ioh3420.c: ioh3420_aer_vector`). Offset −1 if there are none.
 */
export function fatalBits(image: Uint8Array): [offset: number, mask: number] {
  const found = conventionalCapabilities(image);
  const [msi, express] = [CAP_MSI, CAP_EXPRESS].map((id) => found.find((c) => c.id === id));
  const isRootPort = express && image[express.at + 2] >> 4 === PORT_TYPE.rootPort;
  return msi && isRootPort && (image[msi.at + 2] & 0x0e) === 2 ? [msi.at + 2, MANY_VECTORS] : [-1, 0];
}

/** Registers behind which something else lies than configuration space. */
function windows(image: Uint8Array): [number, number, string][] {
  const found: [number, number, string][] = [];
  const add = (at: number, count: number, reason: string) => {
    for (let i = 0; i < count; i++) found.push([at + i, 0xff, reason]);
  };
  for (const { id, at } of conventionalCapabilities(image)) {
    if (id === CAP_SHPC) add(at + 2, 6, 'SHPC indexed data window / status');
    if (id === CAP_VENDOR && image[at + 3] === VIRTIO_WINDOW)
      add(at + 16, 4, 'virtio PCI cfg access window: data read through the selected BAR');
  }
  return found;
}

/** `00:04.0`, as recordings name functions. */
export function shortBdf(bdf: number): string {
  return formatBdf(bdf).slice(5);
}
