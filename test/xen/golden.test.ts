import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { findRecordings, replayFile } from '../../src/harness/replay/index.ts';

const folder = fileURLToPath(new URL('../golden/xen', import.meta.url));
const options = { probe: () => undefined };

describe('recordings of Xen’s own code', () => {
  test('4.17.0, 4.17.7 and today: every result, byte and state', async () => {
    const files = findRecordings([folder]);
    const perVersion: Record<string, { files: number; operations: number; comparisons: number }> = {};
    const differing: string[] = [];
    for (const file of files) {
      const result = await replayFile(file, options);
      const version = /\.(4\.17\.0|4\.17\.7|today)\./.exec(file)![1];
      const sum = (perVersion[version] ??= { files: 0, operations: 0, comparisons: 0 });
      sum.files++;
      sum.operations += result.operations;
      sum.comparisons += result.comparisons;
      if (result.differences) differing.push(`${file}: ${result.differences} differences; ${result.first}`);
    }
    console.log(JSON.stringify(perVersion));
    expect(differing).toEqual([]);
    expect(files).toHaveLength(176);
  });
});
