import { hex } from '../../core/index.ts';
import type { BarSpec } from '../../pci/index.ts';
import { type Access, KIND, REGION } from '../access.ts';
import type { Subject } from '../target.ts';
import { isSeen, recordScript, type Script, type ScriptStep } from './script.ts';

/** Where the function stands if its own number is not of bus 0. */
const DEFAULT_DEVFN = 0x20;
/** q35's window for configuration accesses, which firmware opens and here the script does. */
const ECAM = 0xb000_0000;
const MEMORY_SPACE = 2;
const COMMAND = 0x04;
/** BARs of 32 bits are placed from here up, those of 64 bits that are larger than 16 MiB from above RAM. */
const LOW_BASE = 0xe000_0000;
const HIGH_BASE = 0x80_0000_0000;
const LARGE = 1 << 24;

const SUFFIX: Record<number, string> = { 1: 'b', 2: 'w', 4: 'l' };

export type QtestReproducer = { text: string } | { whyNot: string };

/**
 * A script for QEMU's qtest: ports and memory, BARs placed first, behind each read the answer it had to get as a comment.
 * Accesses that need it are recast (BARs need memory space enabled, ports do not cross dwords), so the finding is carried
 * out again as recast.
 */
export function qtestReproducer(script: Script, subject: Subject<Access>): QtestReproducer {
  if (script.functions.length !== 1) return { whyNot: 'its bridges are not those of a QEMU machine' };
  const steps = script.steps.map(({ access }) => access);
  if (steps.some(({ kind }) => kind === KIND.raise))
    return { whyNot: 'no qtest command makes a device signal a vector' };
  if (steps.some(({ kind }) => kind === KIND.reset)) return { whyNot: 'no qtest command resets one device' };
  const { bars, bdf } = script.functions[0];
  const usesBars = steps.some(({ region }) => region !== REGION.config);
  if (usesBars && steps.some((s) => s.region === REGION.config && s.offset < 0x28 && s.offset + s.width > 0x10))
    return { whyNot: 'it writes to BARs, which a machine needs where they are' };
  const places = usesBars ? place(bars) : [];
  const recast = recordScript(
    script.target,
    subject,
    [...prologue(places, bdf), ...steps.flatMap((access) => recastAccess(access, usesBars))],
    script.broken,
  )!;
  // a finding that was made on another device does not show in this model anyway
  if (script.steps.some(isSeen) && !recast.steps.some(isSeen))
    return { whyNot: 'as accesses of a machine it shows nothing' };
  const devfn = bdf > 0 && bdf <= 0xff ? bdf : DEFAULT_DEVFN;
  const isWide = recast.steps.some(({ access }) => access.region === REGION.config && access.offset >= 256);
  const slot = `${hex(devfn >> 3, 2).slice(2)}.${devfn & 7}`;
  const lines = [
    `# ${oneLine(script.target)}: ${oneLine(script.label)}: ${oneLine(script.broken)}`,
    `# for a q35 machine with the device at 00:${slot}; comments are to be taken out: grep -v '^#' reproduce.qtest`,
  ];
  if (isWide) lines.push('# the window for extended configuration space', ...openWindow());
  for (const step of recast.steps) lines.push(...stepLines(step, devfn, places));
  return { text: `${lines.join('\n')}\n` };
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ');

interface PlacedBar {
  bar: BarSpec;
  base: number;
}

/** Naturally aligned addresses, one behind the other. */
function place(bars: readonly BarSpec[]): PlacedBar[] {
  let [low, high] = [LOW_BASE, HIGH_BASE];
  const placed: PlacedBar[] = [];
  for (const bar of bars) {
    if (bar.kind === 'io' || bar.kind === 'rom') continue;
    const isHigh = bar.kind === 'mem64' && bar.sizeBytes > LARGE;
    const base = Math.ceil((isHigh ? high : low) / bar.sizeBytes) * bar.sizeBytes;
    placed.push({ bar, base });
    if (isHigh) high = base + bar.sizeBytes;
    else low = base + bar.sizeBytes;
  }
  return placed;
}

/** BARs placed and memory space on. */
function prologue(places: readonly PlacedBar[], fn: number): Access[] {
  const write = (offset: number, width: number, value: number): Access => ({
    ...{ kind: KIND.write, region: REGION.config, width, function: fn },
    ...{ offset, value, data: undefined },
  });
  if (places.length === 0) return [];
  const list = places.flatMap(({ bar, base }) => {
    const at = 0x10 + 4 * bar.bar;
    const high = bar.kind === 'mem64' ? [write(at + 4, 4, Math.floor(base / 2 ** 32))] : [];
    return [write(at, 4, base % 2 ** 32), ...high];
  });
  return [...list, write(COMMAND, 2, MEMORY_SPACE)];
}

/** The access in pieces that a port can carry; with BARs in use memory space stays on. */
function recastAccess(access: Access, usesBars: boolean): Access[] {
  const { kind, region, offset, width, value } = access;
  if (region !== REGION.config) return [access];
  const crosses = (offset & 3) + width > 4;
  const size = crosses && offset < 256 ? 1 : width;
  const pieces: Access[] = [];
  for (let i = 0; i < width; i += size) {
    const at = offset + i;
    let part = size === width ? value : (value >>> (8 * i)) & 0xff;
    const command = 8 * (COMMAND - at);
    if (kind === KIND.write && usesBars && at <= COMMAND && at + size > COMMAND)
      part = (part | (MEMORY_SPACE << command)) >>> 0;
    pieces.push({ ...access, offset: at, width: size, value: kind === KIND.write ? part : 0 });
  }
  return pieces;
}

/** PCIEXBAR of the host bridge, with firmware's part done: Intel 82Q35 datasheet §5.1.13. */
function openWindow(): string[] {
  return [...[`outl 0xcf8 0x80000064`, 'outl 0xcfc 0x0'], ...['outl 0xcf8 0x80000060', `outl 0xcfc ${hex(ECAM + 1)}`]];
}

function stepLines({ access, told, read }: ScriptStep, devfn: number, places: readonly PlacedBar[]): string[] {
  const { kind, region, offset, width, value } = access;
  const lines = [`# ${oneLine(told)}`];
  const suffix = SUFFIX[width];
  const isRead = kind === KIND.read;
  if (region === REGION.config && offset < 256) {
    const port = hex(0xcfc + (offset & 3));
    lines.push(`outl 0xcf8 ${hex(0x8000_0000 + devfn * 256 + (offset & 0xfc))}`);
    lines.push(isRead ? `in${suffix} ${port}` : `out${suffix} ${port} ${hex(value)}`);
  } else {
    const base = region === REGION.config ? ECAM + devfn * 4096 : (places.find((p) => p.bar.bar === region)?.base ?? 0);
    lines.push(isRead ? `read${suffix} ${hex(base + offset)}` : `write${suffix} ${hex(base + offset)} ${hex(value)}`);
  }
  if (read) lines.push(`# must answer: OK ${hex((read.want & read.mask) >>> 0)}${bits(read.mask, width)}`);
  return lines;
}

const bits = (mask: number, width: number) => (mask === 2 ** (8 * width) - 1 ? '' : ` in the bits ${hex(mask)}`);
