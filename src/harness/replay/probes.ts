import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fromHex, toHex, UsageError } from '../../core/index.ts';
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
      let nearest: Probe | undefined;
      let least = Number.POSITIVE_INFINITY;
      for (const candidate of names) {
        if (!candidate.endsWith(`.${machine}.json`)) continue;
        const distance = imageDistance(load(candidate), image);
        if (distance < least) [nearest, least] = [load(candidate), distance];
      }
      return nearest;
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

/**
 * Bytes in which a probe's nearest function differs from an image; infinite unless both have the same ids, class and
 * header type and the same capabilities at the same places.
 */
function imageDistance(probe: Probe, image: Uint8Array): number {
  let least = Number.POSITIVE_INFINITY;
  for (const { init } of probe['funcs'] as { init: string }[]) {
    if (init.slice(0, 8) !== toHex(image.subarray(0, 4))) continue;
    const other = fromHex(init);
    if (registersOf(other) === registersOf(image)) least = Math.min(least, distance(other, image));
  }
  return least;
}

function distance(a: Uint8Array, b: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) count++;
  return count;
}

function registersOf(image: Uint8Array): string {
  const capabilities = [...conventionalCapabilities(image), ...extendedCapabilities(image)];
  const kind = [...image.subarray(9, 12), image[0x0e] & 0x7f];
  return JSON.stringify([kind, capabilities.map((c) => [c.id, c.at])]);
}
