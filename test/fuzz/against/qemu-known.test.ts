import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { QEMU_7_2 } from '../../../src/fuzz/against/qemu-7.2.ts';
import { renderDeviations } from '../../../src/fuzz/against/qemu-table.ts';

const PAGE = 'docs/qemu-against-spec.md';

/** `PIRQLAB_UPDATE=1 npx vitest run test/fuzz/against/qemu-known` writes the page's table anew. */
test('the page has the data as a table', () => {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split('<!-- table -->');
  const wanted = `${before}<!-- table -->\n${renderDeviations()}\n<!-- end -->${rest.split('<!-- end -->')[1]}`;
  if (process.env['PIRQLAB_UPDATE'] === '1') writeFileSync(PAGE, wanted);
  else expect(page).toBe(wanted);
});

test('every deviation has a name of its own, a source and a consequence', () => {
  expect(new Set(QEMU_7_2.map((d) => d.id)).size).toBe(QEMU_7_2.length);
  for (const d of QEMU_7_2) {
    expect(d.source).toMatch(/^hw\/\S+\.c: \w+/);
    expect(d.specification).toMatch(/§\d/);
    expect(d.qemu.length * d.consequence.length * d.devices.length).toBeGreaterThan(0);
    expect(d.qemu + d.specification + d.consequence + d.later).not.toContain('|');
  }
});
