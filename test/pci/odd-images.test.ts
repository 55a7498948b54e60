import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import { createFunction, type Flavour, guessBars, HostBridge, PciBus } from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

const IMAGES = probes();

/** Ids of extended capabilities with tables of their own. */
const EXTENDED_IDS = [1, 2, 3, 4, 9, 0xb, 0xd, 0xe, 0xf, 0x10, 0x12, 0x13, 0x15, 0x17, 0x18, 0x19, 0x1b, 0x1d, 0x1e];
const MORE_IDS = [0x1f, 0x23, 0x25, 0x26, 0x27, 0x2a];

/** An image with a list of capabilities of any kind, anywhere, over random bytes. */
function oddImage(seed: number): Uint8Array {
  const prng = new Prng(seed);
  const image = prng.pick(IMAGES).image.slice();
  if (prng.below(4) === 0) for (let i = 0x40; i < image.length; i++) image[i] = prng.next();
  for (let n = prng.below(20); n > 0; n--) image[prng.below(prng.below(2) ? 256 : image.length)] = prng.next();
  if (prng.below(2)) {
    image[0x06] |= 0x10;
    let at = 0x34;
    for (let n = 1 + prng.below(8); n > 0; n--) {
      const next = 0x40 + prng.below(0xc0);
      image[at === 0x34 ? at : at + 1] = next;
      at = next & 0xfc;
      image[at] = prng.below(0x16);
    }
  }
  if (image.length > 256 && prng.below(2)) {
    let at = 0x100;
    for (let n = 1 + prng.below(12); n > 0; n--) {
      const next = 0x100 + 4 * prng.below(0x3c0);
      const id = prng.pick([...EXTENDED_IDS, ...MORE_IDS]);
      image.set([id, 0, 1 | ((next & 0xf) << 4), next >> 4], at);
      at = next & 0xffc;
    }
  }
  return image;
}

test('any image makes a function that answers, resets and never throws', () =>
  fc.assert(
    fc.property(fc.nat(0x7fffffff), fc.constantFrom<Flavour>('spec', 'qemu-7.2'), (seed, flavour) => {
      const prng = new Prng(seed ^ 0x5a5a5a5a);
      const image = oddImage(seed);
      const f = createFunction({ name: 'odd', bdf: 0x20, image, bars: guessBars(image), flavour });
      const root = new PciBus();
      root.attach(f);
      const host = new HostBridge(root, { flavour });
      for (let i = 0; i < 60; i++) {
        const offset = prng.below(prng.below(2) ? 0x100 : 0x1100);
        const width = prng.pick([1, 2, 4] as const);
        f.writeConfig(offset, width, prng.next());
        expect(f.readConfig(offset, width)).toBeLessThanOrEqual(2 ** (8 * width) - 1);
        f.writeBar(prng.below(8), prng.below(0x10000), width, prng.next());
        f.readBar(prng.below(8), prng.below(0x10000), width);
        f.raise(prng.below(2100));
        f.lower();
        host.readMemory(prng.next(), width);
        if (i % 20 === 19) f.reset(prng.pick(['conventional', 'hot', 'flr'] as const));
      }
    }),
    { numRuns: 500 },
  ));
