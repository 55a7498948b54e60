import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Arena, UsageError } from '../../src/core/index.ts';
import { PagedRam } from '../../src/lab/paged-ram.ts';

const PAGE = 4096;

test('reads what was written last, across pages, and zero elsewhere', () => {
  const write = fc.record({ at: fc.nat(4 * PAGE), bytes: fc.uint8Array({ minLength: 1, maxLength: PAGE + 9 }) });
  fc.assert(
    fc.property(fc.array(write, { maxLength: 12 }), fc.nat(2 ** 20), (writes, base) => {
      const ram = new PagedRam(new Arena(PagedRam.sizeBytes(8)), 8);
      const plain = new Uint8Array(8 * PAGE);
      for (const { at, bytes } of writes) {
        ram.writeBytes(base * PAGE + at, bytes);
        plain.set(bytes, at);
      }
      expect(ram.readBytes(base * PAGE, plain.length)).toEqual(plain);
    }),
    { numRuns: 30 },
  );
});

test('zeros make no page; a snapshot knows which pages there were', () => {
  const arena = new Arena(PagedRam.sizeBytes(2));
  const ram = new PagedRam(arena, 2);
  ram.store(5 * PAGE, 0);
  ram.writeBytes(6 * PAGE, new Uint8Array(PAGE));
  expect(ram.pages).toBe(0);
  ram.store(2 ** 40, 7);
  const one = arena.snapshot();
  ram.store(9 * PAGE, 8);
  const two = arena.snapshot();
  expect(() => ram.store(10 * PAGE, 1)).toThrow(UsageError);
  arena.restore(one);
  expect([ram.load(2 ** 40), ram.load(9 * PAGE), ram.pages]).toEqual([7, 0, 1]);
  ram.store(3 * PAGE, 9);
  arena.restore(two);
  expect([ram.load(9 * PAGE), ram.load(3 * PAGE)]).toEqual([8, 0]);
});
