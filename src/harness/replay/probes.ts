import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, UsageError } from '../../core/index.ts';
import { conventionalCapabilities, extendedCapabilities } from '../../pci/index.ts';
import type { ReplayOptions } from './result.ts';

type Probe = Record<string, unknown>;

/**
 * Looks up measured masks in a probe file, which then serves every recording, or in a folder of `<device>.<machine>.json`.
 * @throws UsageError if there is no such file or it is no probe
 */
export function probeLookup(path: string | undefined): ReplayOptions {
  if (path === undefined) return { probe: () => undefined };
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
  if (!isFolder) {
    const probe = readProbe(path);
    return { probe: () => probe };
  }
  const names = readdirSync(path)
    .filter((name) => name.endsWith('.json'))
    .sort();
  const read = new Map<string, Probe>();
  const load = (name: string): Probe => {
    let probe = read.get(name);
    if (!probe) read.set(name, (probe = readProbe(join(path, name))));
    return probe;
  };
  return {
    probe(device, machine, image) {
      const name = `${device}.${machine}.json`;
      if (names.includes(name)) return load(name);
      if (!image) return undefined;
      const similar = names.find((n) => n.endsWith(`.${machine}.json`) && sameRegisters(load(n), image));
      return similar === undefined ? undefined : load(similar);
    },
  };
}

function readProbe(file: string): Probe {
  try {
    const probe = JSON.parse(readFileSync(file, 'utf8'));
    if (Array.isArray(probe?.funcs) && probe.funcs.every((f: { rw?: unknown }) => typeof f.rw === 'string'))
      return probe;
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
  throw new UsageError(`${file}: not a probe: no "funcs" with "rw"`);
}

/** The same ids, class and header, and the same capabilities at the same places. */
function sameRegisters(probe: Probe, image: Uint8Array): boolean {
  const describe = (bytes: Uint8Array) =>
    JSON.stringify([
      [...bytes.subarray(0, 4), ...bytes.subarray(8, 15)],
      [...conventionalCapabilities(bytes), ...extendedCapabilities(bytes)].map((c) => [c.id, c.at]),
    ]);
  const functions = probe['funcs'] as { init: string }[];
  return functions.some((f) => describe(fromHex(f.init)) === describe(image));
}
