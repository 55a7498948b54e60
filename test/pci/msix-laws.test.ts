import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFunction, type EmulatedFunction, type Flavour, guessBars } from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

const NVME = probes().find((p) => p.label.startsWith('nvme-q9.q35'))!;
const VECTORS = 9;
const CONTROL = 0x42;

function make(flavour: Flavour): EmulatedFunction {
  const { image } = NVME;
  const f = createFunction({ name: 'nvme', bdf: 0x20, image, bars: guessBars(image), flavour });
  f.writeConfig(4, 2, 6);
  for (let v = 0; v < VECTORS; v++) f.writeBar(0, f.msix!.tableOffset + 16 * v, 4, 0xfee00000 + 16 * v);
  return f;
}

type Step =
  | { op: 'raise'; vector: number }
  | { op: 'mask'; vector: number; on: boolean }
  | { op: 'control'; enable: boolean; functionMask: boolean };

const vector = fc.nat(VECTORS - 1);
const steps = fc.array(
  fc.oneof<fc.Arbitrary<Step>[]>(
    fc.record({ op: fc.constant('raise'), vector }),
    fc.record({ op: fc.constant('mask'), vector, on: fc.boolean() }),
    fc.record({ op: fc.constant('control'), enable: fc.boolean(), functionMask: fc.boolean() }),
  ),
  { maxLength: 60 },
);

function apply(f: EmulatedFunction, step: Step): number[] {
  const { msix } = f;
  if (step.op === 'raise') f.raise(step.vector);
  else if (step.op === 'mask') f.writeBar(0, msix!.tableOffset + 16 * step.vector + 12, 4, step.on ? 1 : 0);
  else f.writeConfig(CONTROL, 2, (step.enable ? 0x8000 : 0) | (step.functionMask ? 0x4000 : 0));
  return f.effects.splice(0).flatMap((e) => (e.kind === 'message' ? [e.vector] : []));
}

/** Ten lines of what PCIe 5.0 §6.1.4.5 says. */
class Model {
  readonly masked = new Set(Array.from({ length: VECTORS }, (_, v) => v));
  readonly pending = new Set<number>();
  enable = false;
  functionMask = false;

  step(step: Step): number[] {
    if (step.op === 'control') ({ enable: this.enable, functionMask: this.functionMask } = step);
    if (step.op === 'mask') step.on ? this.masked.add(step.vector) : this.masked.delete(step.vector);
    if (step.op === 'raise' && this.enable) this.pending.add(step.vector);
    const open = (v: number) => this.enable && !this.functionMask && !this.masked.has(v);
    const sent = [...this.pending].filter(open).sort((a, b) => a - b);
    for (const v of sent) this.pending.delete(v);
    return sent;
  }
}

describe.each(['spec', 'qemu-7.2'] as const)('MSI-X, %s', (flavour) => {
  test('messages and pending bits are the model’s', () =>
    fc.assert(
      fc.property(steps, (script) => {
        const [f, model] = [make(flavour), new Model()];
        for (const step of script) {
          expect(apply(f, step)).toEqual(model.step(step));
          let pending = 0;
          for (const v of model.pending) pending |= 1 << v;
          expect(f.readBar(f.msix!.pbaBar, f.msix!.pbaOffset, 4)).toBe(pending);
        }
      }),
    ));

  test('the pending bits cannot be written', () =>
    fc.assert(
      fc.property(steps, fc.nat(0xffffffff), (script, value) => {
        const f = make(flavour);
        for (const step of script) apply(f, step);
        const before = f.readBar(f.msix!.pbaBar, f.msix!.pbaOffset, 4);
        f.writeBar(f.msix!.pbaBar, f.msix!.pbaOffset, 4, value);
        expect(f.readBar(f.msix!.pbaBar, f.msix!.pbaOffset, 4)).toBe(before);
        expect(f.effects).toEqual([]);
      }),
    ));

  test('no message leaves a masked vector or a function without bus mastering', () =>
    fc.assert(
      fc.property(steps, (script) => {
        const f = make(flavour);
        f.writeConfig(4, 2, 2);
        for (const step of script) expect(apply(f, step)).toEqual([]);
      }),
    ));
});

test('spec: a table word takes byte writes and keeps reserved bits 0', () =>
  fc.assert(
    fc.property(
      fc.nat(VECTORS - 1),
      fc.nat(15),
      fc.constantFrom(1, 2, 4),
      fc.nat(0xffffffff),
      (v, at, width, value) => {
        const f = make('spec');
        const offset = f.msix!.tableOffset + 16 * v + at;
        f.writeBar(0, offset, width as 1, value);
        const { addressLo, vectorControl } = f.msix!.entry(v);
        expect(addressLo & 3).toBe(0);
        expect(vectorControl & ~1).toBe(0);
      },
    ),
  ));

test('qemu-7.2: only whole dwords get through, reserved bits included', () => {
  const f = make('qemu-7.2');
  const at = f.msix!.tableOffset;
  f.writeBar(0, at, 1, 0x55);
  f.writeBar(0, at + 2, 2, 0x5555);
  expect(f.msix!.entry(0).addressLo).toBe(0xfee00000);
  f.writeBar(0, at, 4, 0xfee0_0003);
  f.writeBar(0, at + 12, 4, 0xffff_fffe);
  expect(f.msix!.entry(0)).toMatchObject({ addressLo: 0xfee0_0003, vectorControl: 0xffff_fffe });
  expect(f.readBar(0, at, 2)).toBe(0);
});
