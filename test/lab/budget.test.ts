import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { enumerate, getKernelProfile, KERNEL_PROFILES, type KernelProfile } from '../../src/guest/index.ts';
import { enableMsix } from '../../src/guest/msix.ts';
import { type BudgetDevice, type BudgetInputs, computeBudget } from '../../src/lab/budget.ts';
import { getXenProfile } from '../../src/xen/profile.ts';
import { Bench, msixDevice, ScriptedXen } from '../guest/fakes.ts';

const XEN = getXenProfile('xen-4.17');
const L6_1 = getKernelProfile('linux-6.1');
const drive = (name: string, msixVectors = 65, more: Partial<BudgetDevice> = {}): BudgetDevice => ({
  name,
  kind: 'nvme',
  msixVectors,
  msiMessages: 0,
  hasIntx: true,
  ...more,
});

function inputs(more: Partial<BudgetInputs> = {}): BudgetInputs {
  return { xen: XEN, kernel: L6_1, cpus: 2, host: { gsis: 24, cpus: 2, extraDomU: 32 }, ...more };
}

describe('the observed host: 24 GSIs, 2 CPUs, Xen 4.17.7, Linux 6.1', () => {
  test('three controllers: 416 irqs, 56 pirqs, MSIs from 54 down to 46', () => {
    const budget = computeBudget([drive('A'), drive('B'), drive('C')], inputs());
    expect([budget.nrIrqs, budget.nrPirqs]).toEqual([416, 56]);
    expect(budget.pool).toEqual({ size: 31, first: 54, last: 24, takenByGsis: 1 });
    expect(budget.devices.map((d) => d.pirqs)).toEqual([
      [54, 52],
      [51, 49],
      [48, 46],
    ]);
    expect(budget.starving).toBe(0);
  });

  test('one controller: its first pirq is 55, because no GSI took that', () => {
    expect(computeBudget([drive('A')], inputs()).devices[0].pirqs).toEqual([55, 53]);
  });
});

describe('what NVMe drivers ask for', () => {
  test.each([
    ['linux-3.13', 16, 129, undefined, 16],
    ['linux-4.4.0-61', 16, 129, undefined, 16],
    ['linux-6.1', 16, 129, undefined, 17],
    ['linux-6.1', 128, 129, undefined, 129],
    ['linux-6.1', 128, 33, undefined, 33],
    ['linux-6.1', 16, 129, 4, 5],
  ])('%s, %i vCPUs, %i entries, %s queues: %i', (kernel, cpus, entries, nvmeQueues, asks) => {
    const more = nvmeQueues === undefined ? {} : { nvmeQueues };
    const [device] = computeBudget(
      [drive('A', entries)],
      inputs({ kernel: getKernelProfile(kernel), cpus, ...more }),
    ).devices;
    expect(device.asks).toBe(asks);
  });
});

test('three controllers of an old kernel with 16 vCPUs ask for 48 of 24: the second drains the pool', () => {
  const kernel = getKernelProfile('linux-4.4.0-61');
  const devices = [drive('A'), drive('B', 65, { msiMessages: 32 }), drive('C', 65, { hasIntx: false })];
  const host = { gsis: 24, cpus: 16, extraDomU: 24 };
  const budget = computeBudget(devices, inputs({ kernel, cpus: 16, guestGsis: 0, host }));
  expect(budget.devices.map((d) => [d.mode, d.gets, d.lost, d.queues])).toEqual([
    ['MSI-X', 16, 0, 16],
    ['INTx', 0, 8, 1],
    ['none', 0, 0, 0],
  ]);
  expect(budget.cure).toEqual({ extraGuestIrqs: 48, nvmeQueues: 8 });
});

describe('the host', () => {
  const limits = (more: Partial<BudgetInputs>) =>
    Object.fromEntries(computeBudget([drive('A')], inputs(more)).limits.map((l) => [l.name, l.capacity]));

  test('vectors of a CPU by release, GSIs not taken off', () => {
    const host = { gsis: 16, cpus: 1 };
    for (const [name, cpu0] of [
      ['xen-4.8', 189],
      ['xen-4.17', 190],
      ['xen-4.22', 189],
    ] as const)
      expect(limits({ xen: getXenProfile(name), host })['CPU vectors']).toBe(cpu0 - 16);
  });

  test('flat mode shares one pool among up to 8 CPUs; with one-CPU targets they add up', () => {
    expect(limits({ host: { gsis: 24, cpus: 8 } })['CPU vectors']).toBe(190 - 24);
    expect(limits({ host: { gsis: 24, cpus: 16 } })['CPU vectors']).toBe(190 + 15 * 203 - 24);
    expect(limits({ xen: getXenProfile('xen-4.22'), host: { gsis: 24, cpus: 2 } })['CPU vectors']).toBe(189 + 202 - 24);
  });

  test('out of vectors: numbers are there, mappings are not, so vectors stay deaf and no domU setting helps', () => {
    const budget = computeBudget([drive('A')], inputs({ hostMsis: 165 }));
    expect(budget.devices[0]).toMatchObject({ gets: 3, deaf: 2, starves: true });
    expect(budget.stopsFirst).toBe('CPU vectors');
    expect(budget.cure).toEqual({});
  });

  test('nr_irqs bounds nr_pirqs, and the cure raises both', () => {
    const host = { gsis: 24, cpus: 16, nrIrqs: 40, extraDomU: 32 };
    const budget = computeBudget([drive('A')], inputs({ cpus: 16, host }));
    expect(budget.nrPirqs).toBe(40);
    expect(budget.cure).toMatchObject({ extraGuestIrqs: 17, nrIrqs: 41 });
  });
});

/** Enables MSI-X with the guest's own code, one device after the other, against a list of free pirqs. */
function enableForReal(kernel: KernelProfile, pool: number[], asks: number[]): { gets: number[]; left: number } {
  const bench = new Bench(new ScriptedXen([...pool]), { devices: asks.length, vectors: 64 });
  const bdfs = asks.map((_, i) => (i + 3) << 3);
  for (const bdf of bdfs) bench.devices.set(bdf, msixDevice(64));
  bench.run(enumerate({ bdfs }));
  const gets = asks.map((n, i) => Math.max(bench.run(enableMsix(kernel, bdfs[i], 1, n, 'e')), 0));
  return { gets, left: bench.xen.pool.length };
}

test('random devices: vectors and numbers left are those of the modelled kernels', () => {
  const asks = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.constantFrom(...KERNEL_PROFILES), asks, fc.nat(80), (kernel, wanted, extraDomU) => {
      const devices = wanted.map((n, i) => drive(`${i}`, 64, { kind: 'other', asks: n }));
      const host = { gsis: 24, cpus: 16, extraDomU };
      const budget = computeBudget(devices, inputs({ kernel, host, guestGsis: 0 }));
      const pool = Array.from({ length: extraDomU }, (_, i) => 23 + extraDomU - i);
      const real = enableForReal(kernel, pool, wanted);
      expect(budget.devices.map((d) => d.gets)).toEqual(real.gets);
      const used = budget.devices.reduce((sum, d) => sum + d.gets + d.lost, 0);
      expect(extraDomU - used).toBe(real.left);
    }),
    { numRuns: 100, seed: 6 },
  );
});
