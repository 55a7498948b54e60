import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { type DecodedFunction, formatListing, listedFunction } from '../pci/decode/index.ts';
import { createNvmeFunction } from '../pci/devices/nvme/index.ts';
import { builtinDump, listBuiltinDumps, type ParsedFunction, parseDump } from '../pci/dump/index.ts';
import { createFunction } from '../pci/index.ts';
import { readDumpFile } from './dump-input.ts';

interface LspciOptions {
  builtin?: string[];
  v?: number;
  x?: number;
}

/** Name of the controller that is ours alone, not a copy of a real one. */
const OWN_NVME = 'nvme';

/** Bytes shown by number of `x`; two are no more than one, as in lspci. */
const HEX_BYTES = [0, 64, 64, 256, 4096];

/** `pirqlab lspci`: devices as lspci prints them. */
export function register(program: Command): void {
  program
    .command('lspci [dumps...]')
    .description('print devices as lspci does: the functions of dumps (- is standard input), or built-in devices')
    .option(
      '--builtin <name>',
      'a built-in device: nvme, or by IDs one of a dump (144d-a826); or all, as without any argument',
      collect,
    )
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
  const functions = [
    ...dumps.flatMap((path) => parseDump(readDumpFile(path)).map(asDumped)),
    ...names.flatMap((name) => (name === 'all' ? builtinNames() : [name])).map(built),
  ];
  return formatListing(functions, {
    decode: options.v !== undefined,
    hexBytes: HEX_BYTES[options.x ?? (options.v ? 0 : 4)],
  });
}

function asDumped({ spec, domain, dumped }: ParsedFunction): DecodedFunction {
  return { bdf: spec.bdf, domain, bytes: dumped };
}

/** Our own NVMe controller, and those made of the dumps that come with the package. */
function builtinNames(): string[] {
  return [OWN_NVME, ...listBuiltinDumps()];
}

/** The registers of a built-in device, read as a guest would read them. */
function built(name: string): DecodedFunction {
  if (name === OWN_NVME) return listedFunction(createNvmeFunction());
  if (!listBuiltinDumps().includes(name))
    throw new UsageError(`no built-in device "${name}"; there are ${builtinNames().join(', ')}`);
  const [{ spec }] = parseDump(builtinDump(name));
  return listedFunction(createFunction(spec));
}
