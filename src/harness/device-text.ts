import { UsageError } from '../core/index.ts';
import { type ParsedFunction, parseDump } from '../pci/dump/index.ts';
import type { FunctionRecipe } from './hosted-function.ts';

/** What `nvme:` takes after the colon. */
const OPTIONS = 'size=<bytes, K, M, G, T>, queues=<1-2048>, msix=<1-2048>, bdf=<00:04.0>, serial=<text>, file=<path>';
const UNITS: Record<string, number> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const NVME_CLASS = 0x010802;
/** Size of the namespace if nothing is said. */
export const DEFAULT_NAMESPACE_BYTES = 2 ** 30;
const FIRST_BDF = 0x20;

/**
 * A device as the command line names it: `nvme`, `nvme:size=1G,queues=64,msix=65`.
 * @throws UsageError naming what is wrong and what is taken
 */
export function parseDevice(text: string): FunctionRecipe {
  const colon = text.indexOf(':');
  const kind = colon < 0 ? text : text.slice(0, colon);
  if (kind !== 'nvme') throw new UsageError(`unknown device "${kind}"; known: nvme[:option=value,…]`);
  const recipe: FunctionRecipe = { kind: 'nvme' };
  const options = colon < 0 || colon === text.length - 1 ? [] : text.slice(colon + 1).split(',');
  for (const option of options) {
    const [name, ...rest] = option.split('=');
    const value = rest.join('=');
    if (value === '') throw new UsageError(`device option "${option}" has no value; nvme takes ${OPTIONS}`);
    if (name === 'size') recipe.sizeBytes = parseSize(value);
    else if (name === 'queues') recipe.queuePairs = parseCount(name, value);
    else if (name === 'msix') recipe.vectors = parseCount(name, value);
    else if (name === 'bdf') recipe.bdf = parseSlot(value);
    else if (name === 'serial') recipe.serial = value;
    else if (name === 'file') recipe.file = value;
    else throw new UsageError(`unknown device option "${name}"; nvme takes ${OPTIONS}`);
  }
  if (recipe.file === undefined) recipe.sizeBytes ??= DEFAULT_NAMESPACE_BYTES;
  return recipe;
}

/** A recipe for each function of a dump: NVMe controllers by their class, others without logic behind their BARs. */
export function recipesOfDump(dump: string | Uint8Array, slot?: string): FunctionRecipe[] {
  return parseDump(dump, slot === undefined ? {} : { function: slot }).map(recipeOf);
}

function recipeOf({ spec }: ParsedFunction): FunctionRecipe {
  const { image } = spec;
  const classCode = (image[11] << 16) | (image[10] << 8) | image[9];
  if (classCode !== NVME_CLASS) return { kind: 'plain', spec };
  return { kind: 'nvme', spec, sizeBytes: DEFAULT_NAMESPACE_BYTES };
}

/**
 * Gives every recipe without an address the next free device of bus 0, from 00:04.0; with `rootOnly` also those that a
 * dump puts on another bus.
 */
export function placeRecipes(recipes: readonly FunctionRecipe[], rootOnly = false): FunctionRecipe[] {
  const isPlaced = ({ bdf, spec }: FunctionRecipe) =>
    bdf !== undefined || (spec !== undefined && (!rootOnly || (spec.bdf > 0 && spec.bdf <= 0xff)));
  const taken = new Set(recipes.filter(isPlaced).map((r) => r.bdf ?? r.spec?.bdf));
  let next = FIRST_BDF;
  return recipes.map((recipe) => {
    if (isPlaced(recipe)) return recipe;
    while (taken.has(next)) next += 8;
    if (next > 0xff) throw new UsageError('bus 0 has no room for so many devices; give them addresses');
    taken.add(next);
    return { ...recipe, bdf: next };
  });
}

function parseCount(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d{1,4}$/.test(text) || value < 1 || value > 2048)
    throw new UsageError(`device option ${name} takes a whole number from 1 to 2048, not "${text}"`);
  return value;
}

function parseSize(text: string): number {
  const parts = /^(\d{1,15})([KMGT]?)$/.exec(text);
  const bytes = parts ? Number(parts[1]) * UNITS[parts[2]] : 0;
  if (bytes < 512 || bytes % 512 !== 0 || bytes > 2 ** 52)
    throw new UsageError(`device option size takes a multiple of 512 bytes such as 4096, 64M or 1G, not "${text}"`);
  return bytes;
}

/** `[dddd:]bb:dd.f` as a function's address. */
export function parseSlot(text: string): number {
  const parts = /^(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/i.exec(text);
  if (!parts) throw new UsageError(`"${text}" is no slot; write it as lspci does: 01:00.0 or 0000:01:00.0`);
  const [segment, bus, device, fn] = parts.slice(1).map((digits) => Number.parseInt(digits ?? '0', 16));
  return ((segment << 16) | (bus << 8) | (device << 3) | fn) >>> 0;
}
