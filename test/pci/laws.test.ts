import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Arena, type Width } from '../../src/core/index.ts';
import { createFunction, type EmulatedFunction, type Flavour, guessBars } from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

const IMAGES = probes();
const flavours = fc.constantFrom<Flavour>('spec', 'qemu-7.2');
const images = fc.constantFrom(...IMAGES);

const make = (image: Uint8Array, flavour: Flavour, arena?: Arena): EmulatedFunction =>
  createFunction({ name: 'f', bdf: 0x20, image, bars: guessBars(image), flavour }, arena ? { arena } : {});

interface Access {
  offset: number;
  width: Width;
  value: number;
}

const access = (size: number) =>
  fc.record<Access>({
    offset: fc.oneof(fc.nat(0xff), fc.nat(size - 1)),
    width: fc.constantFrom<Width>(1, 2, 4),
    value: fc.oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff)),
  });

/** Any function in any flavour, with writes of any width and alignment. */
const scripts = fc
  .tuple(images, flavours)
  .chain(([probe, flavour]) =>
    fc.tuple(fc.constant(probe), fc.constant(flavour), fc.array(access(probe.image.length), { maxLength: 30 })),
  );

describe('configuration space', () => {
  test('the value read does not depend on the width it is read with', () =>
    fc.assert(
      fc.property(scripts, ([{ image }, flavour, writes]) => {
        const f = make(image, flavour);
        for (const w of writes) f.writeConfig(w.offset, w.width, w.value);
        for (const { offset } of writes) {
          if (offset + 4 > f.configSize) continue;
          const dword = f.readConfig(offset, 4);
          const bytes = [0, 1, 2, 3].map((i) => f.readConfig(offset + i, 1));
          expect(bytes).toEqual([0, 8, 16, 24].map((shift) => (dword >>> shift) & 0xff));
          expect(f.readConfig(offset + 1, 2)).toBe((dword >>> 8) & 0xffff);
        }
      }),
    ));

  test('bits stored do not depend on the width of the write, where no register acts on it', () =>
    fc.assert(
      fc.property(scripts, ([{ image }, flavour, writes]) => {
        const [whole, bytewise] = [make(image, flavour), make(image, flavour)];
        for (const { offset, width, value } of writes) {
          if (offset + width > whole.configSize || whole.config.hooksOfWrite(offset, width) !== 0) continue;
          whole.writeConfig(offset, width, value);
          for (let i = 0; i < width; i++) bytewise.writeConfig(offset + i, 1, (value >>> (8 * i)) & 0xff);
        }
        expect(bytewise.config.bytes).toEqual(whole.config.bytes);
      }),
    ));

  test('read-only bits never change but where hardware keeps a state', () => {
    const hardware =
      /^(status|msi\.(ctrl|pending)|pcie\.(slotControl|slotStatus|linkStatus)|aer\.(rootStatus|control|headerLog\d))$/;
    fc.assert(
      fc.property(scripts, ([{ image }, flavour, writes]) => {
        const f = make(image, flavour);
        for (const w of writes) f.writeConfig(w.offset, w.width, w.value);
        const free = new Set<number>();
        for (const { at, register } of f.layout.registers)
          if (hardware.test(register.name)) for (let i = 0; i < register.width; i++) free.add(at + i);
        const { writable, w1c, resetMask } = f.layout;
        for (let at = 0; at < f.configSize; at++) {
          if (free.has(at)) continue;
          const fixed = ~(writable[at] | w1c[at] | resetMask[at]) & 0xff;
          expect([at, f.config.bytes[at] & fixed]).toEqual([at, f.layout.image[at] & fixed]);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('sizing a BAR shows a power of two', () =>
    fc.assert(
      fc.property(images, flavours, ({ image }, flavour) => {
        const f = make(image, flavour);
        for (const bar of f.layout.bars) {
          if (bar.bar === 6) continue;
          f.writeConfig(0x10 + 4 * bar.bar, 4, 0xffffffff);
          const value = f.readConfig(0x10 + 4 * bar.bar, 4);
          expect((~(value & (bar.kind === 'io' ? ~3 : ~15)) >>> 0) + 1).toBe(bar.sizeBytes);
        }
      }),
    ));
});

describe('reset', () => {
  test('after a conventional reset the spec flavour does not remember what was written', () =>
    fc.assert(
      fc.property(scripts, ([{ image }, , writes]) => {
        const [fresh, used] = [make(image, 'spec'), make(image, 'spec')];
        for (const w of writes) used.writeConfig(w.offset, w.width, w.value);
        fresh.reset('conventional');
        used.reset('conventional');
        expect(withoutInterlock(used)).toEqual(withoutInterlock(fresh));
        if (fresh.msix) expect(used.msix!.table.words).toEqual(fresh.msix.table.words);
      }),
    ));

  test('resetting twice is resetting once', () =>
    fc.assert(
      fc.property(scripts, fc.constantFrom('conventional', 'hot', 'flr'), ([{ image }, flavour, writes], kind) => {
        const f = make(image, flavour);
        for (const w of writes) f.writeConfig(w.offset, w.width, w.value);
        f.reset(kind as 'flr');
        const once = f.config.bytes.slice();
        f.reset(kind as 'flr');
        expect(f.config.bytes).toEqual(once);
      }),
    ));
});

/**
 * Configuration space but for Electromechanical Interlock Status, which tells where a mechanical part stands and so
 * outlives a reset. PCIe 5.0 §7.5.3.11
 */
function withoutInterlock(fn: EmulatedFunction): Uint8Array {
  const bytes = fn.config.bytes.slice();
  const express = fn.layout.capabilities.find((c) => !c.extended && c.id === 0x10);
  if (fn.slot && express) bytes[express.at + 0x1a] &= ~0x80;
  return bytes;
}

describe('arena', () => {
  test('restoring a snapshot brings back behaviour, not only bytes', () =>
    fc.assert(
      fc.property(scripts, ([{ image }, flavour, writes]) => {
        const arena = new Arena();
        const f = make(image, flavour, arena);
        const half = writes.length >> 1;
        const run = (list: Access[]) => {
          f.effects.length = 0;
          for (const [i, w] of list.entries()) {
            f.writeConfig(w.offset, w.width, w.value);
            if (i % 3 === 0) f.raise(i);
          }
          return { effects: structuredClone(f.effects), hash: arena.hash() };
        };
        run(writes.slice(0, half));
        const snapshot = arena.snapshot();
        const first = run(writes.slice(half));
        arena.restore(snapshot);
        expect(run(writes.slice(half))).toEqual(first);
      }),
    ));
});
