import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import { ERRNO } from '../../src/xen/abi/index.ts';
import { type Domain, type Hypervisor, viewIrqs } from '../../src/xen/index.ts';
import { hostileCall, randomOperation, smallMachine, survive } from './operations.ts';

const RELEASES = ['xen-4.4', 'xen-4.8', 'xen-4.17.0', 'xen-4.17', 'xen-4.19', 'xen-4.22'];

/** A fingerprint of all typed arrays of a domain. */
function fingerprint(d: Domain): number {
  let h = 0x811c9dc5;
  const mix = (array: ArrayLike<number>) => {
    for (let i = 0; i < array.length; i++) h = Math.imul(h ^ array[i], 0x01000193);
  };
  for (const member of Object.values(d)) if (member instanceof Int32Array || member instanceof Uint8Array) mix(member);
  for (const member of Object.values(d.ports)) if (member instanceof Int32Array) mix(member);
  return h;
}

/** What holds in any state that random calls reach; the text of the first violation. */
function violation(xen: Hypervisor): string | undefined {
  const h = xen.host;
  for (const d of h.domains) {
    let free = 0;
    let reserved = 0;
    let mapped = 0;
    let deferred = 0;
    let emulated = 0;
    const ownerOf = new Map<number, number>();
    for (let pirq = 0; pirq < d.nrPirqs; pirq++) {
      const irq = d.irqOf(pirq);
      if (irq > 0) mapped++;
      else if (irq === -1) reserved++;
      else if (irq < -1) deferred++;
      else if (d.emuirqOf(pirq) !== -1) emulated++;
      else free++;
      if (irq > 0) {
        // pirq 0 is invisible from the irq's side, so that its irq may have a second one
        if (ownerOf.has(irq) && ownerOf.get(irq) !== 0)
          return `domain ${d.id}: irq ${irq} has pirqs ${ownerOf.get(irq)}, ${pirq}`;
        ownerOf.set(irq, pirq);
        const back = d.pirqOf(irq);
        if (back !== pirq && back !== 0) return `domain ${d.id}: pirq ${pirq} → irq ${irq} → pirq ${back}`;
      }
      const port = d.hasRecord(pirq) ? d.evtchn[pirq] : 0;
      if (port && (d.ports.state[port] !== 4 || d.ports.peer[port] !== pirq))
        return `domain ${d.id}: pirq ${pirq} claims port ${port}`;
      if (h.spaces[d.slot].isFree(pirq) !== (irq === 0 && d.emuirqOf(pirq) === -1)) return `pirq ${pirq} free?`;
    }
    if (free + reserved + mapped + deferred + emulated !== d.nrPirqs) return `domain ${d.id}: pirqs are lost`;
  }
  const vectors = new Set<number>();
  for (const view of viewIrqs(h)) {
    if (view.vector < 0) continue;
    const key = (h.irqs.cpu[view.irq] << 8) | view.vector;
    if (vectors.has(key)) return `vector 0x${view.vector.toString(16)} has two irqs`;
    vectors.add(key);
    if (h.vectors.irqOf(h.irqs.cpu[view.irq], view.vector) !== view.irq) return `irq ${view.irq} lost its vector`;
    const msi = h.irqs.msi[view.irq];
    if (msi >= 0 && h.msis.irq[msi] !== view.irq) return `irq ${view.irq} has another's message`;
  }
  return undefined;
}

describe('random sequences of operations', () => {
  test('100,000 sequences: nothing lost, no two owners, no domain changes another', () => {
    const SEQUENCES = 100_000;
    const LENGTH = 10;
    const outcomes = new Map<string, number>();
    let faults = 0;
    for (const [index, release] of RELEASES.entries()) {
      const { xen } = smallMachine(release);
      const { arena } = xen.host;
      const clean = arena.snapshot();
      const prng = new Prng(0x5eed + index);
      for (let sequence = 0; sequence < SEQUENCES / RELEASES.length; sequence++) {
        arena.restore(clean);
        for (let step = 0; step < LENGTH; step++) {
          // the costly comparison of other domains is made for a part of the steps
          const watch = prng.below(16) === 0;
          const before = watch ? xen.host.domains.map(fingerprint) : [];
          const done = survive(() => randomOperation(xen, prng));
          if (!done) {
            faults++;
            break;
          }
          const key = `${done.name} ${Math.sign(done.ret)}`;
          outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
          const { touched } = done;
          if (watch && touched)
            for (const d of xen.host.domains)
              if (!touched.includes(d.id) && fingerprint(d) !== before[d.slot])
                expect.fail(`${done.name} changed domain ${d.id} (sequence ${sequence} of ${release})`);
        }
        const wrong = survive(() => violation(xen));
        if (wrong) expect.fail(`${wrong} (sequence ${sequence} of ${release})`);
      }
    }
    // every kind of operation both succeeded and failed
    for (const name of ['map_pirq', 'unmap_pirq', 'bind_pirq', 'close', 'bind_pt_irq', 'inject_msi']) {
      expect(outcomes.get(`${name} 0`), name).toBeGreaterThan(100);
      expect(outcomes.get(`${name} -1`), name).toBeGreaterThan(100);
    }
    expect(faults).toBeGreaterThan(0);
  });

  test('a snapshot restored behaves as the state it was taken from', () => {
    const { xen } = smallMachine('xen-4.17');
    const { arena } = xen.host;
    const prng = new Prng(7);
    for (let i = 0; i < 300; i++) survive(() => randomOperation(xen, prng));
    if (xen.host.state[1]) xen.host.state[1] = 0;
    const middle = arena.snapshot();
    const run = (seed: number) => {
      const p = new Prng(seed);
      const rets = Array.from({ length: 200 }, () => survive(() => randomOperation(xen, p))?.ret);
      return { rets, end: arena.snapshot() };
    };
    const first = run(99);
    arena.restore(middle);
    const second = run(99);
    expect(second.rets).toEqual(first.rets);
    expect(arena.equals(first.end)).toBe(true);
  });
});

describe('hostile input', () => {
  const known = new Set<number>([...Object.values(ERRNO)].map((e) => -e));

  test('any bytes under any number: an errno of Xen or success, no exception', () => {
    for (const release of RELEASES) {
      const { xen } = smallMachine(release);
      const { arena } = xen.host;
      const clean = arena.snapshot();
      const prng = new Prng(0xbad);
      for (let i = 0; i < 15_000; i++) {
        const answer = survive(() => hostileCall(xen, prng));
        if (!answer || i % 500 === 0) arena.restore(clean);
        else if (answer.ret !== 0 && !known.has(answer.ret)) expect.fail(`${release}: result ${answer.ret}`);
      }
    }
  });

  test('what cannot be read changes nothing', () => {
    const { xen } = smallMachine('xen-4.22');
    const before = xen.host.arena.snapshot();
    const prng = new Prng(3);
    for (let i = 0; i < 20_000; i++) {
      const nr = prng.pick([32, 33, 34, 36, 41, 16, 19]);
      const cmd = prng.pick([prng.below(34), prng.next() | 0]);
      if (nr === 33 && cmd === 4) continue; // reads no argument
      xen.hypercall(prng.pick([0, 5, 6]), nr, cmd, new Uint8Array(prng.below(150)), { fault: 'null' });
    }
    expect(xen.host.arena.explainDifference(before)).toBeUndefined();
  });

  test('every command with one byte too few is -EFAULT or refused before', () => {
    const { xen } = smallMachine('xen-4.22');
    const before = xen.host.arena.snapshot();
    const sizes: [nr: number, cmd: number, size: number][] = [
      [33, 12, 4],
      [33, 13, 40],
      [33, 14, 8],
      [33, 23, 8],
      [33, 5, 8],
      [33, 25, 12],
      [33, 30, 4],
      [32, 2, 12],
      [32, 3, 4],
      [32, 5, 24],
      [32, 6, 8],
      [32, 9, 4],
      [36, 0, 144],
    ];
    for (const [nr, cmd, size] of sizes)
      expect(xen.hypercall(0, nr, cmd, new Uint8Array(size - 1)).ret, `${nr}/${cmd}`).toBe(-ERRNO.EFAULT);
    expect(xen.host.arena.equals(before)).toBe(true);
  });

  test('bytes beyond the structure are left alone', () => {
    const { xen } = smallMachine('xen-4.22');
    const bytes = new Uint8Array(64).fill(0xaa);
    bytes.fill(0, 0, 8);
    const answer = xen.hypercall(5, 33, 23, bytes);
    expect(answer.ret).toBe(0);
    expect(answer.bytes.subarray(8)).toEqual(bytes.subarray(8));
  });

  test('a result that cannot be written back stays in force', () => {
    const { xen } = smallMachine('xen-4.22');
    const answer = xen.hypercall(5, 33, 23, new Uint8Array(8), { fault: 'write' });
    expect(answer.ret).toBe(-ERRNO.EFAULT);
    expect(xen.domain(5).irqOf(33)).toBe(-1);
    expect(xen.as(5).getFreePirq().pirq).toBe(32);
  });
});
