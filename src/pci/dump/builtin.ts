import { readdirSync, readFileSync } from 'node:fs';
import { UsageError } from '../../core/index.ts';

// src/pci/dump and dist/pci/dump lie equally deep below the package, so one path serves both.
const FOLDER = new URL('../../../data/dumps/', import.meta.url);

/** Names (`vendor-device` in hex) of the dumps of real NVMe controllers that come with the package, sorted. */
export function listBuiltinDumps(): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => file.slice(0, -'.txt'.length))
    .sort();
}

/**
 * The text of a dump that comes with the package, as `lspci -xxx` or `-xxxx` printed it.
 * @throws UsageError if there is none of that name
 */
export function builtinDump(id: string): string {
  const known = listBuiltinDumps();
  if (!known.includes(id)) throw new UsageError(`no built-in dump "${id}"; there are ${known.join(', ')}`);
  return readFileSync(new URL(`${id}.txt`, FOLDER), 'utf8');
}
