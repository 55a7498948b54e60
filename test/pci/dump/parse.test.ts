import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../../src/core/index.ts';
import { formatHexLines, formatLspciDump, parseDump } from '../../../src/pci/dump/index.ts';

const dumps = new URL('../../dumps/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, dumps), 'utf8');
const [nvme] = parseDump(read('15b7-7e9a.txt'));
const hex = formatHexLines(nvme.dumped);

/** The same bytes in every form in which people have them. */
const FORMS: Record<string, string | Uint8Array> = {
  'lspci -xxx': `01:00.0 Non-Volatile memory controller\n${hex}\n`,
  'with a domain': `0000:01:00.0 Non-Volatile memory controller\n${hex}\n`,
  'with Windows line ends': `01:00.0 x\n${hex}`.replaceAll('\n', '\r\n'),
  'lines in another order, one twice': `01:00.0 x\n${hex.split('\n').reverse().join('\n').trim()}\n${hex}`,
  'kernel log': kernelLog(`pci 0000:01:00.0: config space:\n${long(hex)}`),
  'kernel log of an older kernel': kernelLog(`pci 0000:01:00.0 config space:\n${hex.replace(/^/gm, '  ')}`),
  syslog:
    `Nov 22 18:00:00 host kernel: ${kernelLog('x')}`.replace(/x$/, '') +
    kernelLog(`pci 0000:01:00.0: config space:\n${long(hex)}`),
  'kernel log that goes on': kernelLog(
    `pci 0000:01:00.0: config space:\n${long(hex)}pci 0000:01:00.0: reg 0x10\n00000000: 01 02 03 04`,
  ),
  'kernel log with another message in between': kernelLog(
    `pci 0000:01:00.0: config space:\n${long(hex).replace('00000050', 'ACPI: something else\n00000050')}`,
  ),
  'hexdump -C': long(hex).replace(/^(\S+): (.*)$/gm, '$1  $2  |................|'),
  'bare hex lines': hex,
  'sysfs config': nvme.dumped,
};

/** With a time before each line, as dmesg prints it. */
function kernelLog(text: string): string {
  return text.replace(/^(?=.)/gm, '[    0.412345] ');
}

/** Offsets of eight digits, as print_hex_dump and hexdump print them. */
function long(lines: string): string {
  return lines.replace(/^/gm, '000000').replace(/^0+$/gm, '');
}

test.each(Object.entries(FORMS))('%s', (_form, dump) => {
  const [fn, ...rest] = parseDump(dump);
  expect(rest).toEqual([]);
  expect(toHex(fn.dumped)).toBe(toHex(nvme.dumped));
});

test('several functions with decoded text between slot and hex', () => {
  const both = `${read('2646-5013.txt')}\n${read('144d-a826.txt')}`;
  const functions = parseDump(both);
  expect(functions.map((f) => [f.slot, f.spec.name, f.dumped.length])).toEqual([
    ['0000:02:00.0', '2646:5013', 4096],
    ['0000:2e:00.0', '144d:a826', 4096],
  ]);
  expect(functions.map((f) => f.spec.bars)).toEqual([
    [{ bar: 0, kind: 'mem64', sizeBytes: 0x4000 }],
    [{ bar: 0, kind: 'mem64', sizeBytes: 0x8000 }],
  ]);
  expect(parseDump(both, { function: '2e:00.0' }).map((f) => f.spec.name)).toEqual(['144d:a826']);
});

test('a dump that does not name its function is named by the one wanted', () => {
  expect(parseDump(nvme.dumped).map((f) => f.slot)).toEqual(['0000:00:00.0']);
  for (const dump of [nvme.dumped, hex])
    expect(parseDump(dump, { function: '03:1f.7' }).map((f) => [f.slot, f.spec.bdf])).toEqual([
      ['0000:03:1f.7', 0x03ff],
    ]);
});

test('a dump that ends anywhere keeps its length; the image is padded', () => {
  const [fn] = parseDump(read('8086-0953.txt'));
  expect([fn.dumped.length, fn.spec.image.length]).toEqual([272, 4096]);
  const [header] = parseDump(`00:1f.2 x\n${formatHexLines(fn.dumped, 64)}`);
  expect([header.dumped.length, header.spec.image.length]).toEqual([64, 256]);
});

test('domains beyond 16 bits keep their slot', () => {
  const [fn] = parseDump(`10000:e1:00.0 x\n${hex}`);
  expect([fn.slot, fn.domain, fn.spec.bdf]).toEqual(['10000:e1:00.0', 0x10000, 0xe100]);
});

test.each(['2646-5013.txt', '8086-0953.txt', '15b7-7e9a.txt'])('%s prints to a dump of the same bytes', (name) => {
  const [fn] = parseDump(read(name));
  const [again] = parseDump(formatLspciDump([{ slot: fn.slot, title: fn.title, bytes: fn.dumped }]));
  expect(again.slot).toBe(fn.slot);
  expect(toHex(again.dumped)).toBe(toHex(fn.dumped));
});

describe('what is refused, and the line that says why', () => {
  const slot = '01:00.0 x\n';
  const lines = hex.trim().split('\n');
  const without = (index: number) => slot + lines.filter((_, i) => i !== index).join('\n');
  test.each<[string, string | Uint8Array, RegExp]>([
    ['nothing', '', /^the dump is empty$/],
    ['other text', 'hello\nworld\n', /^no configuration space found; accepted are the text of lspci/],
    [
      'a slot without hex',
      `${slot}\tControl: I/O-\n`,
      /^line 1: no hex lines follow "x"; make the dump with lspci -xxxx/,
    ],
    ['half a header', slot + lines.slice(0, 2).join('\n'), /^line 1: only 32 bytes; a configuration header has 64$/],
    ['a missing line', without(5), /^line 7: bytes 0x50 to 0x5f are missing before it$/],
    [
      'a missing line of a log',
      kernelLog(`pci 0000:01:00.0: config space:\n${without(5).slice(slot.length)}`),
      /^line 7: bytes 0x50/,
    ],
    ['a word that is no byte', slot + hex.replace('50: 05', '50: 0g'), /^line 7: "0g" is no byte; expected/],
    ['an offset beyond 4 KiB', `${slot}${hex}1000: 00`, /^line 18: offset 0x1000 lies beyond the 4096 bytes/],
    [
      'two values of a byte',
      `${slot}${hex}00: ff`,
      /^line 18: offset 0x0 was already given, with another value, on line 2$/,
    ],
    ['device 20h', `01:20.0 x\n${hex}`, /^line 1: no slot has device 20 and function 0/],
    ['a binary of 12 bytes', new Uint8Array(12), /^binary dump of 12 bytes; a sysfs config file has 64/],
    ['a line without end', `${slot}${'0'.repeat(5000)}`, /^line 2 has 5000 characters/],
    [
      'a size that cannot be',
      `${slot}\tRegion 0: Memory at 0 (32-bit, non-prefetchable) [size=3K]\n${hex}`,
      /^line 2: a BAR of 3K cannot be/,
    ],
  ])('%s', (_what, dump, message) => {
    expect(() => parseDump(dump)).toThrow(message);
  });

  test('a function that is not there, or no slot at all', () => {
    expect(() => parseDump(slot + hex, { function: '02:00.0' })).toThrow(
      /^no function 0000:02:00.0 in the dump; it has 0000:01:00.0$/,
    );
    expect(() => parseDump(slot + hex, { function: 'nvme' })).toThrow(/^"nvme" is no slot; write it as lspci does/);
  });
});
