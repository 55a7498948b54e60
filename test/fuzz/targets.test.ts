import { describe, expect, test } from 'vitest';
import { Prng } from '../../src/core/index.ts';
import { fuzz } from '../../src/fuzz/engine.ts';
import { encodeInput } from '../../src/fuzz/input-file.ts';
import { getTarget, targetNames } from '../../src/fuzz/targets/index.ts';

const RUNS: Record<string, number> = {
  dump: 300,
  hypercalls: 500,
  'nvme-regs': 600,
  machine: 250,
  socket: 80,
  'vfio-user': 60,
};

describe.each(targetNames())('%s', (name) => {
  test('a short run finds nothing', async () => {
    const target = await getTarget(name);
    const result = fuzz(target, { seed: 1, runs: RUNS[name] ?? 1500 });
    expect(result.findings.map((f) => f.broken)).toEqual([]);
    expect(result.steps).toBeGreaterThan(1000);
    expect(result.states).toBeGreaterThan(20);
  });

  test('the same seed is the same run, another seed is not', async () => {
    const target = await getTarget(name);
    const [a, b, c] = [1, 1, 2].map((seed) => fuzz(target, { seed, runs: 130 }));
    expect(b).toEqual(a);
    expect(c.digest).not.toBe(a.digest);
  });

  test('an input restored goes on as if it had been run', async () => {
    const target = await getTarget(name);
    const prng = new Prng(5);
    for (let variant = 0; variant < Math.min(target.variants, 12); variant++) {
      const subject = target.open(variant);
      const run = (count: number) => {
        const steps = [];
        for (let i = 0; i < count; i++) {
          const step = subject.generate(prng);
          steps.push(step);
          expect(subject.run(step)).toBeUndefined();
        }
        return steps;
      };
      const first = run(60);
      const saved = subject.save();
      const second = run(60);
      expect(subject.finish()).toBeUndefined();
      const end = subject.abstractState();
      subject.restore(saved);
      for (const step of second) expect(subject.run(step)).toBeUndefined();
      expect(subject.finish()).toBeUndefined();
      expect(subject.abstractState()).toBe(end);
      subject.begin();
      for (const step of [...first, ...second]) expect(subject.run(step)).toBeUndefined();
      expect(subject.finish()).toBeUndefined();
      expect(subject.abstractState()).toBe(end);
    }
  });

  test('steps come back from their bytes', async () => {
    const target = await getTarget(name);
    const subject = target.open(0);
    const prng = new Prng(9);
    const steps = Array.from({ length: 50 }, () => subject.generate(prng));
    const bytes = target.encode(steps);
    expect(target.encode(target.decode(bytes))).toEqual(bytes);
    expect(encodeInput(target, subject, 0, steps).length).toBeGreaterThan(bytes.length);
    expect(subject.tell(steps[0])).not.toBe('');
  });
});
