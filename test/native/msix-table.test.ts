import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Prng, writeLe } from '../../src/core/index.ts';
import type { Native, NativeMessage, NativeMsixTable } from '../../src/native/index.ts';
import { buildAndLoad } from './toolchain.ts';

let native: Native | undefined;
let reason: string;
beforeAll(() => ({ native, reason } = buildAndLoad()));
afterAll(() => expect(native?.liveObjects() ?? 0).toBe(0));

function withTable<T>(vectors: number, use: (table: NativeMsixTable) => T): T {
  const table = native!.createMsixTable(vectors);
  try {
    return use(table);
  } finally {
    table.destroy();
  }
}

/** A table as PCIe 5.0 §7.7.2 has it, over the bytes of its entries; address bits 1:0 and the control's 31:1 stay 0. */
class Model {
  readonly bytes: Uint8Array;
  readonly pending = new Set<number>();
  control = 0;
  sent: NativeMessage[] = [];

  constructor(vectors: number) {
    this.bytes = new Uint8Array(16 * vectors);
    for (let v = 0; v < vectors; v++) this.bytes[16 * v + 12] = 1;
  }

  word(at: number): number {
    return new DataView(this.bytes.buffer).getUint32(at, true);
  }

  raise(vector: number): void {
    if (this.control & 0x8000) this.pending.add(vector);
    this.settle();
  }

  write(at: number, width: number, low: number, high: number): void {
    for (let i = 0; i < width; i += 4) {
      writeLe(this.bytes, at + i, Math.min(width, 4) as 1 | 2 | 4, i === 0 ? low : high);
      const v = (at + i) >> 4;
      this.bytes[16 * v] &= 0xfc;
      this.bytes.set([this.bytes[16 * v + 12] & 1, 0, 0, 0], 16 * v + 12);
      this.settle();
    }
  }

  settle(): void {
    if ((this.control & 0xc000) !== 0x8000) return;
    for (const vector of [...this.pending].sort((a, b) => a - b)) {
      const at = 16 * vector;
      if (this.bytes[at + 12] & 1) continue;
      this.pending.delete(vector);
      this.sent.push({ vector, addressLo: this.word(at), addressHi: this.word(at + 4), data: this.word(at + 8) });
    }
  }
}

const VECTORS = 5;
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const write = fc
  .record({
    width: fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
    slot: fc.nat(1000),
    low: u32,
    high: u32,
  })
  .map((w) => ({ ...w, op: 'write' as const, at: (w.slot * w.width) % (16 * VECTORS) }));
const step = fc.oneof(
  write,
  fc.record({ op: fc.constant('control' as const), value: fc.constantFrom(0, 0x4000, 0x8000, 0x8000, 0xc000) }),
  fc.record({ op: fc.constant('raise' as const), vector: fc.nat(VECTORS - 1) }),
);

test('random accesses, masks and interrupts: the messages, bits and bytes of a small model', (ctx) => {
  if (!native) ctx.skip(reason);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) =>
      withTable(VECTORS, (table) => {
        const model = new Model(VECTORS);
        for (const s of steps) {
          model.sent = [];
          let sent: NativeMessage[];
          if (s.op === 'write') {
            model.write(s.at, s.width, s.low, s.high);
            sent = table.write(s.at, s.width, s.low, s.high);
          } else if (s.op === 'control') {
            model.control = s.value;
            model.settle();
            sent = table.setControl(s.value);
          } else {
            model.raise(s.vector);
            sent = table.raise(s.vector);
          }
          expect(sent).toEqual(model.sent);
        }
        for (let at = 0; at < 16 * VECTORS; at++) expect(table.read(at, 1).low).toBe(model.bytes[at]);
        for (let at = 0; at < 16 * VECTORS; at += 8)
          expect(table.read(at, 8)).toEqual({ low: model.word(at), high: model.word(at + 4) });
        for (let v = 0; v < VECTORS; v++) expect(table.isPending(v)).toBe(model.pending.has(v));
      }),
    ),
    { numRuns: 300, seed: 4 },
  );
});

test('a vector raised while MSI-X is off is lost, or stays pending where the device keeps it', (ctx) => {
  if (!native) ctx.skip(reason);
  for (const pendsDisabled of [false, true]) {
    const table = native!.createMsixTable(1, { pendsDisabled });
    table.raise(0);
    expect(table.isPending(0)).toBe(pendsDisabled);
    table.destroy();
  }
});

const fold = (sum: number, word: number) => (Math.imul(sum ^ word, 0x01000193) ^ (sum >>> 15)) >>> 0;

test('batches give the checksum of the same steps one at a time', (ctx) => {
  if (!native) ctx.skip(reason);
  withTable(16, (table) => {
    table.setControl(0x8000);
    for (let v = 0; v < 16; v++) {
      table.write(16 * v, 8, 0xfee00000 + (v << 12), 0);
      table.write(16 * v + 8, 8, 0x4300 + v, v % 3 === 0 ? 1 : 0);
    }
    const prng = new Prng(3);
    const raised = Array.from({ length: 500 }, () => table.raise(prng.below(16))).flat();
    expect(raised.length).toBeGreaterThan(200);
    const sum = raised.reduce((h, m) => fold(fold(h, m.data), m.addressLo), 0x811c9dc5);
    expect(table.deliverMany(3, 500)).toBe(sum);

    const again = new Prng(5);
    let masked = 0x811c9dc5;
    for (let v = 0; v < 16; v++) table.write(16 * v + 12, 4, 0); // nothing pending any more
    for (let i = 0; i < 100; i++) {
      const v = again.below(16);
      masked = fold(fold(masked, 0x4300 + v), 0xfee00000 + (v << 12));
    }
    expect(table.maskMany(5, 100)).toBe(masked);
  });
});

test('misaligned, odd-sized and outside accesses are refused', (ctx) => {
  if (!native) ctx.skip(reason);
  withTable(2, (table) => {
    for (const [at, width] of [
      [2, 4],
      [4, 8],
      [32, 4],
      [0, 3],
      [-1, 1],
    ] as [number, 4][]) {
      expect(() => table.read(at, width)).toThrow('out of range');
      expect(() => table.write(at, width, 0)).toThrow('out of range');
    }
    expect(() => table.raise(2)).toThrow('out of range');
  });
});
