import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena } from '../../../../src/core/index.ts';
import {
  ADMIN,
  createNvmeFunction,
  DOORBELLS,
  MemoryNamespace,
  NVM,
  type NvmeFunction,
} from '../../../../src/pci/devices/nvme/index.ts';
import { Ram } from './fake-host.ts';
import { setUp } from './setup.ts';
import type { Command } from './toy-driver.ts';

const u32 = fc.integer({ min: 0, max: 0xffffffff });
/** Addresses that mostly hit guest RAM, at pages or anywhere. */
const address = fc.oneof(
  { weight: 4, arbitrary: fc.nat(127).map((page) => page * 4096) },
  { weight: 2, arbitrary: fc.nat(0x80000) },
  { weight: 1, arbitrary: fc.nat({ max: 2 ** 50 }) },
);
const opcodes = [...Object.values(ADMIN), ...Object.values(NVM), 0x80, 0xff];
const command: fc.Arbitrary<Command> = fc.record({
  opcode: fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...opcodes) }, { weight: 1, arbitrary: fc.nat(255) }),
  nsid: fc.constantFrom(0, 1, 2, 0xfffffffe, 0xffffffff),
  prp1: address,
  prp2: address,
  cdw10: fc.oneof(fc.nat(15), u32, fc.constantFrom(0x000f0001, 0x000f0002)),
  cdw11: fc.oneof(fc.nat(7), u32, fc.constantFrom(0x00010001, 0x00020003)),
  cdw12: fc.oneof(fc.nat(63), u32),
  flags: fc.constantFrom(0, 0, 0, 0, 0x100, 0x4000),
});

type Step =
  | { kind: 'write'; offset: number; width: 1 | 2 | 4; value: number }
  | { kind: 'config'; offset: number; width: 1 | 2 | 4; value: number }
  | { kind: 'start'; tail: number }
  | { kind: 'ram'; page: number; value: number }
  | { kind: 'reset' };
const width = fc.constantFrom<1 | 2 | 4>(4, 4, 4, 2, 1);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      offset: fc.oneof(
        fc.nat(15).map((i) => i * 4),
        fc.nat(15).map((i) => DOORBELLS + i * 4),
        fc.nat(0x4100),
      ),
      width,
      value: fc.oneof(fc.nat(40), u32, fc.constantFrom(0x00460001, 0x00460000, 0x00464001, 0x000f000f, 0x1000, 0x2000)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('config' as const), offset: fc.nat(0x110), width, value: u32 }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('start' as const), tail: fc.nat(31) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('ram' as const), page: fc.nat(15), value: u32 }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'reset' as const }) },
);

/** Enables the controller with queues at 0x1000 and 0x3000 and submits what lies there: by chance it would be rare. */
function start(fn: NvmeFunction, tail: number): void {
  fn.writeConfig(4, 2, 6);
  const writes = [0x14, 0, 0x24, 0x001f_001f, 0x28, 0x1000, 0x2c, 0, 0x30, 0x3000, 0x34, 0, 0x14, 0x0046_0001];
  for (let i = 0; i < writes.length; i += 2) fn.writeBar(0, writes[i], 4, writes[i + 1]);
  fn.writeBar(0, DOORBELLS, 4, tail);
}

describe('whatever a host does', () => {
  test('the function answers, keeps its state in the arena, and says nothing without bus mastering', () => {
    let completed = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.array(command, { maxLength: 30 }), (steps, commands) => {
        const ram = new Ram(0x80000);
        const arena = new Arena();
        const namespaces = [new MemoryNamespace(1 << 18)];
        const fn = createNvmeFunction({ queuePairs: 3, namespaces, dma: ram, arena, asyncEventRequests: 2 });
        const used = arena.usedBytes;
        // commands lie where the registers most likely point
        commands.forEach((c, i) => {
          for (const base of [0x1000, 0x2000]) {
            ram.view.setUint32(base + i * 64, (c.opcode | (c.flags ?? 0) | (i << 16)) >>> 0, true);
            const dwords = [c.nsid, c.cdw10, c.cdw11, c.cdw12];
            [4, 40, 44, 48].forEach((at, k) => void ram.view.setUint32(base + i * 64 + at, dwords[k] ?? 0, true));
            ram.view.setBigUint64(base + i * 64 + 24, BigInt(c.prp1 ?? 0), true);
            ram.view.setBigUint64(base + i * 64 + 32, BigInt(c.prp2 ?? 0), true);
          }
        });
        fn.writeConfig(4, 2, 6);
        for (const s of steps) {
          if (s.kind === 'write') fn.writeBar(0, s.offset, s.width, s.value);
          else if (s.kind === 'config') fn.writeConfig(s.offset, s.width, s.value);
          else if (s.kind === 'start') start(fn, s.tail);
          else if (s.kind === 'ram') ram.view.setUint32(s.page * 4096, s.value, true);
          else fn.reset('flr');
          for (const offset of [0, 0x0c, 0x14, 0x1c, 0x24, 0x1000])
            expect(fn.readBar(0, offset, 4)).toBeGreaterThanOrEqual(0);
          expect(fn.effects.length).toBeLessThan(2000);
          const quiet = !fn.busMaster;
          for (const effect of fn.effects.splice(0)) if (quiet) expect(effect.kind).toBe('intx');
        }
        expect(arena.usedBytes).toBe(used);
        if (ram.bytes[0x3000 + 14] & 1) completed++;
        fn.reset('conventional');
        expect(fn.readBar(0, 0x1c, 4)).toBe(0);
      }),
      { numRuns: 300 },
    );
    expect(completed).toBeGreaterThan(30); // else the property says little
  });

  test('every command gets exactly one completion; asynchronous event requests at most one', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(2), command), { maxLength: 60 }), (commands) => {
        const { driver } = setUp({ namespaces: [new MemoryNamespace(1 << 18)] }, { ramBytes: 0x100000 });
        driver.enable(64);
        driver.createPair(1, 64);
        driver.createPair(2, 64);
        const pending = new Map<string, number>();
        const events = new Set<string>();
        for (const [queue, c] of commands) {
          // data of the commands goes to pages from 0x80000 on, clear of the queues; queues 1 and 2 stay
          const data = { prp1: (c.prp1! % 0x80000) + 0x80000, prp2: (c.prp2! % 0x80000) + 0x80000 };
          const keeps = queue === 0 && (c.opcode === ADMIN.deleteIoSq || c.opcode === ADMIN.deleteIoCq);
          const cid = driver.push(queue, { ...c, ...data, opcode: keeps ? ADMIN.abort : c.opcode });
          if (queue === 0 && c.opcode === ADMIN.asyncEventRequest) events.add(`${queue}:${cid}`);
          pending.set(`${queue}:${cid}`, 0);
          driver.ring(queue);
          for (const id of [0, 1, 2])
            for (const done of driver.reap(id)) {
              expect(done.sqid).toBe(id);
              const key = `${id}:${done.cid}`;
              pending.set(key, pending.get(key)! + 1);
            }
        }
        for (const [key, count] of pending) {
          if (events.has(key)) expect(count).toBeLessThanOrEqual(1);
          else expect(count, key).toBe(1);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('queues of any sizes, several to a completion queue: each in order, none lost, none twice', () => {
    const sizes = fc.integer({ min: 2, max: 9 });
    const action = fc.record({ queue: fc.nat(2), push: fc.nat(8), reap: fc.boolean() });
    fc.assert(
      fc.property(fc.array(sizes, { minLength: 3, maxLength: 3 }), sizes, fc.array(action), (sqSizes, cqSize, run) => {
        const { driver, host, controller } = setUp({ namespaces: [new MemoryNamespace(4096)] });
        driver.enable();
        const cq = driver.createCq(1, cqSize, 1);
        const rings = sqSizes.map((sqSize, i) => {
          const sq = driver.allocate();
          const cdw10 = (i + 1) | ((sqSize - 1) << 16);
          expect(driver.admin({ opcode: ADMIN.createIoSq, prp1: sq, cdw10, cdw11: 0x10001 }).status).toBe(0);
          const ring = { id: i + 1, sq, cq, sqSize, cqSize, tail: 0, head: 0, phase: 1 };
          driver.rings.set(i + 1, ring);
          return ring;
        });
        const waiting: number[][] = [[], [], []];
        const known = [0, 0, 0]; // submission queue heads as completions told them
        const reap = () => {
          for (const done of driver.reap(1)) {
            expect(done.cid).toBe(waiting[done.sqid - 1].shift());
            known[done.sqid - 1] = done.sqHead;
          }
        };
        for (const { queue, push, reap: doReap } of run) {
          const ring = rings[queue];
          const room = (known[queue] - ring.tail - 1 + 2 * ring.sqSize) % ring.sqSize;
          const count = Math.min(push, room);
          for (let i = 0; i < count; i++) waiting[queue].push(driver.push(queue + 1, { opcode: NVM.flush, nsid: 1 }));
          if (count > 0) driver.ring(queue + 1);
          if (doReap) reap();
        }
        for (let i = 0; i < 40; i++) reap();
        expect(waiting).toEqual([[], [], []]);
        expect([1, 2, 3].map((id) => controller.queued(id))).toEqual([0, 0, 0]);
        expect(new Set(host.drain())).toEqual(new Set(run.some((r) => r.push > 0) ? [0, 1] : [0]));
      }),
      { numRuns: 150 },
    );
  });

  test('all state is in the arena: after a restore the same accesses give the same bytes', () => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 12 }), fc.array(command, { maxLength: 12 }), (first, second) => {
        const arena = new Arena();
        const { driver, ram, host } = setUp({ namespaces: [] }, { arena, ramBytes: 0x100000 });
        driver.enable();
        const play = (commands: Command[]) => {
          for (const c of commands) {
            driver.push(0, { ...c, prp1: (c.prp1! % 0x80000) + 0x80000, prp2: (c.prp2! % 0x80000) + 0x80000 });
            driver.ring(0);
            driver.reap(0);
          }
        };
        play(first);
        const snapshot = arena.snapshot();
        const memory = ram.bytes.slice();
        const ring = { ...driver.rings.get(0)! };
        const cid = driver.nextCid;
        host.drain();
        const outcome = () => {
          play(second);
          return [arena.hash(), host.drain(), createHash('sha1').update(ram.bytes).digest('hex')];
        };
        const once = outcome();
        arena.restore(snapshot);
        ram.bytes.set(memory);
        driver.rings.set(0, ring);
        driver.nextCid = cid;
        expect(outcome()).toEqual(once);
      }),
      { numRuns: 60 },
    );
  });
});
