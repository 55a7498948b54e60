import { describe, expect, test } from 'vitest';
import {
  COMPACT_QUEUES,
  getKernelProfile,
  type NvmeController,
  oneDisableMany,
  WORKLOADS,
} from '../../src/guest/index.ts';
import { explore, goodCounts } from '../../src/lab/explorer.ts';
import { Stepper } from '../../src/lab/stepper.ts';
import { ToyHost } from './toy-host.ts';

function controllers(count: number, vectors: number): NvmeController[] {
  return Array.from({ length: count }, (_, i) => ({
    bdf: (3 + i) << 3,
    memoryBase: 0x100000 * (i + 1),
    vectors,
    ...COMPACT_QUEUES,
  }));
}

function outcomes(kernel: string, freesOnDisable: boolean, count: number, vectors: number): Record<string, number> {
  const all = controllers(count, vectors);
  const host = new ToyHost({ profile: getKernelProfile(kernel) }, all, freesOnDisable);
  const { coarseSteps } = WORKLOADS['one-disable-many'];
  const plans = all.map((c) => ({ make: () => oneDisableMany(host.guest, c), coarseSteps: coarseSteps.length }));
  const result = explore(host, new Stepper(host, plans, 'coarse'));
  expect(result.complete).toBe(true);
  return Object.fromEntries([...goodCounts(result)].map(([good, paths]) => [good, Number(paths)]));
}

describe('two controllers, every interleaving of the five coarse steps (reference §4.6)', () => {
  test.each([1, 2, 4])('fixed host, fixed guest, %i vectors: both good in all 252', (vectors) => {
    expect(outcomes('linux-4.4.0-61', true, 2, vectors)).toEqual({ 2: 252 });
  });
  test.each([1, 2, 4])('old host, fixed guest, %i vectors: none good', (vectors) => {
    expect(outcomes('linux-4.4.0-61', false, 2, vectors)).toEqual({ 0: 252 });
  });
  test.each([
    [1, { 0: 54, 1: 56, 2: 142 }],
    [2, { 0: 82, 1: 68, 2: 102 }],
    [4, { 0: 82, 1: 68, 2: 102 }],
  ])('fixed host, old guest, %i vectors', (vectors, good) => {
    expect(outcomes('linux-4.4.0-59', true, 2, vectors)).toEqual(good);
  });
});
