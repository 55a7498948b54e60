import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { type DecodedFunction, decodeFunction, terseLine } from '../pci/decode/index.ts';
import {
  builtinDump,
  formatHexLines,
  listBuiltinDumps,
  type ParsedFunction,
  parseDump,
  readConfigImage,
} from '../pci/dump/index.ts';
import { createFunction } from '../pci/index.ts';
import { readDumpFile } from './dump-input.ts';

interface LspciOptions {
  builtin?: string[];
  v?: number;
  x?: number;
}

/** Bytes shown by number of `x`; two are no more than one, as in lspci. */
const HEX_BYTES = [0, 64, 64, 256, 4096];

/** `pirqlab lspci`: devices as lspci prints them. */
export function register(program: Command): void {
  program
    .command('lspci [dumps...]')
    .description('print devices as lspci does: the functions of dumps (- is standard input), or built-in devices')
    .option('--builtin <name>', 'a device made from a built-in dump, by its name (144d-a826), or all', collect)
    .option('-v', 'decode as lspci -vvv -n does', count)
    .option('-x', 'print hex: -x 64 bytes, -xxx 256, -xxxx all (what is printed without any option)', count)
    .action((dumps: string[], options: LspciOptions) => {
      process.stdout.write(lspci(dumps, options));
    });
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

function count(_value: unknown, previous = 0): number {
  return previous + 1;
}

function lspci(dumps: string[], options: LspciOptions): string {
  if ((options.x ?? 0) > 4) throw new UsageError('lspci knows -x, -xxx and -xxxx; more than four x say nothing');
  const names = options.builtin ?? (dumps.length === 0 ? ['all'] : []);
  const shown = [
    ...dumps.flatMap((path) => parseDump(readDumpFile(path)).map(asDumped)),
    ...names.flatMap((name) => (name === 'all' ? listBuiltinDumps() : [name])).map(built),
  ];
  const domainOf = ({ bdf, domain }: DecodedFunction) => domain ?? bdf >>> 16;
  shown.sort((a, b) => domainOf(a) - domainOf(b) || (a.bdf & 0xffff) - (b.bdf & 0xffff));
  const domains = shown.some((fn) => domainOf(fn) > 0);
  const hexBytes = HEX_BYTES[options.x ?? (options.v ? 0 : 4)];
  return shown
    .map((fn) => {
      const heading = options.v ? decodeFunction(fn, domains) : `${terseLine(fn, domains)}\n`;
      return `${heading}${formatHexLines(fn.bytes, hexBytes)}\n`;
    })
    .join('');
}

function asDumped({ spec, domain, dumped }: ParsedFunction): DecodedFunction {
  return { bdf: spec.bdf, domain, bytes: dumped };
}

/** The registers of a device made from a built-in dump, read as a guest would read them. */
function built(name: string): DecodedFunction {
  const [{ spec }] = parseDump(builtinDump(name));
  return { bdf: spec.bdf, bytes: readConfigImage(createFunction(spec)) };
}
