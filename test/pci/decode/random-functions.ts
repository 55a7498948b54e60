import { Prng, writeLe } from '../../../src/core/index.ts';
import { formatLspciDump } from '../../../src/pci/dump/index.ts';

const CXL_VENDOR = 0x1e98;
const [MSI, PCI_X, HYPERTRANSPORT, VENDOR, SSVID, EXPRESS, MSIX, EA] = [0x05, 0x07, 0x08, 0x09, 0x0d, 0x10, 0x11, 0x14];
const [VC, RC_LINK, VC9, REBAR, DVSEC, VF_REBAR] = [0x02, 0x05, 0x09, 0x15, 0x23, 0x24];
const LAST_EXTENDED = 0x30;

/**
 * A dump of functions whose registers are random and whose capability lists are well linked, so that a decoder meets
 * every capability in every state. Left out is what makes lspci itself abort: Enhanced Allocation entries and CXL
 * structures too short for their content, and CXL encodings that it looks up beyond its tables.
 */
export function randomDump(seed: number, count: number): string {
  const prng = new Prng(seed);
  const functions = Array.from({ length: count }, (_, index) => ({
    slot: `${hex(index >> 8)}:${hex((index >> 3) & 31)}.${index & 7}`,
    title: 'random',
    bytes: randomImage(prng),
  }));
  return formatLspciDump(functions);
}

function hex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function randomImage(prng: Prng): Uint8Array {
  const image = new Uint8Array(prng.pick([64, 128, 256, 272, 1000, 4096, 4096, 4096, 4096]));
  const density = prng.below(4);
  for (let i = 0; i < image.length; i++) {
    const [a, b] = [prng.next() & 0xff, prng.next() & 0xff];
    image[i] = [a & b, a, a | b, b < 64 ? a : 0][density];
  }
  const layout = prng.pick([0, 0, 0, 0, 0, 1, 1, 1, 2, 3]);
  image[0x0e] = layout | (prng.below(2) << 7);
  image[0x3d] %= 27; // lspci prints higher pins as unprintable characters
  if (prng.below(2)) image.set([prng.below(256), prng.below(8), layout ? 6 : prng.below(14)], 0x09);
  if (prng.below(3) === 0) image.set([0xf4, 0x1a, prng.below(0x90), 0x10], 0);
  if (prng.below(8)) image[0x06] |= 0x10;
  placeConventional(prng, image, layout);
  placeExtended(prng, image);
  return image;
}

function placeConventional(prng: Prng, image: Uint8Array, layout: number): void {
  let at = layout === 2 ? 0x48 : 0x40;
  image[layout === 2 ? 0x14 : 0x34] = at;
  while (at < 0xf4 && at + 4 <= image.length) {
    let id = prng.below(3) ? prng.pick([0x01, MSI, MSIX, EXPRESS, EXPRESS, EXPRESS, SSVID, PCI_X]) : prng.below(0x18);
    if (id === EA && at + 40 >= Math.min(image.length, 0xf0)) id = 0x03;
    image[at] = id;
    if (id === EXPRESS) image.set([prng.pick([1, 2, 2, 3]) | (prng.below(12) << 4), prng.below(64)], at + 2);
    if (id === HYPERTRANSPORT) placeHyperTransport(prng, image, at);
    if (id === EA) placeEnhancedAllocation(prng, image, at, layout);
    if (id === VENDOR && prng.below(2)) image.set([prng.pick([12, 16, 20, 30]), prng.below(6)], at + 2);
    const next = at + (id === EA ? 32 : prng.pick([4, 8, 12, 24, 28, 0x3c, 0x3c]));
    image[at + 1] = next < 0xf4 ? next : prng.below(6) ? 0 : 0x40;
    at = next;
  }
}

function placeHyperTransport(prng: Prng, image: Uint8Array, at: number): void {
  image[at + 3] = (prng.below(27) << 3) | (image[at + 3] & 7);
  const revision = at + (image[at + 3] >> 5 ? 8 : 12);
  if (revision < image.length) image[revision] = prng.pick([0x11, 0x15, 0x22, 0x25, 0x60]);
}

function placeEnhancedAllocation(prng: Prng, image: Uint8Array, at: number, layout: number): void {
  const properties = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0xfd, 0xfe, 0xff];
  const entry = at + (layout === 1 ? 8 : 4);
  image[at + 2] = 1;
  image.set([(image[entry] & 0xf8) | 4, prng.pick(properties), prng.pick(properties)], entry);
}

function placeExtended(prng: Prng, image: Uint8Array): void {
  let at = 0x100;
  while (at + 4 <= image.length) {
    const id = prng.below(LAST_EXTENDED);
    const next = at + 4 * (id === DVSEC ? 17 : prng.below(24) + 1);
    const pointer = next + 4 < 4096 ? next : prng.below(3) ? 0 : 0x100;
    writeLe(image, at, 4, (id | (prng.pick([1, 1, 2, 3]) << 16) | (pointer << 20)) >>> 0);
    if (id === DVSEC && at + 0x40 <= image.length) placeDvsec(prng, image, at);
    if ((id === REBAR || id === VF_REBAR) && prng.below(5))
      image[at + 8] = (image[at + 8] & 31) | ((1 + prng.below(3)) << 5);
    if (id === RC_LINK) image[at + 5] = prng.below(4);
    if (id === VC || id === VC9) image[at + 4] &= 0xf9;
    if (pointer !== next) break;
    at = next;
  }
}

function placeDvsec(prng: Prng, image: Uint8Array, at: number): void {
  const length = prng.pick([60, 60, 64, 12]);
  writeLe(image, at + 6, 2, (length << 4) | prng.below(4));
  if (prng.below(4)) writeLe(image, at + 4, 2, CXL_VENDOR);
  writeLe(image, at + 8, 2, prng.below(11));
  for (const range of [at + 0x1c, at + 0x2c])
    image.set(
      [(image[range] & 3) | (prng.below(3) << 2) | (prng.below(3) << 5), (image[range + 1] & 0xe0) | prng.below(8)],
      range,
    );
}
