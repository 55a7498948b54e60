import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { xenptReplayer } from '../../../src/harness/replay/xenpt.ts';

const folder = new URL('../../golden/xenpt/', import.meta.url);

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

  test('all of them together', () => {
    expect(readdirSync(folder)).toHaveLength(30);
    expect(comparisons).toBeGreaterThan(20_000);
    console.log(`golden/xenpt: ${comparisons} comparisons, 0 differences`);
  });
});
