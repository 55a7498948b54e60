import { readFileSync } from 'node:fs';
import { UsageError } from '../core/index.ts';
import { builtinDrive } from '../lab/case.ts';
import { listBuiltinDumps, parseDump } from '../pci/dump/index.ts';
import type { FunctionSpec } from '../pci/index.ts';

const NVME_CLASS = 0x010802;

/** A drive by the name of a built-in dump, or the first NVMe function of a dump in a file. */
export function readDrive(nameOrFile: string): FunctionSpec {
  if (listBuiltinDumps().includes(nameOrFile)) return builtinDrive(nameOrFile);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(nameOrFile);
  } catch {
    throw new UsageError(
      `no drive "${nameOrFile}": neither a file that can be read nor one of ${listBuiltinDumps().join(', ')}`,
    );
  }
  const found = parseDump(bytes).find(({ spec }) => classOf(spec) === NVME_CLASS);
  if (!found) throw new UsageError(`${nameOrFile} holds no NVMe controller (class 010802)`);
  return found.spec;
}

function classOf({ image }: FunctionSpec): number {
  return image[9] | (image[10] << 8) | (image[11] << 16);
}
