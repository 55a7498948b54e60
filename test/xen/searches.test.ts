import { expect, test } from 'vitest';
import { Arena, Prng } from '../../src/core/index.ts';
import { IRQ_UNUSED, IRQ_USED, IrqTable } from '../../src/xen/irq-table.ts';
import { ECS, PortTable } from '../../src/xen/port-table.ts';
import { getXenProfile } from '../../src/xen/profile.ts';
import { VectorPool } from '../../src/xen/vector-pool.ts';

test('host irqs are the lowest unused', () => {
  const arena = new Arena();
  const irqs = new IrqTable(arena, 300, 24, 4);
  const prng = new Prng(1);
  let saved = arena.snapshot();
  for (let n = 0; n < 3000; n++) {
    const irq = irqs.findUnused();
    expect(irq).toBe(irqs.used.indexOf(IRQ_UNUSED, 24));
    if (irq >= 0) irqs.setUsed(irq, IRQ_USED);
    if (prng.below(3) === 0) irqs.setUsed(prng.below(300), IRQ_UNUSED);
    if (n % 700 === 100) saved = arena.snapshot();
    if (n % 700 === 600) arena.restore(saved);
  }
});

test('ports are the lowest free that are not busy, and come into being in buckets', () => {
  const arena = new Arena();
  const ports = new PortTable(arena, 1, 199, 1024, 1);
  ports.reset();
  const prng = new Prng(2);
  const isBusy = (port: number) => port % 7 === 3 && ports.validPorts > 64;
  let existing = 64;
  for (let n = 0; n < 2000; n++) {
    let wanted = -1;
    for (let port = 0; port < 200 && wanted < 0; port++)
      if (port >= existing || (ports.state[port] === ECS.free && !isBusy(port))) wanted = port;
    const port = ports.take(1024, isBusy);
    expect(port).toBe(wanted);
    if (port >= existing) existing += 64;
    expect(ports.validPorts).toBe(existing);
    if (port >= 0 && prng.below(5) === 0) ports.giveBack(port);
    else if (port >= 0) ports.state[port] = ECS.unbound;
    const other = prng.below(200);
    if (other > 0 && ports.state[other] === ECS.unbound && prng.below(2)) ports.free(other);
  }
});

/** The search as the hypervisor writes it down, over what irqOf tells. */
function plainAssign(pool: VectorPool, profile: ReturnType<typeof getXenProfile>, cursor: [number, number]): number {
  const { first, last, legacy, reserved } = profile.vectors;
  for (let cpu = 0; cpu < pool.cpus; cpu++) {
    let [vector, offset] = cursor;
    for (;;) {
      vector += 8;
      if (vector > last) {
        offset = (offset + 1) % 8;
        vector = first + offset;
      }
      if (vector === cursor[0]) break;
      if (reserved.includes(vector) || pool.irqOf(cpu, vector) >= 0) continue;
      if (cpu === 0 && vector >= legacy[0] && vector <= legacy[1]) continue;
      cursor[0] = vector;
      cursor[1] = offset;
      return (cpu << 8) | vector;
    }
  }
  return -1;
}

test('vectors are those of the plain search, CPUs that are full passed over', () => {
  const profile = getXenProfile('xen-4.17');
  const pool = new VectorPool(new Arena(), profile.vectors, 5);
  const prng = new Prng(3);
  const cursor: [number, number] = [profile.vectors.first, 0];
  const taken: number[] = [];
  for (let n = 0; n < 4000; n++) {
    const wanted = plainAssign(pool, profile, cursor);
    expect(pool.assign(n)).toBe(wanted);
    if (wanted >= 0) taken.push(wanted);
    if (wanted < 0 || prng.below(3) === 0) {
      const [one] = taken.splice(prng.below(taken.length), 1);
      pool.release(n, one >> 8, one & 0xff);
    }
  }
});
