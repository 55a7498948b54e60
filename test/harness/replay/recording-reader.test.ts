import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/core/index.ts';
import { RecordingReader } from '../../../src/harness/replay/recording-reader.ts';

const reader = (text: string) => new RecordingReader(Buffer.from(text), 'f');

/** A line with every kind of element, read by one call for each. */
function readAll(lines: RecordingReader): unknown[] {
  const all: unknown[] = [];
  while (lines.next()) {
    all.push(lines.name, lines.number());
    lines.word64();
    all.push([...lines.words], lines.text(), lines.hex());
    const runs: [number, number][] = [];
    for (lines.enter(); !lines.leave(); ) {
      lines.enter();
      runs.push([lines.number(), lines.number()]);
      while (!lines.leave()) lines.skip();
    }
    all.push(runs);
    lines.end();
  }
  return all;
}

describe('elements of a line', () => {
  test('are read in their order, whatever white space there is and whatever follows', () => {
    const text = '["x", 7,18446744073709551614,"e","0aF0",[[1,2],[3,4,"5"]],null,{"a":[1]}]\r\n\n ["y",0,15,"","",[ ]]';
    const ffs = 0xffff_ffff;
    expect(readAll(reader(text))).toEqual([
      ...['x', 7, [ffs - 1, ffs], 'e', Uint8Array.of(10, 240)],
      [
        [1, 2],
        [3, 4],
      ],
      ...['y', 0, [15, 0], '', new Uint8Array(0), []],
    ]);
  });

  test('64-bit numbers are exact', () =>
    fc.assert(
      fc.property(fc.bigInt(0n, 0xffff_ffff_ffff_ffffn), (value) => {
        const lines = reader(`["x",${value}]`);
        lines.next();
        lines.word64();
        expect((BigInt(lines.words[1]) << 32n) | BigInt(lines.words[0])).toBe(value);
      }),
    ));

  test('what is something else is told with its place', () => {
    const fails = (text: string, read: (lines: RecordingReader) => void) =>
      expect(() => {
        const lines = reader(`["a"]\n\n${text}`);
        lines.next();
        lines.end();
        lines.next();
        read(lines);
      });
    const malformed = (what: string) => new UsageError(`f:3: malformed JSON: ${what}`);
    fails('{"r":1}', () => {}).toThrow(malformed('an operation is an array'));
    fails('["r","c"]', (lines) => lines.number()).toThrow(malformed('a number is missing'));
    fails('["r",12345678901234567]', (lines) => lines.number()).toThrow(malformed('a number is too large'));
    fails('["r",18446744073709551616]', (lines) => lines.word64()).toThrow(malformed('a number is too large'));
    fails('["r"]', (lines) => lines.number()).toThrow(malformed('"," is missing or the line is cut off'));
    fails('["r",1.5]', (lines) => {
      lines.number();
      lines.end();
    }).toThrow(malformed('"," is missing or the line is cut off'));
    fails('["r",1] 2', (lines) => lines.end()).toThrow(malformed('something follows the value'));
    fails('["T","abc"]', (lines) => lines.hex()).toThrow(/not of pairs of hexadecimal digits/);
  });

  test('damage of any kind is told in one line', () =>
    fc.assert(
      fc.property(fc.nat(70), fc.string({ maxLength: 3 }), (at, damage) => {
        const text = '["x",7,18446744073709551614,"e","0aF0",[[1,2],[3,4,"5"]],null,{"a":[1]}]';
        try {
          readAll(reader(text.slice(0, at) + damage + text.slice(at + 1)));
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^f:\d+: /);
        }
      }),
    ));
});
