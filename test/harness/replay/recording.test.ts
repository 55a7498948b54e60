import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonLines } from '../../../src/harness/replay/index.ts';

/** As `JSON.parse` has it: rounded. */
function rounded(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, rounded(v)]));
}

const read = (text: string) => [...jsonLines(Buffer.from(text), 'f')];

describe('JSON lines', () => {
  test('integers beyond 2^53 are exact', () => {
    expect(read('["tr",0,584,8,18446744073709551615]\n[9007199254740991,9007199254740992,-5]')).toEqual([
      ['tr', 0, 584, 8, 18446744073709551615n],
      [9007199254740991, 9007199254740992n, -5],
    ]);
  });

  test('agree with JSON.parse on everything else', () =>
    fc.assert(
      fc.property(fc.array(fc.jsonValue({ maxDepth: 4 })), (values) => {
        const text = values.map((value) => JSON.stringify(value)).join('\n');
        // a key that would set the prototype is refused, and -0 is written 0
        fc.pre(!text.includes('__proto__'));
        expect(read(text).map(rounded)).toEqual(text === '' ? [] : text.split('\n').map((line) => JSON.parse(line)));
      }),
    ));

  test('never hang or crash on damaged text', () =>
    fc.assert(
      fc.property(fc.nat(120), fc.string({ maxLength: 3 }), (at, damage) => {
        const text = '["s",0,2311034130,[[0,"361b1000"],[12,"0\\n"]],{"a":1.5e3,"b":[true,null]},18446744073709551615]';
        try {
          read(text.slice(0, at) + damage + text.slice(at + 1));
        } catch (error) {
          expect((error as Error).message).toMatch(/^f:\d+: /);
        }
      }),
    ));

  test('say where a line is cut off', () => {
    expect(() => read('[1]\n\n["r",0,"c"')).toThrow('f:3: malformed JSON: "," is missing or the line is cut off');
    expect(() => read('["r\n')).toThrow('f:1: malformed JSON: a string is cut off');
  });
});
