import { readdirSync, readFileSync } from 'node:fs';
import { fromHex, hex } from '../../src/core/index.ts';
import { barAt, compileLayout, guessBars, type Layout, ROM, registersAt } from '../../src/pci/index.ts';

const PROBES = new URL('../golden/probe/', import.meta.url);

export interface ProbedImage {
  label: string;
  image: Uint8Array;
  writable: Uint8Array;
}

export function probes(): ProbedImage[] {
  return readdirSync(PROBES)
    .sort()
    .flatMap((name) => {
      const { funcs } = JSON.parse(readFileSync(new URL(name, PROBES), 'utf8'));
      return funcs.map((f: { bdf: string; init: string; rw: string }) => ({
        label: `${name.replace('.json', '')} ${f.bdf}`,
        image: fromHex(f.init),
        writable: fromHex(f.rw),
      }));
    });
}

/** Bits of one kind: how many there are, and how many the inferred masks take for what they are. */
export interface Score {
  bits: number;
  right: number;
}

export interface Miss {
  register: string;
  /** Bits that are writable but inferred read-only, or the other way round. */
  kind: 'is writable' | 'is read-only';
  mask: number;
  label: string;
}

export interface Comparison {
  writable: Score;
  readOnly: Score;
  /** Size bits of BARs and ROM, which an image cannot tell. */
  bars: Score;
  misses: Miss[];
}

/** Compares inferred masks (QEMU's rules, no probe) with measured ones over header and capability bytes. */
export function compareInferred(images: readonly ProbedImage[] = probes()): Comparison {
  const result: Comparison = {
    writable: { bits: 0, right: 0 },
    readOnly: { bits: 0, right: 0 },
    bars: { bits: 0, right: 0 },
    misses: [],
  };
  for (const { label, image, writable } of images) {
    const layout = compileLayout({ name: label, bdf: 0, image, bars: guessBars(image) }, 'qemu-7.2');
    const counted = countedBytes(layout);
    for (let at = 0; at < layout.configSize; at++) {
      if (counted[at] === 0) continue;
      const wrong = layout.writable[at] ^ writable[at];
      for (let bit = 1; bit < 0x100; bit <<= 1) {
        const score = counted[at] === BAR_BYTE ? result.bars : writable[at] & bit ? result.writable : result.readOnly;
        score.bits++;
        if (!(wrong & bit)) score.right++;
      }
      if (counted[at] === BAR_BYTE) continue;
      const name = registersAt(layout, at, 1)[0]?.register.name ?? `byte ${hex(at, 3)} of no register`;
      if (wrong & writable[at])
        result.misses.push({ register: name, kind: 'is writable', mask: wrong & writable[at], label });
      if (wrong & ~writable[at])
        result.misses.push({ register: name, kind: 'is read-only', mask: wrong & ~writable[at], label });
    }
  }
  return result;
}

const BAR_BYTE = 2;

/** 1 = a header or capability byte, 2 = a byte of a BAR or ROM, 0 = neither. */
function countedBytes(layout: Layout): Uint8Array {
  const counted = new Uint8Array(layout.configSize).fill(1, 0, 0x40);
  for (const { at, sizeBytes } of layout.capabilities) counted.fill(1, at, at + sizeBytes);
  for (const bar of [0, 1, 2, 3, 4, 5, ROM]) {
    const at = barAt(bar, layout.traits.headerType);
    if (at >= 0) counted.fill(BAR_BYTE, at, at + 4);
  }
  return counted;
}
