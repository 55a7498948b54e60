import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { register } from '../../src/cli/fuzz.ts';
import { KIND, REGION } from '../../src/fuzz/access.ts';
import { RegisterTally } from '../../src/fuzz/coverage/registers.ts';
import type { Coverage } from '../../src/fuzz/coverage/report.ts';
import { getTarget } from '../../src/fuzz/targets/index.ts';
import { runCommand } from '../cli/run.ts';

const isBuilt = existsSync(fileURLToPath(new URL('../../dist/cli/main.js.map', import.meta.url)));

test('the tally counts accesses to each register, and bits seen both ways', async () => {
  const [spec] = (await getTarget('msix')).open(0).functions;
  const tally = new RegisterTally();
  const at = { region: REGION.config, width: 2, function: spec.bdf, offset: 4, data: undefined };
  const row = () => tally.rows().find(({ name }) => name === 'command');
  tally.add(spec, [{ ...at, kind: KIND.read, value: 0 }]);
  const before = row()!;
  expect(before).toMatchObject({ reads: 1, writes: 0, toggledBits: 0 });
  tally.add(spec, [{ ...at, kind: KIND.write, value: 0xffff }]);
  expect(row()).toMatchObject({ reads: 1, writes: 1, toggledBits: before.writableBits, neverToggled: [] });
});

test('branches are those of the sources, by line', async (ctx) => {
  if (!isBuilt) return ctx.skip('not built: npm run build');
  const folder = mkdtempSync(join(tmpdir(), 'pirqlab-coverage-test-'));
  const page = join(folder, 'c.html');
  const words = ['--target', 'msix', '--accesses', '20000', '--json', '--coverage'];
  const { coverage } = JSON.parse(await runCommand(register, 'fuzz', ...words, page)) as { coverage: Coverage };
  const html = readFileSync(page, 'utf8');
  rmSync(folder, { recursive: true });
  const file = (name: string) => coverage.files.find((f) => f.file === name)!;
  expect(file('src/pci/vector-table.ts').taken).toBeGreaterThan(10);
  expect(file('src/xen/pirq-space.ts').taken).toBe(0);
  expect(coverage.taken).toBe(coverage.files.reduce((sum, f) => sum + f.taken, 0));
  for (const { file: name, branches, taken, untaken } of coverage.files) {
    expect(taken + untaken.length).toBe(branches);
    const lines = readFileSync(fileURLToPath(new URL(`../../${name}`, import.meta.url)), 'utf8').split('\n');
    for (const { line, text } of untaken) expect(lines[line - 1].trim()).toBe(text);
  }
  expect(html).toMatch(/^<!doctype html>/);
  expect(html).not.toMatch(/https?:/);
  expect(coverage.registers.find(({ name }) => name === 'msix.ctrl')).toMatchObject({ neverToggled: [] });
});

test('a file of another kind is refused', async () => {
  const words = ['fuzz', '--target', 'msix', '--runs', '1', '--coverage', 'c.txt'] as const;
  await expect(runCommand(register, ...words)).rejects.toThrow(/\.json or \.html/);
});
