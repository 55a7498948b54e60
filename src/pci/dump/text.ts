import { UsageError } from '../../core/index.ts';
import type { DumpFormat, RawFunction } from './function.ts';
import { parseRegionLine } from './region-line.ts';

const MAX_TEXT_BYTES = 64 << 20;
const MAX_LINE_CHARS = 4096;
const MAX_FUNCTIONS = 65536;
const CONFIG_BYTES = 4096;

/** `[   1.234567] `, with what syslog or journald puts before it. */
const LOG_PREFIX = /^(?:<\d{1,3}>)?(?:[^[\]]{0,120} kernel: ?)?\[\s*\d{1,10}\.\d{1,9}\](?:\s?\[[^\]]{0,40}\])? ?/;
/** `01:00.0 Non-Volatile …`, with a domain of 4 to 6 digits before it or not. */
const DEVICE_LINE = /^(?:([0-9a-f]{4,6}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f])(?:\s+(.*))?$/i;
/** `pci 0000:01:00.0: config space:` of drivers/pci/probe.c and arch/x86/pci/early.c (`pci=earlydump`). */
const KERNEL_LINE = /^[\w-]{1,32} ([0-9a-f]{4,6}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f]):? config space:?\s*$/i;
/** `1f0: 00 11 …`; the offset has 2 digits in `lspci -xxx`, 3 in `-xxxx`, 8 in a kernel log and, bare, in hexdump -C. */
const HEX_LINE = /^\s{0,8}([0-9a-f]{2,8})(?::(?:\s+|$)|\s\s(?=[0-9a-f]{2}\s))(.*)$/i;

/** Two hex digits, in either case, to what they say. */
const BYTES = new Map<string, number>();
for (const high of '0123456789abcdefABCDEF')
  for (const low of '0123456789abcdefABCDEF') BYTES.set(high + low, Number.parseInt(high + low, 16));

/** The function being read: its bytes may come in any order, but all up to the last must come. */
interface Open {
  raw: Omit<RawFunction, 'bytes'>;
  bytes: Uint8Array;
  /** Line that gave each byte, 0 if none did yet. */
  givenBy: Uint32Array;
  end: number;
}

/**
 * Reads the functions of a text dump: `lspci -x`, `-xxx`, `-xxxx` with or without decoded text, the kernel's early dump
 * in a log, `hexdump -C` or any `offset: bytes` lines.
 * @throws UsageError that names the line and what is accepted
 */
export function parseTextDump(text: string): RawFunction[] {
  if (text.length > MAX_TEXT_BYTES)
    throw new UsageError(`dump of ${text.length} characters; at most ${MAX_TEXT_BYTES} are read`);
  const functions: RawFunction[] = [];
  let open: Open | undefined;
  const finish = () => {
    if (open) functions.push(close(open));
    open = undefined;
    if (functions.length > MAX_FUNCTIONS) throw new UsageError(`more than ${MAX_FUNCTIONS} functions in one dump`);
  };

  let number = 0;
  let logged = false;
  for (const stored of text.split('\n')) {
    number++;
    if (stored.length > MAX_LINE_CHARS)
      throw new UsageError(
        `line ${number} has ${stored.length} characters; a line of a dump has at most ${MAX_LINE_CHARS}`,
      );
    const unprefixed = stored.includes('[') ? stored.replace(LOG_PREFIX, '') : stored;
    logged ||= unprefixed.length !== stored.length;
    const line = unprefixed.trimEnd();
    const kernel = line.includes(' config space') ? KERNEL_LINE.exec(line) : null;
    const device = kernel ?? DEVICE_LINE.exec(line);
    if (device) {
      finish();
      open = begin(device, kernel ? 'kernel-log' : 'lspci', number);
      continue;
    }
    if (line === '') {
      // A blank line ends a device, but not a heading that still waits for its hex.
      if (open && open.end > 0) finish();
      continue;
    }
    const hex = HEX_LINE.exec(line);
    if (!hex) {
      const size = open && parseRegionLine(line, number);
      if (size) open!.raw.sizes.push(size);
      continue;
    }
    // A log goes on with other things, some of them hex too: what begins at 0 again is not this function's.
    if (logged && open && open.end > 0 && /^0+$/.test(hex[1])) finish();
    if (!open && (!looksLikeBytes(hex[2]) || (logged && functions.length > 0))) continue;
    open ??= begin(undefined, logged ? 'kernel-log' : 'hex', number);
    addHexLine(open, hex[1], hex[2], number);
  }
  finish();
  if (functions.length === 0)
    throw new UsageError(
      'no configuration space found; accepted are the text of lspci -x, -xxx or -xxxx, hex lines ("00: 86 80 …") of a kernel log or hexdump -C, or a sysfs config file',
    );
  return functions;
}

function begin(match: RegExpExecArray | undefined, format: DumpFormat, line: number): Open {
  const [domain, bus, device, fn] = (match ?? []).slice(1, 5).map((digits) => Number.parseInt(digits ?? '0', 16));
  if (match && (device > 31 || fn > 7))
    throw new UsageError(`line ${line}: no slot has device ${match[3]} and function ${match[4]}; they end at 1f and 7`);
  return {
    raw: {
      format,
      named: match !== undefined,
      domain: domain ?? 0,
      busDevFn: match ? (bus << 8) | (device << 3) | fn : 0,
      title: match?.[5] ?? '',
      sizes: [],
      line,
    },
    bytes: new Uint8Array(CONFIG_BYTES),
    givenBy: new Uint32Array(CONFIG_BYTES),
    end: 0,
  };
}

function looksLikeBytes(rest: string): boolean {
  return /^[0-9a-f]{2}(?:\s+[0-9a-f]{2}){3}/i.test(rest);
}

function addHexLine(open: Open, offsetDigits: string, rest: string, number: number): void {
  const words = withoutAscii(rest).trim().split(/\s+/);
  let at = Number.parseInt(offsetDigits, 16);
  for (const word of words) {
    if (word === '') continue;
    const byte = BYTES.get(word);
    if (byte === undefined)
      throw new UsageError(
        `line ${number}: "${word.slice(0, 20)}" is no byte; expected "offset: " and two-digit hex bytes`,
      );
    if (at >= CONFIG_BYTES)
      throw new UsageError(
        `line ${number}: offset 0x${at.toString(16)} lies beyond the 4096 bytes of configuration space`,
      );
    if (open.givenBy[at] && open.bytes[at] !== byte)
      throw new UsageError(
        `line ${number}: offset 0x${at.toString(16)} was already given, with another value, on line ${open.givenBy[at]}`,
      );
    open.bytes[at] = byte;
    open.givenBy[at] = number;
    open.end = Math.max(open.end, ++at);
  }
}

/** Drops the character column of `hexdump -C` (`|…|`) or of the kernel's dump (two blanks, 16 characters). */
function withoutAscii(rest: string): string {
  const bar = rest.indexOf('|');
  if (bar >= 0) return rest.slice(0, bar);
  const full = /^((?:[0-9a-f]{2}\s+){15}[0-9a-f]{2})\s\s/i.exec(rest);
  return full ? full[1] : rest;
}

function close(open: Open): RawFunction {
  const { raw, bytes, givenBy, end } = open;
  if (end === 0)
    throw new UsageError(
      `line ${raw.line}: no hex lines follow "${raw.title.slice(0, 60)}"; make the dump with lspci -xxxx (as root)`,
    );
  const gap = givenBy.subarray(0, end).indexOf(0);
  if (gap >= 0) {
    let resumes = gap;
    while (givenBy[resumes] === 0) resumes++;
    throw new UsageError(
      `line ${givenBy[resumes]}: bytes 0x${gap.toString(16)} to 0x${(resumes - 1).toString(16)} are missing before it`,
    );
  }
  if (end < 64) throw new UsageError(`line ${raw.line}: only ${end} bytes; a configuration header has 64`);
  return { ...raw, bytes: bytes.slice(0, end) };
}
