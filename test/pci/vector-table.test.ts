import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena, UsageError } from '../../src/core/index.ts';
import { createFunction, type EmulatedFunction, guessBars, HELD, VectorTables } from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

const { image } = probes().find((p) => p.label.startsWith('nvme-q9.q35'))!;
const VECTORS = 9;
const CONTROL = 0x42;

const make = (bdf: number, vectorTables?: VectorTables) =>
  createFunction({ name: 'nvme', bdf, image, bars: guessBars(image) }, vectorTables ? { vectorTables } : {});

const steps = fc.array(
  fc.oneof(
    fc.record({ op: fc.constant('raise' as const), at: fc.nat(VECTORS), value: fc.constant(0) }),
    fc.record({ op: fc.constant('table' as const), at: fc.nat(4 * VECTORS - 1), value: fc.nat(0xffffffff) }),
    fc.record({ op: fc.constant('control' as const), at: fc.constant(0), value: fc.nat(0xffff) }),
    fc.record({ op: fc.constant('reset' as const), at: fc.constant(0), value: fc.constant(0) }),
  ),
  { maxLength: 60 },
);

function apply(f: EmulatedFunction, step: { op: string; at: number; value: number }): unknown {
  const { msix } = f;
  if (step.op === 'raise') f.raise(step.at);
  else if (step.op === 'table') f.writeBar(0, msix!.tableOffset + 4 * step.at, 4, step.value);
  else if (step.op === 'control') f.writeConfig(CONTROL, 2, step.value);
  else f.reset('flr');
  f.writeConfig(4, 2, 6);
  return f.effects.splice(0).map((e) => (e.kind === 'message' ? [e.vector, e.addressLo, e.addressHi, e.data] : e.kind));
}

const windows = ({ msix }: EmulatedFunction) => [[...msix!.table.words], [...msix!.table.pending]];

describe('tables back to back', () => {
  test('a device among others does what it does alone, and leaves the others as they are', () => {
    fc.assert(
      fc.property(steps, fc.nat(2), (sequence, place) => {
        const tables = new VectorTables(new Arena(), 3, 3 * VECTORS, 'all');
        const devices = [0, 1, 2].map((i) => make(0x20 + i, tables));
        const others = devices.filter((_, i) => i !== place).map((f) => [f, windows(f)] as const);
        const alone = make(0x20);
        for (const step of sequence) expect(apply(devices[place], step)).toEqual(apply(alone, step));
        expect(windows(devices[place])).toEqual(windows(alone));
        for (const [f, before] of others) expect(windows(f)).toEqual(before);
      }),
    );
  });

  test('refuse a device for which they have no room', () => {
    const tables = new VectorTables(new Arena(), 2, 100, 'all');
    tables.add(60);
    expect(() => tables.add(41)).toThrow(UsageError);
    expect(tables.base(tables.add(40))).toBe(60);
    expect(() => tables.add(0)).toThrow(UsageError);
  });

  test('take at most 21 bytes a vector', () => {
    for (const [devices, vectors] of [
      [1, 32],
      [64, 129],
      [1024, 129],
      [16, 2048],
    ]) {
      const arena = new Arena(1 << 23);
      new VectorTables(arena, devices, devices * vectors, 'all');
      expect(arena.usedBytes).toBeLessThanOrEqual(21 * devices * vectors + 32);
      expect(VectorTables.bytes(devices, devices * vectors)).toBeGreaterThanOrEqual(arena.usedBytes);
    }
  });
});

test('a stored route lasts until its entry is written or the table reset', () => {
  const tables = new VectorTables(new Arena(), 2, 8, 'all');
  tables.add(4);
  const device = tables.add(4);
  tables.setOpen(device, true);
  tables.write(device, 4 * 2 + 3, -1, 0);
  expect(tables.raise(device, 2)).toBe(6);
  expect(tables.raise(device, 1)).toBe(HELD);
  const routes = () => [0, 1, 2, 3, 4].map((vector) => tables.routeOf(device, vector));
  const setAll = () => [4, 5, 6, 7].forEach((number) => void tables.setRoute(number, 70 + number));
  setAll();
  expect(routes()).toEqual([0, 0, 76, 0, 0]); // the others are masked, and keep none
  for (const dword of [0, 1, 2, 3]) {
    tables.write(device, 4 * 2 + dword, 0xff, 0);
    expect(routes()).toEqual([0, 0, 0, 0, 0]);
    setAll();
  }
  tables.setOpen(device, false);
  expect(routes()).toEqual([0, 0, 0, 0, 0]);
  tables.setOpen(device, true);
  expect(routes()).toEqual([0, 0, 76, 0, 0]);
  tables.forgetRoute(6);
  expect(routes()).toEqual([0, 0, 0, 0, 0]);
  setAll();
  tables.reset(device);
  tables.write(device, 4 * 2 + 3, -1, 0);
  expect(routes()).toEqual([0, 0, 0, 0, 0]);
});
