import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import { hostileCall, randomOperation, smallMachine, survive } from './operations.ts';

/** How many calls; 10,000,000 take a minute or two, so they are made on request only. */
const CALLS = Number(process.env.PIRQLAB_SOAK_CALLS ?? 0);

describe('long runs', () => {
  test('PIRQLAB_SOAK_CALLS calls: no exception, no hang, no growth', (ctx) => {
    if (!CALLS) ctx.skip('the long run is made on request: PIRQLAB_SOAK_CALLS=10000000');
    const { xen } = smallMachine('xen-4.17');
    const { arena } = xen.host;
    const clean = arena.snapshot();
    const prng = new Prng(Number(process.env.PIRQLAB_SOAK_SEED ?? 1));
    const used = arena.usedBytes;
    let faults = 0;
    const heap: number[] = [];
    for (let call = 0; call < CALLS; call++) {
      const done = survive(() => (call & 1 ? randomOperation(xen, prng) : hostileCall(xen, prng)));
      if (!done) faults++;
      if (!done || call % 1000 === 0) arena.restore(clean);
      if (call % Math.ceil(CALLS / 10) === 0) heap.push(process.memoryUsage().heapUsed >> 20);
    }
    console.log(`${CALLS} calls, ${faults} host faults, ${used} bytes of state, heap MiB ${heap.join(' ')}`);
    expect(arena.usedBytes).toBe(used);
    expect(xen.host.softirqs).toHaveLength(0);
  }, 1_200_000);
});
