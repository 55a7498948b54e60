import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { register } from '../../src/cli/clone.ts';
import { toHex } from '../../src/core/index.ts';
import { builtinDump, parseDump } from '../../src/pci/dump/index.ts';
import { runCommand } from './run.ts';

const folder = mkdtempSync(join(tmpdir(), 'pirqlab-clone-'));
afterAll(() => rmSync(folder, { recursive: true }));
const dumpPath = (name: string) => fileURLToPath(new URL(`../dumps/${name}.txt`, import.meta.url));
const clone = (...args: string[]) => runCommand(register, 'clone', ...args);
function file(name: string, content: string | Uint8Array): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

test('prints header, BARs with their marks, capabilities, geometry and findings', async () => {
  expect((await clone(dumpPath('8086-0953'))).split('\n')).toEqual([
    '0000:01:00.0 8086:0953 class 0x010802 rev 0x01  Non-Volatile memory controller: Intel Corporation PCIe Data Center SSD (rev 01)',
    '  header  endpoint, INTA, 272 bytes from lspci',
    '  BAR 0   mem64 at 0xbc000000, 16 KiB (inferred)',
    '  cap  0x40  Power Management',
    '  cap  0x50  MSI-X',
    '  cap  0x60  PCI Express',
    '  ecap 0x100  Advanced Error Reporting v1',
    '  MSI-X   32 vectors, table BAR 0 + 0x2000 (512 bytes), PBA BAR 0 + 0x3000 (8 bytes), disabled',
    '  note 0x100: the pointer leads to 0x150, beyond the 272 bytes of the dump [list-beyond; PCIe 5.0 §7.6.3]',
    '  note 0x100: Advanced Error Reporting takes 44 bytes, beyond the 272 that there are [capability-end; PCIe 5.0 §7.6.3]',
    '  note 0x110: the dump ends after 272 bytes, within configuration space [truncated; PCIe 5.0 §7.2]',
    '',
  ]);
});

test('--lspci prints a dump of the same bytes, for every form of input', async () => {
  const text = builtinDump('2646-5013');
  const [{ dumped }] = parseDump(text);
  for (const path of [file('text', text), file('packed', gzipSync(text)), file('config', dumped)]) {
    const [again] = parseDump(await clone(path, '--lspci'));
    expect(toHex(again.dumped)).toBe(toHex(dumped));
  }
});

test('--json tells the same in values', async () => {
  const { functions } = JSON.parse(await clone(dumpPath('15b7-7e9a'), '--json'));
  expect(functions).toHaveLength(1);
  expect(functions[0]).toMatchObject({
    slot: '0000:01:00.0',
    vendorId: 0x15b7,
    deviceId: 0x7e9a,
    classCode: 0x010802,
    bars: [{ bar: 0, kind: 'mem64', sizeBytes: 32768, inferred: true, address: '0xe1100000' }],
    msi: { offset: 0x50, offered: 32, granted: 1, maskable: true },
    msix: { vectors: 512, tableBar: 0, tableOffset: 0x2000, pbaOffset: 0x4000 },
    findings: [{ rule: 'truncated', severity: 'note' }],
  });
});

test('--resource and --function choose sizes and function', async () => {
  const resource = file('resource', '0x0000000084500000 0x000000008450ffff 0x0000000000140204\n');
  const two = file('two', `${builtinDump('2646-5013')}\n${builtinDump('144d-a826')}`);
  const text = await clone(two, '--function', '02:00.0', '--resource', resource);
  expect(text).toContain('  BAR 0   mem64 at 0x84500000, 64 KiB\n');
  expect(text).not.toContain('144d');
});

test('a sysfs folder tells slot and sizes by itself', async () => {
  const device = join(folder, '10000:e1:00.0');
  mkdirSync(device);
  writeFileSync(join(device, 'config'), parseDump(builtinDump('15b7-7e9a'))[0].dumped);
  writeFileSync(join(device, 'resource'), '0x00000000e1100000 0x00000000e1107fff 0x0000000000140204\n');
  const lines = (await clone(join(device, 'config'))).split('\n');
  expect(lines[0]).toMatch(/^10000:e1:00.0 15b7:7e9a/);
  expect(lines[2]).toBe('  BAR 0   mem64 at 0xe1100000, 32 KiB');
});

describe('mistakes are one line', () => {
  test.each<[string, () => string[], RegExp]>([
    ['no such file', () => [join(folder, 'absent')], /^cannot read .*absent: ENOENT$/],
    ['a directory', () => [folder], /is a directory; expected a dump file$/],
    ['two ways at once', () => [dumpPath('8086-0953'), '--lspci', '--json'], /^--lspci and --json exclude each other$/],
    ['broken gzip', () => [file('broken', new Uint8Array([0x1f, 0x8b, 8, 0, 1, 2, 3]))], /cannot be unpacked/],
    ['no dump', () => [file('other', 'hello')], /^no configuration space found/],
  ])('%s', async (_what, args, message) => {
    await expect(clone(...args())).rejects.toThrow(message);
  });
});
