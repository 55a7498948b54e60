import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  msiGeometry,
  msixGeometry,
  parseDump,
  walkCapabilities,
  walkExtendedCapabilities,
} from '../../../src/pci/dump/index.ts';
import { decodeDump, differingLines, recordedDumps } from './recorded.ts';

describe('decoded text is what lspci 3.9.0 -vvv -n printed, line by line', () => {
  for (const folder of ['dumps', 'states', 'machines'] as const)
    test(`golden/${folder}`, () => {
      const dumps = recordedDumps(folder);
      expect(dumps.length).toBeGreaterThan(2);
      let lines = 0;
      for (const { name, text, lspci } of dumps) {
        expect(lspci, name).toBeDefined();
        expect(differingLines(decodeDump(text), lspci!), name).toEqual([]);
        lines += lspci!.split('\n').length;
      }
      expect(lines).toBeGreaterThan(1000);
    });
});

/** What lspci 3.9.0 read from the dumps of real hardware. */
interface IndexedDump {
  file: string;
  hexLines: number;
  caps: { offset: number; ext: boolean; name: string }[];
  msi?: { offset: number; enabled: boolean; count: number; capable: number; maskable: boolean; is64: boolean };
  msix?: {
    offset: number;
    enabled: boolean;
    vectors: number;
    functionMask: boolean;
    tableBar: number;
    tableOffset: number;
    pbaBar: number;
    pbaOffset: number;
  };
}

const folder = new URL('../../dumps/', import.meta.url);
const index = JSON.parse(readFileSync(new URL('index.json', folder), 'utf8')) as { dumps: IndexedDump[] };

test.each(index.dumps)('$file: capabilities, MSI and MSI-X as lspci reads them', (expected) => {
  const [fn] = parseDump(readFileSync(new URL(expected.file, folder)));
  const image = fn.dumped;
  expect(image.length).toBe(expected.hexLines * 16);
  const caps = [...walkCapabilities(image).capabilities, ...walkExtendedCapabilities(image).capabilities];
  expect(caps.map((c) => [c.offset, c.extended])).toEqual(expected.caps.map((c) => [c.offset, c.ext]));

  const msi = msiGeometry(image);
  expect(msi === undefined).toBe(expected.msi === undefined);
  if (msi) {
    const { granted, offered, ...rest } = msi;
    expect({ ...rest, count: granted, capable: offered }).toEqual(expected.msi);
  }
  const msix = msixGeometry(image);
  expect(msix === undefined).toBe(expected.msix === undefined);
  if (msix) {
    const { tableBytes, pbaBytes, ...rest } = msix;
    expect(rest).toEqual(expected.msix);
    expect([tableBytes, pbaBytes]).toEqual([msix.vectors * 16, Math.ceil(msix.vectors / 64) * 8]);
  }
});
