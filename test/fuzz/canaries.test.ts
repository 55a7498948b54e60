import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CanaryBuild } from '../../src/fuzz/canaries/build.ts';
import { CANARIES } from '../../src/fuzz/canaries/patches.ts';
import { median, runCanaries } from '../../src/fuzz/canaries/run.ts';
import { targetNames } from '../../src/fuzz/targets/index.ts';

let build: CanaryBuild;
beforeAll(async () => {
  build = await CanaryBuild.make();
});
afterAll(() => build.remove());

describe('planted bugs', () => {
  test('there are plenty, with names of their own and for every target', () => {
    expect(CANARIES.length).toBeGreaterThanOrEqual(40);
    expect(new Set(CANARIES.map((c) => c.name)).size).toBe(CANARIES.length);
    expect(new Set(CANARIES.map((c) => c.target))).toEqual(new Set(targetNames()));
  });

  // a change of the model that moves the text means a change of the patch
  test.each(CANARIES.map((c) => [c.name, c] as const))('%s: the patch fits the sources', (_, canary) => {
    expect(build.patch(canary)).toContain(canary.replace);
  });
});

test('planted bugs of each kind are found and shrunk to a few accesses', async () => {
  const names = ['MME is not clamped to MMC', 'pending bits survive reset', 'a pirq can be bound twice'];
  const wanted = CANARIES.filter((c) => names.includes(c.name));
  const results = await runCanaries(wanted, { seed: 1, seconds: 20 });
  expect(results.map((r) => [r.name, r.found])).toEqual(wanted.map((c) => [c.name, true]));
  expect(median(results.map((r) => r.accesses))).toBeLessThanOrEqual(6);
});
