import { expect, test } from 'vitest';
import { compileLayout, guessBars } from '../../src/pci/index.ts';
import { compareInferred, type Miss, probes } from './inferred-masks.ts';

/** Registers whose inferred bits are wrong on some device, with the reason; whatever is not here fails the test. */
const KNOWN: { register: RegExp; device: RegExp; reason: string }[] = [
  {
    register: /^(command|ioBase|ioLimit)$/,
    device: /^cxl-rp\./,
    reason: 'the CXL root port has no I/O space; no bit of its image says so (0 is also a closed window)',
  },
  {
    register: /^pm\.pmcsr$/,
    device: /^e1000e/,
    reason: 'opens PME enable and data select though it reports neither PME nor data',
  },
];

const reasonOf = ({ register, label }: Miss) =>
  KNOWN.find((known) => known.register.test(register) && known.device.test(label))?.reason;

test('inferred masks agree with measured ones in at least 99 % of bits, both ways', () => {
  const { writable, readOnly, bars, misses } = compareInferred();
  const line = (name: string, { right, bits }: { right: number; bits: number }) =>
    `${name}: ${right} of ${bits} right (${((100 * right) / bits).toFixed(2)} %)`;
  const table = misses.map((m) => `${m.label} ${m.register}: 0x${m.mask.toString(16)} ${m.kind}: ${reasonOf(m)}`);
  console.info(
    [
      line('writable', writable),
      line('read-only', readOnly),
      line('BAR and ROM bytes, apart', bars),
      ...new Set(table),
    ].join('\n'),
  );
  expect(writable.right / writable.bits).toBeGreaterThanOrEqual(0.99);
  expect(readOnly.right / readOnly.bits).toBeGreaterThanOrEqual(0.99);
  expect(misses.filter((m) => reasonOf(m) === undefined)).toEqual([]);
});

test('bytes that no capability claims are writable memory from 0x40 up', () => {
  for (const { label, image, writable } of probes()) {
    const layout = compileLayout({ name: label, bdf: 0, image, bars: guessBars(image) }, 'qemu-7.2');
    const claimed = new Uint8Array(layout.configSize);
    for (const { at, sizeBytes } of layout.capabilities) claimed.fill(1, at, at + sizeBytes);
    const wrong: number[] = [];
    for (let at = 0x40; at < layout.configSize; at++)
      if (!claimed[at] && layout.writable[at] !== writable[at]) wrong.push(at);
    expect([label, wrong]).toEqual([label, []]);
  }
});
