import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MemoryNamespace } from '../../../../src/pci/devices/nvme/index.ts';

const BLOCK = 512;

test('a sparse namespace is a plain array of bytes', () => {
  const blocks = 3 << 17; // three regions
  // places around chunk and region borders
  const lba = fc
    .tuple(fc.constantFrom(0, 128, 1 << 17, 2 << 17, 384), fc.integer({ min: -3, max: 3 }))
    .map(([base, by]) => Math.max(0, base + by));
  const op = fc.record({
    kind: fc.constantFrom('write' as const, 'zero' as const, 'deallocate' as const),
    lba,
    count: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.constantFrom(128, 1 << 17, 2 << 17)),
    value: fc.integer({ min: 1, max: 255 }),
  });
  fc.assert(
    fc.property(fc.array(op, { maxLength: 30 }), lba, (ops, at) => {
      const ns = new MemoryNamespace(blocks * BLOCK);
      const model = new Map<number, number>();
      for (const { kind, lba: from, count, value } of ops) {
        const n = Math.min(kind === 'write' ? Math.min(count, 6) : count, blocks - from);
        if (kind === 'write') {
          ns.write(from * BLOCK, new Uint8Array(n * BLOCK).fill(value));
          for (let b = from; b < from + n; b++) model.set(b, value);
        } else {
          if (kind === 'zero') ns.writeZeroes(from * BLOCK, n * BLOCK);
          else ns.deallocate(from * BLOCK, n * BLOCK);
          for (const b of model.keys()) if (b >= from && b < from + n) model.delete(b);
        }
      }
      const got = new Uint8Array(8 * BLOCK).fill(0xee);
      ns.read(at * BLOCK, got);
      for (let b = 0; b < 8; b++) {
        const wanted = model.get(at + b) ?? 0;
        expect(got.subarray(b * BLOCK, (b + 1) * BLOCK).every((byte) => byte === wanted)).toBe(true);
      }
    }),
  );
});

test('contents are freed by deallocating everything', () => {
  const ns = new MemoryNamespace(2 ** 50, 12);
  for (const at of [0, 2 ** 30, 2 ** 49]) ns.write(at, new Uint8Array(4096).fill(1));
  expect(ns.allocatedBytes).toBe(3 << 16);
  ns.deallocate(0, 2 ** 50);
  expect(ns.allocatedBytes).toBe(0);
});

test.each([
  [1000, 9],
  [0, 9],
  [-512, 9],
  [2 ** 60, 9],
  [1 << 20, 8],
  [1 << 20, 17],
])('%i bytes in blocks of 2^%i are refused', (size, log2) => {
  expect(() => new MemoryNamespace(size, log2)).toThrow(/block/);
});
