import { UsageError } from '../../core/index.ts';
import { formatSlot, type ParsedFunction, type Slot, toParsedFunction } from './function.ts';
import { parseConfigFile, parseResourceFile } from './sysfs.ts';
import { parseTextDump } from './text.ts';

const SLOT = /^(?:([0-9a-f]{4,6}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])$/i;

export interface ParseOptions {
  /** Text of a sysfs `resource` file; its sizes win over the dump's own. Only for a dump of one function. */
  resource?: string;
  /**
   * `[DDDD:]BB:DD.F`: take only this one. Where the dump does not say which function it is of (a sysfs `config` file,
   * hex lines without a heading), this says it; else that is 0000:00:00.0.
   */
  function?: string;
}

/**
 * Reads a dump of configuration space in whatever form it comes: text of `lspci -x…`, hex of a kernel log or of hexdump,
 * or the bytes of a sysfs `config` file.
 * @returns the functions in the order of the dump, at least one
 * @throws UsageError, one line: what is wrong, where, and what is accepted
 */
export function parseDump(dump: string | Uint8Array, options: ParseOptions = {}): ParsedFunction[] {
  const binary = typeof dump !== 'string' && isBinary(dump);
  if (!binary && dump.length === 0) throw new UsageError('the dump is empty');
  const raw = binary
    ? [parseConfigFile(dump)]
    : parseTextDump(typeof dump === 'string' ? dump : new TextDecoder().decode(dump));
  const resource = options.resource === undefined ? [] : parseResourceFile(options.resource);
  const slot = options.function === undefined ? undefined : parseSlot(options.function);
  const parsed = raw.map((r) => toParsedFunction(r.named ? r : { ...r, ...slot }, [...resource, ...r.sizes]));
  const wanted = slot ? select(parsed, slot) : parsed;
  if (resource.length > 0 && wanted.length > 1)
    throw new UsageError(`a resource file belongs to one function, the dump has ${wanted.length}: name one`);
  return wanted;
}

/** Text has no control characters but white space; the header of a device always has some. */
function isBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 4096).some((byte) => byte < 0x20 && byte !== 0x09 && byte !== 0x0a && byte !== 0x0d);
}

function parseSlot(text: string): Slot {
  const match = SLOT.exec(text);
  const [domain, bus, device, fn] = (match ?? []).slice(1).map((digits) => Number.parseInt(digits ?? '0', 16));
  if (!match || device > 31)
    throw new UsageError(`"${text}" is no slot; write it as lspci does: 01:00.0 or 0000:01:00.0`);
  return { domain, busDevFn: (bus << 8) | (device << 3) | fn };
}

function select(parsed: ParsedFunction[], slot: Slot): ParsedFunction[] {
  const found = parsed.filter((p) => p.domain === slot.domain && (p.spec.bdf & 0xffff) === slot.busDevFn);
  if (found.length > 0) return found;
  const slots = parsed.map((p) => p.slot);
  const list = slots.length > 8 ? `${slots.slice(0, 8).join(', ')} and ${slots.length - 8} more` : slots.join(', ');
  throw new UsageError(`no function ${formatSlot(slot)} in the dump; it has ${list}`);
}
