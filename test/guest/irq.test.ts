import { describe, expect, test } from 'vitest';
import { boot, enumerate, type Guest, getKernelProfile, handleUpcall, logLine } from '../../src/guest/index.ts';
import { freeIrq, requestIrq } from '../../src/guest/irq.ts';
import { enableMsix } from '../../src/guest/msix.ts';
import { Bench, msixDevice, ScriptedXen, SHARED_INFO } from './fakes.ts';

const A = 0x18;
const B = 0x20;
const GUEST: Guest = { profile: getKernelProfile('linux-4.4.0-59'), sharedInfo: SHARED_INFO };
const SELECTOR = SHARED_INFO + 8;
const PENDING = SHARED_INFO + 2048;
const MASK = SHARED_INFO + 2560;

/** Two functions with vectors enabled, `pool` handed out to A's `n` entries, then B's. */
function bench(pool: number[], n = 2, m = 1): Bench {
  const b = new Bench(new ScriptedXen(pool));
  for (const bdf of [A, B]) b.devices.set(bdf, msixDevice());
  b.run(enumerate({ bdfs: [A, B] }));
  b.run(enableMsix(GUEST.profile, A, 1, n, 'a'));
  b.run(enableMsix(GUEST.profile, B, 1, m, 'b'));
  b.memory.set(MASK, 0xffffffff);
  b.takeTrace();
  return b;
}

const irqOf = (b: Bench, bdf: number, entry: number) => b.records.vector(bdf, entry).irq;

/** The hypervisor signals a port, as in shared_info of a 64-bit guest. */
function signal(b: Bench, port: number): void {
  b.memory.set(PENDING + (port >> 5) * 4, (b.memory.get(PENDING + (port >> 5) * 4) ?? 0) | (1 << (port & 31)));
  b.memory.set(SELECTOR, 1 << (port >> 6));
  b.memory.set(SHARED_INFO, 1);
}

describe('start-up and shutdown of a pirq (reference §2.7)', () => {
  test('bind, status query, unmask; an EOI only if the pirq wants one', () => {
    const b = bench([55, 54, 53]);
    b.xen.wantsEoi.add(55);
    b.run(requestIrq(GUEST, irqOf(b, A, 0), A, 0));
    expect(b.takeTrace()).toEqual(['bind_pirq 55 flags 0 = 1', 'irq_status_query 55', 'eoi 55']);
    b.run(requestIrq(GUEST, irqOf(b, A, 1), A, 2));
    expect(b.takeTrace()).toEqual(['bind_pirq 54 flags 0 = 2', 'irq_status_query 54 = -22']);
    expect(b.memory.get(MASK)! & 0b110).toBe(0);
    expect(b.records.irqOfPort(1)).toBe(irqOf(b, A, 0));
  });

  test('a second handler on the irq starts nothing; only the last one to go shuts it down', () => {
    const b = bench([55, 54, 53]);
    const irq = irqOf(b, A, 0);
    b.run(requestIrq(GUEST, irq, A, 0));
    b.takeTrace();
    b.run(requestIrq(GUEST, irq, A, 1));
    expect(b.records.handlers(irq)).toEqual([
      { bdf: A, queue: 0 },
      { bdf: A, queue: 1 },
    ]);
    b.run(freeIrq(GUEST, A, 1));
    expect(b.takeTrace()).toEqual([]);
    b.run(freeIrq(GUEST, A, 0));
    expect(b.takeTrace()).toEqual(['close 1']);
    expect(b.records.irq(irq).port).toBe(0);
    expect(b.records.irqOfPort(1)).toBe(-1);
    expect(b.memory.get(MASK)! & 2).toBe(2);
  });

  test('a pirq that is bound already: a log line, no error, and the irq is dead', () => {
    const b = bench([55, 54, 55]);
    b.run(requestIrq(GUEST, irqOf(b, A, 0), A, 0));
    b.takeTrace();
    expect(b.run(requestIrq(GUEST, irqOf(b, B, 0), B, 0))).toBe(0);
    expect(b.takeTrace()).toEqual(['bind_pirq 55 flags 0 = -17']);
    expect(b.log.map(logLine)).toEqual([`Failed to obtain physical IRQ ${irqOf(b, B, 0)}`]);
    expect(b.records.irq(irqOf(b, B, 0)).port).toBe(0);
    b.run(freeIrq(GUEST, B, 0));
    expect(b.takeTrace()).toEqual([]);
  });

  test('an event that is pending while the port is unmasked is raised by the hypervisor', () => {
    const b = bench([55, 54, 53]);
    b.memory.set(PENDING, 2);
    b.run(requestIrq(GUEST, irqOf(b, A, 0), A, 0));
    expect(b.takeTrace().slice(-1)).toEqual(['unmask 1']);
    // The hypercall is what clears the bit for good; it was set again before.
    expect(b.memory.get(MASK)! & 2).toBe(2);
  });
});

describe('the upcall', () => {
  /** A's vector 0 shared by queues 0 and 1, its vector 1 for queue 2, all with memory for one completion. */
  function started(): Bench {
    const b = bench([55, 54, 53]);
    b.xen.wantsEoi.add(55);
    b.run(requestIrq(GUEST, irqOf(b, A, 0), A, 0));
    b.run(requestIrq(GUEST, irqOf(b, A, 0), A, 1));
    b.run(requestIrq(GUEST, irqOf(b, A, 1), A, 2));
    b.records.perform('controller.stride=', [A, 4]);
    for (const queue of [0, 1, 2]) {
      b.records.perform('queue.depth=', [A, queue, 2]);
      b.records.perform('queue.phase=', [A, queue, 1]);
      b.records.perform('queue.cqFrame=', [A, queue, 8 + queue]);
      b.records.perform('queue.busy=', [A, queue, 1]);
    }
    b.takeTrace();
    return b;
  }

  test('acknowledge (clear, EOI), then every handler on the irq; the one with a completion rings its doorbell', () => {
    const b = started();
    b.memory.set(0x9000, 0x1234);
    b.memory.set(0x900c, 0x00010000);
    signal(b, 1);
    b.run(handleUpcall(GUEST));
    expect(b.takeTrace()).toEqual(['eoi 55', 'W bar0+100c 0x1']);
    expect(b.records.queue(A, 1)).toMatchObject({ busy: 0, result: 0x1234, head: 1, flags: 2 });
    expect(b.records.queue(A, 0)).toMatchObject({ busy: 1, head: 0, flags: 8 });
    expect(b.memory.get(PENDING)).toBe(0);
    expect(b.memory.get(SHARED_INFO)).toBe(0);
  });

  test('a status with an error and the wrap of the queue', () => {
    const b = started();
    b.memory.set(0xa00c, 0x00050000);
    b.memory.set(0xa01c, 0x00010000);
    signal(b, 2);
    b.run(handleUpcall(GUEST));
    expect(b.records.queue(A, 2)).toMatchObject({ head: 0, phase: 0, status: 0 });
  });

  test('masked and unknown ports stay pending', () => {
    const b = started();
    b.memory.set(MASK, 2);
    signal(b, 1);
    signal(b, 9);
    b.memory.set(MASK, 2);
    b.run(handleUpcall(GUEST));
    expect(b.takeTrace()).toEqual([]);
    expect(b.memory.get(PENDING)).toBe(0b1000000010);
  });

  test('without the upcall flag nothing is looked at', () => {
    const b = started();
    b.memory.set(PENDING, 2);
    b.memory.set(SELECTOR, 1);
    b.run(handleUpcall(GUEST));
    expect(b.memory.get(SELECTOR)).toBe(1);
  });
});

describe('GSIs at boot', () => {
  test('each becomes a pirq of the hypervisor and is bound, in order of registration (seen: 9, 8, 12, 1, 6)', () => {
    const b = new Bench();
    const gsis = [{ gsi: 9, isShareable: true }, { gsi: 8 }, { gsi: 12 }, { gsi: 1 }, { gsi: 6, isStarted: false }];
    b.run(boot(GUEST, { bdfs: [], gsis }));
    expect(b.takeTrace().filter((line) => !line.startsWith('irq_status'))).toEqual([
      ...['map_pirq type 1 index 9 = 16', 'bind_pirq 16 flags 1 = 1'],
      ...['map_pirq type 1 index 8 = 17', 'bind_pirq 17 flags 0 = 2'],
      ...['map_pirq type 1 index 12 = 18', 'bind_pirq 18 flags 0 = 3'],
      ...['map_pirq type 1 index 1 = 19', 'bind_pirq 19 flags 0 = 4'],
      'map_pirq type 1 index 6 = 20',
    ]);
    expect(b.records.irqs().map((r) => [r.irq, r.pirq])).toEqual([
      [9, 16],
      [8, 17],
      [12, 18],
      [1, 19],
      [6, 20],
    ]);
  });

  test('the pin of a function becomes its irq', () => {
    const b = new Bench();
    b.devices.set(A, msixDevice());
    b.run(boot(GUEST, { bdfs: [A], gsis: [{ gsi: 24, isShareable: true, isStarted: false, bdf: A }] }));
    expect(b.records.device(A).intxIrq).toBe(24);
    b.run(requestIrq(GUEST, 24, A, 0));
    expect(b.takeTrace()).toContain('bind_pirq 16 flags 1 = 1');
  });

  test('all events are masked before the first is bound', () => {
    const b = new Bench();
    b.run(boot(GUEST, { bdfs: [], ports: 128 }));
    expect([0, 4, 8, 12].map((at) => b.memory.get(MASK + at))).toEqual(new Array(4).fill(0xffffffff));
  });
});

test('the list of irqs is searched from the oldest record', () => {
  const b = bench([55, 54, 55]);
  expect(b.records.perform('irq.fromPirq', [55])).toBe(irqOf(b, A, 0));
  b.records.perform('irq.free', [irqOf(b, A, 0)]);
  expect(b.records.perform('irq.fromPirq', [55])).toBe(irqOf(b, B, 0));
  b.records.perform('irq.free', [irqOf(b, B, 0)]);
  expect(b.records.perform('irq.fromPirq', [55])).toBe(-1);
  expect(b.records.perform('irq.everFromPirq', [55])).toBeGreaterThan(0);
});
