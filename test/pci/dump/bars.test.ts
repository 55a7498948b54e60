import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { writeLe } from '../../../src/core/index.ts';
import { describeBars, parseDump } from '../../../src/pci/dump/index.ts';

const read = (name: string) => readFileSync(new URL(`../../dumps/${name}`, import.meta.url), 'utf8');

/** An endpoint's image with these BAR registers. */
function endpoint(...registers: number[]): Uint8Array {
  const image = new Uint8Array(256);
  for (const [bar, value] of registers.entries()) writeLe(image, 0x10 + 4 * bar, 4, value);
  return image;
}

test('sizes come from the decoded text, ROM and I/O ports too', () => {
  const [fn] = parseDump(read('8086-10c9.txt'));
  expect(fn.spec.bars).toEqual([
    { bar: 0, kind: 'mem32', sizeBytes: 128 << 10 },
    { bar: 1, kind: 'mem32', sizeBytes: 4 << 20 },
    { bar: 2, kind: 'io', sizeBytes: 32 },
    { bar: 3, kind: 'mem32', sizeBytes: 16 << 10 },
    { bar: 6, kind: 'rom', sizeBytes: 4 << 20 },
  ]);
});

test('lspci -v does not number its regions; the address tells which is which', () => {
  const [numbered] = parseDump(read('8086-10c9.txt'));
  const [unnumbered] = parseDump(read('8086-10c9.txt').replace(/Region \d: /g, ''));
  expect(unnumbered.spec.bars).toEqual(numbered.spec.bars);
});

describe('a sysfs resource file', () => {
  const resource = [
    '0x0000000084500000 0x0000000084503fff 0x0000000000140204',
    ...new Array(5).fill('0x0000000000000000 0x0000000000000000 0x0000000000000000'),
    '0x0000000084510000 0x000000008451ffff 0x0000000000046200',
  ].join('\n');

  test('wins over the text', () => {
    const [fn] = parseDump(read('144d-a826.txt'), { resource });
    expect(fn.spec.bars).toEqual([
      { bar: 0, kind: 'mem64', sizeBytes: 0x4000 },
      { bar: 6, kind: 'rom', sizeBytes: 0x10000 },
    ]);
  });

  test.each([
    ['hello', /^line 1 of the resource file is not "0xSTART 0xEND 0xFLAGS"/],
    ['0x1000 0x3fff 0x200', /^line 1 of the resource file gives BAR 0 12288 bytes; sizes are powers of two$/],
    ['0x1000 0x1fff 0x1', /^line 1 of the resource file has flags of neither memory nor I\/O$/],
    [resource.replaceAll('\n', `\n\n`).repeat(9), /^resource file of \d+ lines/],
  ])('refuses %j in one line', (text, message) => {
    expect(() => parseDump(read('144d-a826.txt'), { resource: text })).toThrow(message);
  });

  test('is for one function only', () => {
    const two = `${read('144d-a826.txt')}\n${read('2646-5013.txt')}`;
    expect(() => parseDump(two, { resource })).toThrow(/^a resource file belongs to one function, the dump has 2/);
    expect(parseDump(two, { resource, function: '02:00.0' })[0].spec.bars[0].sizeBytes).toBe(0x4000);
  });
});

describe('inferred sizes', () => {
  test('hold the vector table, the PBA and the doorbells', () => {
    for (const [name, atLeast] of [
      ['15b7-7e9a', 0x4040],
      ['1b36-0010', 0x3008],
      ['8086-0953', 0x3008],
    ] as const) {
      const [{ spec }] = parseDump(read(`${name}.txt`));
      expect(spec.bars[0], name).toMatchObject({ bar: 0, kind: 'mem64', inferred: true });
      expect(spec.bars[0].sizeBytes, name).toBeGreaterThanOrEqual(atLeast);
      expect(Math.log2(spec.bars[0].sizeBytes) % 1, name).toBe(0);
    }
  });

  test('are no larger than the address is aligned to', () => {
    const bars = describeBars(endpoint(0xfebff100, 0xe011, 0xfebf0008, 0xe004, 0x1, 0), []);
    expect(bars).toEqual([
      { bar: 0, kind: 'mem32', sizeBytes: 256, inferred: true },
      { bar: 1, kind: 'io', sizeBytes: 16, inferred: true },
      { bar: 2, kind: 'mem32', prefetchable: true, sizeBytes: 4096, inferred: true },
      { bar: 3, kind: 'mem64', sizeBytes: 4096, inferred: true },
    ]);
  });

  test('a register of zeros is no BAR, one of ones was being sized', () => {
    expect(describeBars(endpoint(0, 0xffffffff), [])).toEqual([]);
  });
});
