import { describe, expect, test } from 'vitest';
import { createFunction, type EmulatedFunction, type Flavour, guessBars } from '../../src/pci/index.ts';
import { probes } from './inferred-masks.ts';

/** QEMU's root port: PCI Express capability at 0x54, MSI-X at 0x48, AER at 0x100. */
const PORT = probes().find((p) => p.label.startsWith('pcie-root-port.q35'))!;
const CONTROL = 0x54 + 0x18;
const STATUS = 0x54 + 0x1a;

function make(flavour: Flavour): EmulatedFunction {
  const { image } = PORT;
  const f = createFunction({ name: 'port', bdf: 0x20, image, bars: guessBars(image), flavour });
  f.writeConfig(4, 2, 6);
  f.writeBar(0, 0, 4, 0xfee00000);
  f.writeBar(0, 12, 4, 0);
  f.writeConfig(0x4a, 2, 0x8000);
  return f;
}

const messages = (f: EmulatedFunction) => f.effects.splice(0).filter((e) => e.kind === 'message').length;

describe.each(['spec', 'qemu-7.2'] as const)('slot, %s', (flavour) => {
  test('a command completes, and interrupts once if enabled', () => {
    const f = make(flavour);
    f.writeConfig(CONTROL, 2, 0x7f0);
    expect(f.readConfig(STATUS, 2) & 0x10).toBe(0x10);
    expect(messages(f)).toBe(1);
    f.writeConfig(CONTROL, 2, 0x7f0);
    expect(messages(f)).toBe(0);
    f.writeConfig(STATUS, 2, 0x10);
    expect(f.readConfig(STATUS, 2) & 0x10).toBe(0);
  });

  test('the interlock toggles when written and reads 0', () => {
    const f = make(flavour);
    f.writeConfig(CONTROL, 2, 0xfc0);
    expect(f.readConfig(CONTROL, 2) & 0x800).toBe(0);
    expect(f.readConfig(STATUS, 2) & 0x80).toBe(0x80);
  });
});

test('the end of a slot event sends a message in QEMU 7.2 only', () => {
  const count = (flavour: Flavour) => {
    const f = make(flavour);
    f.writeConfig(CONTROL, 2, 0x7f0);
    messages(f);
    f.writeConfig(CONTROL, 2, 0x7d0);
    return messages(f);
  };
  expect([count('spec'), count('qemu-7.2')]).toEqual([0, 1]);
});

test('clearing an event that is not there clears nothing in QEMU 7.2', () => {
  const left = (flavour: Flavour) => {
    const f = make(flavour);
    f.writeConfig(CONTROL, 2, 0x7c0);
    f.writeConfig(STATUS, 2, 0x1f);
    return f.readConfig(STATUS, 2) & 0x1f;
  };
  expect([left('spec'), left('qemu-7.2')]).toEqual([0, 0x10]);
});

test('an error of the root port interrupts, once, if it gets through', () => {
  const f = make('spec');
  f.writeConfig(4, 2, 0x106);
  f.writeConfig(0x3e, 2, 2);
  f.writeConfig(0x12c, 4, 7);
  f.rootErrors!.uncorrectable(14);
  f.rootErrors!.uncorrectable(14);
  expect(messages(f)).toBe(1);
  expect(f.readConfig(0x104, 4)).toBe(1 << 14);
  expect(f.readConfig(0x130, 4)).toBe(0x2c);
  expect(f.readConfig(0x118, 1) & 31).toBe(14);
});

test.each([
  ['with a power controller', 0, 0x7c0],
  ['without', 2, 0x0c0],
])('after reset QEMU 7.2 shows power off only in an empty slot %s', (_, lacks, control) => {
  const image = PORT.image.slice();
  image[0x54 + 0x14] &= ~lacks;
  image[CONTROL + 1] = control >> 8;
  const f = createFunction({ name: 'port', bdf: 0x20, image, bars: guessBars(image), flavour: 'qemu-7.2' });
  f.writeConfig(CONTROL, 2, 0x0339);
  f.reset('conventional');
  expect(f.readConfig(CONTROL, 2)).toBe(control);
});
