import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TraceRing, UsageError } from '../../src/core/index.ts';

test('holds the last entries, oldest first, however many were written', () => {
  fc.assert(
    fc.property(fc.nat(5), fc.nat(100), (log2, count) => {
      const ring = new TraceRing(log2);
      const all = Array.from({ length: count }, (_, n) => [n, -n, n * 3, ~n]);
      for (const [a, b, c, d] of all) ring.push(a, b, c, d);
      expect(ring.written).toBe(count);
      expect([...ring.entries()].map((e) => [...e])).toEqual(all.slice(-(2 ** log2)).map((e) => e.map((w) => w | 0)));
    }),
  );
});

test('refuses sizes that cannot be', () => {
  expect(() => new TraceRing(-1)).toThrow(UsageError);
  expect(() => new TraceRing(25)).toThrow(UsageError);
});
