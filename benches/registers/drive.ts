import { readFileSync } from 'node:fs';
import { parseDump } from '../../src/pci/dump/index.ts';
import { createFunction, type EmulatedFunction } from '../../src/pci/index.ts';
import { ROOT } from '../harness/c-baseline.ts';

export const BDF = 0x20;

/** An NVMe drive with MSI-X, from its dump, decoding and mastering. */
export function drive(): EmulatedFunction {
  const [{ spec }] = parseDump(readFileSync(`${ROOT}data/dumps/144d-a826.txt`, 'utf8'));
  const fn = createFunction({ ...spec, bdf: BDF });
  fn.writeConfig(4, 2, 6);
  return fn;
}
