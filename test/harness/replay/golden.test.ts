import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { findRecordings, probeLookup, replayFile } from '../../../src/harness/replay/index.ts';

const golden = (folder: string) => fileURLToPath(new URL(`../../golden/${folder}`, import.meta.url));
const measured = probeLookup(golden('probe'));

/** Bits left out for want of a rule: contents of device registers behind a window in configuration space. */
const LEFT_OUT = /^(SHPC indexed data window|virtio PCI cfg access window)/;

for (const [folder, comparisons] of [
  ['random', 140_000],
  ['unaligned', 1_400],
  ['irq', 17_000],
  ['host', 1_600],
] as const)
  test(`every answer in ${folder} is the model's`, async () => {
    const results = await Promise.all(findRecordings([golden(folder)]).map((file) => replayFile(file, measured)));
    expect(results.filter((r) => r.differences > 0).map((r) => r.first)).toEqual([]);
    expect(results.reduce((sum, r) => sum + r.comparisons, 0)).toBeGreaterThan(comparisons);
    expect(results.flatMap((r) => Object.keys(r.excluded)).filter((reason) => !LEFT_OUT.test(reason))).toEqual([]);
  });

test('without measured masks only BAR sizes, device windows and known bits differ', async () => {
  const inferred = probeLookup(undefined);
  const files = findRecordings([golden('random')]).filter((file) => !/e1000e|cxl-rp/.test(file));
  const results = await Promise.all(files.map((file) => replayFile(file, inferred)));
  const other = results
    .map((result) => result.first)
    .filter((first) => first !== undefined && !/bar\d|rom:|shpc\.data/.test(first));
  expect(other).toEqual([]);
});
