import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Arena, Prng, UsageError } from '../../src/core/index.ts';
import { Domain, IRQ_UNBOUND, PIRQ_ALLOCATED } from '../../src/xen/domain.ts';
import { PirqSpace } from '../../src/xen/pirq-space.ts';
import { PlainPirqSpace } from './plain-pirq-space.ts';

interface Shape {
  gsis: number;
  nrPirqs: number;
  kind: 'pv' | 'hvm';
  bottomUp: boolean;
}

const shapes: fc.Arbitrary<Shape> = fc.record({
  gsis: fc.integer({ min: 1, max: 70 }),
  nrPirqs: fc.integer({ min: 1, max: 300 }),
  kind: fc.constantFrom('pv', 'hvm'),
  bottomUp: fc.boolean(),
});

/** One domain, searched by `make`'s class; a step is made of numbers so that two domains can be led alike. */
class Led {
  readonly arena = new Arena(1 << 20);
  readonly domain: Domain;
  readonly space: Pick<PirqSpace, 'find' | 'findRun' | 'isFree'>;

  constructor({ gsis, nrPirqs, kind, bottomUp }: Shape, make: typeof PirqSpace | typeof PlainPirqSpace) {
    this.domain = new Domain(this.arena, 0, { nrIrqs: 1024, gsis }, { id: 1, kind, nrPirqs, hasPirq: kind === 'hvm' });
    this.space = new make(this.domain, gsis, bottomUp);
  }

  /** What a step answers; afterwards the records are part of the arena. */
  step(what: number, pirq: number, log2: number): number {
    const d = this.domain;
    if (what < 4) return this.#take(this.space.find(what === 0), 1, pirq);
    if (what < 7) return this.#take(this.space.findRun(1 << log2), 1 << log2, pirq);
    for (let p = pirq; what === 7 && p < Math.min(pirq + (1 << log2), d.nrPirqs); p++) d.removeRecord(p);
    if (what === 8 && d.isHvm) {
      d.makeRecord(pirq);
      d.setEmuirq(pirq, d.emuirq[pirq] === IRQ_UNBOUND ? 17 : IRQ_UNBOUND);
    }
    if (what === 9) d.setIrq(pirq, d.hasRecord(pirq) ? PIRQ_ALLOCATED : 0);
    if (what === 10) d.setIrq(pirq, 0);
    return this.space.isFree(pirq) ? 1 : 0;
  }

  /** Every other search leaves what it found alone. */
  #take(base: number, count: number, chance: number): number {
    for (let p = base; base >= 0 && chance % 2 && p < base + count; p++) this.domain.setIrq(p, p + 1);
    return base;
  }
}

test('numbers and records are those of the plain scan in every random sequence, whatever is restored between', () => {
  fc.assert(
    fc.property(shapes, fc.integer(), (shape, seed) => {
      const ours = new Led(shape, PirqSpace);
      const plain = new Led(shape, PlainPirqSpace);
      const prng = new Prng(seed);
      let saved = ours.arena.snapshot();
      for (let n = 0; n < 120; n++) {
        const step = [prng.below(11), prng.below(shape.nrPirqs), prng.below(6)] as const;
        expect(ours.step(...step)).toBe(plain.step(...step));
        expect(ours.arena.explainDifference(plain.arena.snapshot())).toBeUndefined();
        const turn = prng.below(20);
        if (turn === 0) saved = ours.arena.snapshot();
        if (turn === 1) for (const led of [ours, plain]) led.arena.restore(saved);
      }
    }),
    { numRuns: 150 },
  );
});

test('a run is of a power of two', () => {
  const { space } = new Led({ gsis: 16, nrPirqs: 64, kind: 'pv', bottomUp: false }, PirqSpace);
  expect(() => space.findRun(3)).toThrow(UsageError);
  expect(() => space.findRun(64)).toThrow(UsageError);
  expect(space.findRun(32)).toBe(32);
});
