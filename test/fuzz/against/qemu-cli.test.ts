import { afterEach, expect, test } from 'vitest';
import { register } from '../../../src/cli/fuzz.ts';
import { parseStep } from '../../../src/fuzz/against/qtest-notation.ts';
import { imageSpec } from '../../../src/fuzz/images.ts';
import { compileLayout } from '../../../src/pci/index.ts';
import { runCommand } from '../../cli/run.ts';

afterEach(() => {
  process.exitCode = 0;
});

const run = (...args: string[]) => runCommand(register, 'fuzz', ...args);

test.each([
  [['--against', 'qtest:/nonexistent/socket'], /needs --bdf/],
  [['--against', 'qtest:/nonexistent/socket', '--bdf', '4'], /--bdf takes bus:device.function/],
  [['--against', 'qtest:/nonexistent/socket', '--bdf', '0:4.0'], /cannot connect to .*ENOENT/],
  [['--against', 'qemu:edu', '--target', 'bridge'], /take --target config, msi, msix, not "bridge"/],
  [['--against', 'qemu:edu', '--shard', '0/2'], /goes without/],
  [['--against', 'nobody:edu', '--target', 'config'], /--against takes/],
])('%j is refused', async (args, message) => {
  await expect(run(...args)).rejects.toThrow(message);
});

test('a step of a register that the function does not have is refused', () => {
  const spec = imageSpec({ name: 'a', msi: 0x0080 });
  const space = { bdf: 0x20, layout: compileLayout(spec, 'spec'), msix: undefined };
  expect(parseStep('w8 msi.ctrl+1 0x4', space)).toMatchObject({ region: 7, offset: 0x53, width: 1, value: 4 });
  expect(() => parseStep('w8 msix.ctrl 0x1', space)).toThrow(/has no msix.ctrl/);
  expect(() => parseStep('w9 msi.ctrl 0x1', space)).toThrow(/no step/);
});
