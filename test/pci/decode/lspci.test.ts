import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { formatLspciDump, parseDump, readConfigImage } from '../../../src/pci/dump/index.ts';
import { createFunction } from '../../../src/pci/index.ts';
import { randomDump } from './random-functions.ts';
import { decodeAll, decodeDump, differingLines, lspciVersion, recordedDumps } from './recorded.ts';

const version = lspciVersion();
const folder = mkdtempSync(join(tmpdir(), 'pirqlab-lspci-'));
afterAll(() => rmSync(folder, { recursive: true }));

function lspci(dump: string): string {
  const path = join(folder, 'dump');
  writeFileSync(path, dump.endsWith('\n') ? dump : `${dump}\n`);
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore'];
  return execFileSync('lspci', ['-F', path, '-vvv', '-n'], { encoding: 'utf8', stdio, maxBuffer: 1 << 28 });
}

function printed(text: string): string {
  return formatLspciDump(parseDump(text).map((f) => ({ slot: f.slot, title: f.title, bytes: f.dumped })));
}

describe.skipIf(version === undefined)('real lspci (skipped where pciutils is not installed)', () => {
  for (const kind of ['dumps', 'states', 'machines', 'real'] as const)
    test(`decodes what we print of ${kind} to the text it gives for the original`, () => {
      for (const { name, text } of recordedDumps(kind)) expect(lspci(printed(text)), name).toBe(lspci(text));
    });

  test('decodes a device made from each dump of real hardware as it does the dump', () => {
    for (const { name, text } of recordedDumps('real')) {
      const [fn] = parseDump(text);
      const bytes = readConfigImage(createFunction(fn.spec)).subarray(0, fn.dumped.length);
      expect(lspci(formatLspciDump([{ slot: fn.slot, title: fn.title, bytes }])), name).toBe(lspci(text));
    }
  });
});

describe.skipIf(version !== '3.9.0')(
  `lspci 3.9.0 (here: ${version ?? 'none'}; other versions word things differently)`,
  () => {
    test('real hardware decodes to the same text, line by line', () => {
      for (const { name, text } of recordedDumps('real'))
        expect(differingLines(decodeDump(text), lspci(text)), name).toEqual([]);
    });

    test.each([1, 2, 3, 4, 5, 6, 7, 8])(
      'random functions with every capability decode to the same text, seed %i',
      (seed) => {
        const dump = randomDump(seed, 100);
        expect(differingLines(decodeAll(parseDump(dump)), lspci(dump))).toEqual([]);
      },
    );
  },
);
