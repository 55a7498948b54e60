import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

const SOURCE = new URL('../../src/pci/', import.meta.url);
const PAGE = readFileSync(new URL('../../docs/qemu-deviations.md', import.meta.url), 'utf8');

test('every Deviation: in the code has a row on the page, and every row one in the code', () => {
  const marked: Record<string, number> = {};
  for (const name of readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts') || /^(dump|decode|devices)\//.test(name)) continue;
    const count = readFileSync(new URL(name, SOURCE), 'utf8').split('Deviation:').length - 1;
    if (count > 0) marked[name] = count;
  }
  const listed: Record<string, number> = {};
  for (const [, file] of PAGE.matchAll(/^\| \d+ \|.*\| `([\w/-]+\.ts)` \|[^|]*\|$/gm))
    listed[file] = (listed[file] ?? 0) + 1;
  expect(listed).toEqual(marked);
});

test('rows are numbered without gaps', () => {
  const numbers = [...PAGE.matchAll(/^\| (\d+) \|/gm)].map(([, n]) => Number(n));
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
});
