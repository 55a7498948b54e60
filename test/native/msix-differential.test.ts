import { afterAll, beforeAll, expect, test } from 'vitest';
import { Prng, writeLe } from '../../src/core/index.ts';
import type { Native, NativeMessage } from '../../src/native/index.ts';
import { createFunction, type EmulatedFunction } from '../../src/pci/index.ts';
import { buildAndLoad } from './toolchain.ts';

let native: Native | undefined;
let reason: string;
beforeAll(() => ({ native, reason } = buildAndLoad()));
afterAll(() => expect(native?.liveObjects() ?? 0).toBe(0));

const CONTROL = 0x42;
const COMMAND = 0x04;
const BUS_MASTER_AND_MEMORY = 6;

/** A function that has MSI-X at 40h and nothing else; table at the start of BAR 0, PBA at its half. */
function msixFunction(vectors: number): EmulatedFunction {
  const image = new Uint8Array(256);
  image.set([0x6b, 0x1b, 0x10, 0, BUS_MASTER_AND_MEMORY, 0, 0x10, 0]);
  image[0x34] = 0x40;
  image[0x40] = 0x11;
  writeLe(image, CONTROL, 2, vectors - 1);
  writeLe(image, 0x48, 4, 0x8000);
  const fn = createFunction({ name: 'msix', bdf: 8, image, bars: [{ bar: 0, kind: 'mem32', sizeBytes: 0x10000 }] });
  fn.writeConfig(COMMAND, 2, BUS_MASTER_AND_MEMORY);
  return fn;
}

/** The messages since the last call, without whose they are. */
function takeMessages(fn: EmulatedFunction): NativeMessage[] {
  return fn.effects.splice(0).flatMap((e) => {
    if (e.kind !== 'message') return [];
    const { vector, addressLo, addressHi, data } = e;
    return [{ vector, addressLo: addressLo >>> 0, addressHi: addressHi >>> 0, data: data >>> 0 }];
  });
}

const WIDTHS = [1, 2, 4, 4, 8] as const;

test.for([1, 5, 33, 2048])('a function with %i vectors: messages, bits and bytes of the table in C', (vectors, ctx) => {
  if (!native) ctx.skip(reason);
  const fn = msixFunction(vectors);
  const table = native!.createMsixTable(vectors);
  const prng = new Prng(vectors);
  let control = 0;
  let messages = 0;
  const vector = () => prng.below(Math.min(vectors, 40));
  for (let step = 0; step < 20_000; step++) {
    let sent: NativeMessage[] = [];
    const kind = prng.below(8);
    if (kind < 4) {
      const width = WIDTHS[prng.below(WIDTHS.length)];
      const at = 16 * vector() + width * prng.below(16 / width);
      const [low, high] = [prng.next(), prng.next()];
      const value = width < 4 ? low & (2 ** (8 * width) - 1) : low;
      fn.writeBar(0, at, width === 8 ? 4 : width, value);
      if (width === 8) fn.writeBar(0, at + 4, 4, high);
      sent = table.write(at, width, value, high);
    } else if (kind < 7) {
      const v = vector();
      if (!(control & 0x8000)) continue; // the function would raise INTx
      fn.raise(v);
      sent = table.raise(v);
    } else {
      control = [0, 0x4000, 0x8000, 0x8000, 0x8000, 0xc000][prng.below(6)];
      fn.writeConfig(CONTROL, 2, control);
      sent = table.setControl(control);
    }
    expect(takeMessages(fn)).toEqual(sent);
    messages += sent.length;
  }
  for (let v = 0; v < vectors; v++) {
    expect([v, fn.msix!.isPending(v)]).toEqual([v, table.isPending(v)]);
    for (let at = 16 * v; at < 16 * v + 16; at += 4) expect(fn.readBar(0, at, 4)).toBe(table.read(at, 4).low);
  }
  table.destroy();
  expect(messages).toBeGreaterThan(1000);
});
