import { loadC } from '../harness/c-baseline.ts';
import type { Work } from '../harness/question.ts';
import { SEED } from './space.ts';

/** benches/c/bitmap.c, of `size` numbers whose `occupied` highest are taken; why not, if it cannot be had. */
function load(size: number, occupied: number) {
  const c = loadC('bitmap', {
    setup: 'int32_t bench_setup(uint32_t size, uint32_t occupied)',
    churn: 'uint32_t bench_churn(uint32_t seed, uint32_t count, uint32_t span)',
    runs: 'uint32_t bench_runs(uint32_t seed, uint32_t count, uint32_t owners)',
  });
  if (typeof c !== 'string' && c.setup(size, occupied) !== 0) return 'no memory for the baseline in C';
  return c;
}

export function churnInC(size: number, occupied: number): Work | string {
  const c = load(size, occupied);
  return typeof c === 'string' ? c : { run: (count) => c.churn(SEED, count, occupied) };
}

export function runsInC(size: number, owners: number): Work | string {
  const c = load(size, 0);
  return typeof c === 'string' ? c : { run: (count) => c.runs(SEED, count, owners) };
}
