import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/core/index.ts';
import { xenptReplayer } from '../../../src/harness/replay/xenpt.ts';

const folder = new URL('../../golden/xenpt/', import.meta.url);

function read(file: string) {
  const text = gunzipSync(readFileSync(new URL(file, folder))).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

describe("recordings of QEMU's own pass-through code replay without a difference", () => {
  let comparisons = 0;
  for (const file of readdirSync(folder).sort())
    test(file, () => {
      const text = gunzipSync(readFileSync(new URL(file, folder))).toString();
      const [header, ...lines] = text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      expect(xenptReplayer.accepts(header)).toBe(true);
      const result = xenptReplayer.replay(file, header, lines, { probe: () => undefined });
      expect(result.first).toBeUndefined();
      expect(result).toMatchObject({ differences: 0, operations: lines.length, excluded: {} });
      comparisons += result.comparisons;
    });

  test('another profile does not fit: the recordings tell the eras apart', () => {
    const [header, ...lines] = read('2.1.v0.s1.jsonl.gz');
    for (const version of ['pre-c976437c (2.0.x)', '7.2']) {
      const result = xenptReplayer.replay('changed', { ...header, version }, lines, { probe: () => undefined });
      expect(result.differences).toBeGreaterThan(0);
      expect(result.first).toMatch(/^line \d+: (calls of|state after) /);
    }
  });

  test('a malformed recording is told in one line', () => {
    const [header, ...lines] = read('7.2.v0.s1.jsonl.gz');
    const options = { probe: () => undefined };
    expect(() => xenptReplayer.replay('f', { ...header, host: 'zz' }, lines, options)).toThrow(
      new UsageError('f: header of a xenpt recording lacks a proper "host"'),
    );
    expect(() => xenptReplayer.replay('f', { ...header, version: '9.9' }, lines, options)).toThrow(
      /there are qemu-2.0/,
    );
    expect(() => xenptReplayer.replay('f', header, [['jump', 1, [], null, null]], options)).toThrow(
      /unknown operation "jump"/,
    );
  });

  test('all of them together', () => {
    expect(readdirSync(folder)).toHaveLength(30);
    expect(comparisons).toBeGreaterThan(20_000);
    console.log(`golden/xenpt: ${comparisons} comparisons, 0 differences`);
  });
});
