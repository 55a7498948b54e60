import { describe, expect, test } from 'vitest';
import { writeLe } from '../../../src/core/index.ts';
import { builtinDump, type Finding, formatLspciDump, lintFunction, parseDump } from '../../../src/pci/dump/index.ts';
import { recordedDumps } from '../decode/recorded.ts';

/** A sane NVMe-like endpoint: PM at 40, MSI at 50, Express at 60, MSI-X at b0, AER at 100; then `change`d. */
function endpoint(change: (image: Uint8Array) => void, text = ''): Finding[] {
  const image = new Uint8Array(4096);
  const put = (at: number, width: 1 | 2 | 4, value: number) => writeLe(image, at, width, value);
  put(0x00, 4, 0x00101b36);
  put(0x06, 2, 0x0010);
  put(0x08, 4, 0x01080200);
  put(0x10, 4, 0xfe800004);
  put(0x34, 1, 0x40);
  put(0x3d, 1, 1);
  put(0x40, 4, 0x00035001);
  put(0x50, 4, 0x008a6005); // 64-bit, 32 messages
  put(0x60, 4, 0x0002b010);
  put(0x64, 4, 0x8002);
  put(0xb0, 4, 0x00400011); // 65 vectors
  put(0xb4, 4, 0x2000);
  put(0xb8, 4, 0x3000);
  put(0x100, 4, 0x00010001);
  change(image);
  const [fn] = parseDump(formatLspciDump([{ slot: '01:00.0', title: `x\n${text}`.trim(), bytes: image }]));
  return lintFunction(fn);
}

/** Several changes, one after the other. */
const all =
  (...changes: ((image: Uint8Array) => void)[]) =>
  (image: Uint8Array) => {
    for (const change of changes) change(image);
  };
const set = (at: number, width: 1 | 2 | 4, value: number) => (image: Uint8Array) => writeLe(image, at, width, value);
const SIZED = '\tRegion 0: Memory at fe800000 (64-bit, non-prefetchable) [size=16K]';

test('a sane device has no findings', () => {
  expect(endpoint(() => {}, SIZED)).toEqual([]);
});

describe('each oddity is found, named, and placed', () => {
  test.each<[string, string, number, (image: Uint8Array) => void]>([
    ['absent', 'error', 0, (image) => image.fill(0xff)],
    ['vendor', 'error', 0, set(0, 2, 0xffff)],
    ['header-type', 'error', 0x0e, set(0x0e, 1, 3)],
    ['class', 'warning', 0x0a, set(0x0a, 2, 0x0604)],
    ['class', 'warning', 0x0a, set(0x0e, 1, 1)],
    ['reserved', 'warning', 0x04, set(0x04, 2, 0x8000)],
    ['reserved', 'warning', 0x06, set(0x06, 2, 0x0014)],
    ['interrupt-pin', 'warning', 0x3d, set(0x3d, 1, 5)],
    ['capability-bit', 'note', 0x34, set(0x06, 2, 0)],
    ['capability-bit', 'warning', 0x34, set(0x34, 1, 0)],
    ['list-loop', 'error', 0xb1, set(0xb1, 1, 0x50)],
    ['list-below', 'error', 0xb1, set(0xb1, 1, 0x20)],
    ['list-ones', 'error', 0xb1, all(set(0xb1, 1, 0xe0), set(0xe0, 4, 0xffffffff))],
    ['list-unaligned', 'warning', 0x41, set(0x41, 1, 0x51)],
    ['unknown-id', 'note', 0x40, set(0x40, 1, 0x7f)],
    ['overlap', 'warning', 0x60, all(set(0x61, 1, 0x98), set(0x98, 4, 0x00400011))],
    ['capability-end', 'error', 0xf8, all(set(0x61, 1, 0xf8), set(0xf8, 4, 0x00400011))],
    ['duplicate', 'warning', 0xe0, all(set(0xb1, 1, 0xe0), set(0xe0, 4, 0x00030001))],
    ['bir', 'error', 0xb4, set(0xb4, 4, 0x2006)],
    ['bir', 'error', 0xb8, set(0xb8, 4, 0x3001)],
    ['pba-in-table', 'error', 0xb8, set(0xb8, 4, 0x2400)],
    ['beyond-bar', 'error', 0xb4, set(0xb4, 4, 0x3c00)],
    ['beyond-bar', 'error', 0xb8, set(0xb8, 4, 0x4000)],
    ['reserved', 'warning', 0xb2, set(0xb2, 2, 0x0840)],
    ['both-enabled', 'error', 0xb2, all(set(0x52, 1, 0x8b), set(0xb3, 1, 0x80))],
    ['mmc', 'warning', 0x52, set(0x52, 2, 0x008c)],
    ['mme', 'warning', 0x52, set(0x52, 2, 0x00a2)],
    ['version', 'warning', 0x42, set(0x42, 2, 7)],
    ['version', 'warning', 0x62, set(0x62, 2, 3)],
    ['port-type', 'error', 0x62, set(0x62, 2, 0x0042)],
    ['port-type', 'error', 0x62, set(0x62, 2, 0x0022)],
    ['payload', 'warning', 0x68, set(0x68, 2, 0x00a0)],
    ['list-loop', 'error', 0x100, set(0x100, 4, 0x10010001)],
    ['list-below', 'error', 0x100, set(0x100, 4, 0x04010001)],
    ['list-unaligned', 'warning', 0x102, set(0x100, 4, 0x14210001)],
    ['overlap', 'warning', 0x100, all(set(0x100, 4, 0x10810001), set(0x108, 4, 0x0001000e))],
    ['unknown-id', 'note', 0x100, set(0x100, 4, 0x00017777)],
    ['capability-end', 'error', 0xff0, all(set(0x100, 4, 0xff010001), set(0xff0, 4, 0x00010010))],
    ['reserved', 'warning', 0x14e, all(set(0x100, 4, 0x14810001), set(0x148, 4, 0x0001000e), set(0x14e, 2, 0x80))],
    ['bar-sizing', 'note', 0x10, set(0x10, 4, 0xffffffff)],
    ['bar-type', 'error', 0x24, set(0x24, 4, 0xfe000004)],
    ['bar-type', 'error', 0x18, set(0x18, 4, 0xfe000006)],
    ['bar-kind', 'warning', 0x10, set(0x10, 4, 0xfe800000)],
    ['bar-align', 'warning', 0x10, set(0x10, 4, 0xfe801004)],
    ['reserved', 'warning', 0x18, set(0x18, 4, 0xe003)],
  ])('%s (%s) at %i', (rule, severity, at, change) => {
    const findings = endpoint(change, SIZED);
    expect(findings.map((f) => [f.rule, f.severity, f.at])).toContainEqual([rule, severity, at]);
    for (const finding of findings) expect(finding.source).toMatch(/^(PCIe? |PCI-|Advanced )/);
  });

  test('what the dump leaves out is a note', () => {
    const [fn] = parseDump(builtinDump('2646-5013'));
    const rules = (bytes: number) =>
      lintFunction(parseDump(fn.dumped.slice(0, bytes))[0]).map((f) => [f.rule, f.severity]);
    expect(rules(4096)).toEqual([]);
    expect(rules(64)).toContainEqual(['truncated', 'note']);
    expect(rules(256)).toContainEqual(['truncated', 'note']);
    expect(rules(272)).toContainEqual(['truncated', 'note']);
    for (const bytes of [64, 100, 256, 272, 1000])
      for (const [, severity] of rules(bytes)) expect(severity).toBe('note');
  });
});

test('no real or emulated device of the collection has an error, and every function lints', () => {
  for (const kind of ['real', 'dumps', 'machines'] as const)
    for (const { name, text } of recordedDumps(kind))
      for (const fn of parseDump(text))
        expect(
          lintFunction(fn).filter((f) => f.severity === 'error'),
          `${name} ${fn.slot}`,
        ).toEqual([]);
});
