import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { register } from '../../src/cli/lspci.ts';
import { toHex } from '../../src/core/index.ts';
import { builtinDump, listBuiltinDumps, parseDump } from '../../src/pci/dump/index.ts';
import { decodeDump, recordedDumps } from '../pci/decode/recorded.ts';
import { runCommand } from './run.ts';

const lspci = (...args: string[]) => runCommand(register, 'lspci', ...args);
const dumpPath = (name: string) => fileURLToPath(new URL(`../dumps/${name}.txt`, import.meta.url));
const goldenPath = (name: string) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));

test('without options: every built-in device, in hex that reads back as that device', async () => {
  const functions = parseDump(await lspci());
  expect(functions.map((f) => f.spec.name.replace(':', '-')).sort()).toEqual(['1234-4e56', ...listBuiltinDumps()]);
  for (const fn of functions.filter((f) => f.spec.name !== '1234:4e56')) {
    const [{ spec }] = parseDump(builtinDump(fn.spec.name.replace(':', '-')));
    expect(toHex(fn.dumped)).toBe(toHex(spec.image));
  }
});

test('our own controller decodes with its MSI-X vectors', async () => {
  const text = await lspci('--builtin', 'nvme', '-v');
  expect(text).toMatch(/^00:04.0 0108: 1234:4e56 .*\[NVM Express\]\)\n/);
  expect(text).toMatch(/MSI-X: Enable- Count=\d+ Masked-/);
});

test('-v decodes a whole machine as lspci does', async () => {
  const machine = recordedDumps('machines').find((d) => d.name === 'machines/q35-desktop')!;
  expect(await lspci(goldenPath('machines/q35-desktop.dump.gz'), '-vvv')).toBe(machine.lspci);
});

test('-x, -xxx and -xxxx show 64, 256 and all bytes; -v goes with them', async () => {
  const lengths = [];
  for (const x of ['-x', '-xx', '-xxx', '-xxxx'])
    lengths.push(parseDump(await lspci(dumpPath('144d-a826'), x))[0].dumped.length);
  expect(lengths).toEqual([64, 64, 256, 4096]);
  const both = await lspci(dumpPath('144d-a826'), '-v', '-x');
  expect(both.startsWith(decodeDump(builtinDump('144d-a826')).trimEnd())).toBe(true);
  expect(both).toContain('\n30: ');
});

test('several dumps and built-in devices are one bus, by slot', async () => {
  const text = await lspci(dumpPath('8086-3a22'), '--builtin', '2646-5013', '--builtin', '8086-0953');
  expect(text.split('\n').filter((line) => /^\S+ \S{4}: /.test(line))).toEqual([
    '00:1f.2 0106: 8086:3a22',
    '01:00.0 0108: 8086:0953 (rev 01)',
    '02:00.0 0108: 2646:5013 (rev 01)',
  ]);
});

test('mistakes are one line', async () => {
  await expect(lspci('--builtin', 'e1000')).rejects.toThrow(/^no built-in device "e1000"; there are nvme, 144d-a826, /);
  await expect(lspci('-xxxxx')).rejects.toThrow(/^lspci knows -x, -xxx and -xxxx/);
});
