import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../../src/core/index.ts';
import { openRecording, type RecordingLine, replayFile } from '../../../src/harness/replay/index.ts';
import { XENPT_REPLAYER } from '../../../src/harness/replay/xenpt.ts';

const folder = fileURLToPath(new URL('../../golden/xenpt/', import.meta.url));
const options = { probe: () => undefined };

describe("recordings of QEMU's own pass-through code replay without a difference", () => {
  let comparisons = 0;
  for (const file of readdirSync(folder).sort())
    test(file, async () => {
      const result = await replayFile(folder + file, options);
      expect(result.first).toBeUndefined();
      expect(result).toMatchObject({ differences: 0, excluded: {} });
      expect(result.operations).toBeGreaterThan(300);
      comparisons += result.comparisons;
    });

  test('all of them together', () => {
    expect(readdirSync(folder)).toHaveLength(30);
    expect(comparisons).toBeGreaterThan(20_000);
    console.log(`golden/xenpt: ${comparisons} comparisons, 0 differences`);
  });
});

test('another profile does not fit: the recordings tell the eras apart', () => {
  for (const version of ['pre-c976437c (2.0.x)', '7.2']) {
    const { header, lines } = openRecording(`${folder}2.1.v0.s1.jsonl.gz`);
    const result = XENPT_REPLAYER.replay('changed', { ...header, version }, lines, options);
    expect(result.differences).toBeGreaterThan(0);
    expect(result.first).toMatch(/^line \d+: (calls of|state after) /);
  }
});

test('a malformed recording is told in one line', () => {
  const { header } = openRecording(`${folder}7.2.v0.s1.jsonl.gz`);
  const replay = (changes: Record<string, unknown>, lines: RecordingLine[] = []) =>
    XENPT_REPLAYER.replay('f', { ...header, ...changes }, lines, options);
  expect(() => replay({ host: 'zz' })).toThrow(new UsageError('f: header of a xenpt recording lacks a proper "host"'));
  expect(() => replay({ version: '9.9' })).toThrow(/unknown device model "qemu-9.9"; there are qemu-2.0/);
  expect(() => replay({}, [['jump', 1, [], null, null]])).toThrow(/unknown operation "jump"/);
  expect(() => replay({}, [{ w: 1 }])).toThrow(new UsageError('f:2: an operation is a JSON array'));
});
