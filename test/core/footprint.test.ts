import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena, Footprint } from '../../src/core/index.ts';

function watchedArena() {
  const footprint = new Footprint(64);
  const arena = new Arena(256, footprint);
  return {
    footprint,
    words: arena.int32(16, 'words'),
    bytes: arena.bytes(32, 'bytes'),
    doubles: arena.float64(4, 'doubles'),
  };
}

function seen(footprint: Footprint, action: () => void) {
  footprint.begin();
  action();
  const { reads, writes } = footprint.end();
  return { reads: [...reads], writes: [...writes] };
}

describe('footprint of an arena', () => {
  test('words read and written, in order, each once', () => {
    const { footprint, words } = watchedArena();
    const found = seen(footprint, () => {
      words[5] = words[3] + words[1] + words[3];
      words[6]++;
    });
    expect(found).toEqual({ reads: [3, 1, 6], writes: [5, 6] });
  });

  test('a word that was written before is not read from the outside', () => {
    const { footprint, words } = watchedArena();
    const found = seen(footprint, () => {
      words[2] = 7;
      words[4] = words[2];
    });
    expect(found).toEqual({ reads: [], writes: [2, 4] });
  });

  test('a word of which only some bytes are written depends on what was there; one written byte by byte does not', () => {
    const { footprint, bytes } = watchedArena();
    expect(seen(footprint, () => bytes.fill(1, 0, 2))).toEqual({ reads: [16], writes: [16] });
    const writeAll = () => {
      for (let i = 0; i < 4; i++) bytes[i] = 1;
    };
    expect(seen(footprint, writeAll)).toEqual({ reads: [], writes: [16] });
  });

  test('doubles are two words, views of a part are watched, other methods read everything', () => {
    const { footprint, words, doubles } = watchedArena();
    expect(seen(footprint, () => (doubles[1] = 2 ** 40)).writes).toEqual([26, 27]);
    expect(seen(footprint, () => words.subarray(4, 6)[1]).reads).toEqual([5]);
    expect(seen(footprint, () => words.subarray(4, 7).indexOf(9)).reads).toEqual([4, 5, 6]);
    expect(seen(footprint, () => words.copyWithin(0, 2, 4))).toEqual({ reads: [2, 3], writes: [0, 1] });
    expect(() => words.buffer).toThrow(/out of reach/);
  });

  test('a watched view holds what a plain one holds', () => {
    const op = fc.record({
      at: fc.nat(15),
      from: fc.nat(15),
      value: fc.integer(),
      kind: fc.constantFrom('=', '+', 'fill', 'copy', 'set'),
    });
    fc.assert(
      fc.property(fc.array(op, { maxLength: 20 }), (ops) => {
        const { footprint, words } = watchedArena();
        const plain = new Int32Array(16);
        footprint.begin();
        for (const view of [words, plain])
          for (const { at, from, value, kind } of ops) {
            if (kind === '=') view[at] = value;
            else if (kind === '+') view[at] += view[from];
            else if (kind === 'fill') view.fill(value, Math.min(at, from), Math.max(at, from));
            else if (kind === 'copy') view.copyWithin(at, from);
            else view.set([value, value], Math.min(at, 14));
          }
        footprint.end();
        expect([...words]).toEqual([...plain]);
      }),
    );
  });
});
