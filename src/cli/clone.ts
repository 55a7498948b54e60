import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { describeFunction, formatLspciDump, parseDump, reportFunction } from '../pci/dump/index.ts';
import { readDumpFile, sysfsNeighbours } from './dump-input.ts';

interface CloneOptions {
  resource?: string;
  function?: string;
  lspci?: true;
  json?: true;
}

/** `pirqlab clone`: what device a dump makes. */
export function register(program: Command): void {
  program
    .command('clone <dump>')
    .description('make a device from a dump (lspci -x…, kernel log, sysfs config; - is standard input) and lint it')
    .option('--resource <file>', 'sysfs resource file: the sizes of its BARs (found beside a sysfs config file)')
    .option(
      '--function <slot>',
      'only this one, written as lspci writes it: 01:00.0; names the function of a dump that does not',
    )
    .option('--lspci', 'print its bytes again as lspci -xxxx does')
    .option('--json', 'print one JSON value: {"functions":[…]}')
    .action((dump: string, options: CloneOptions) => {
      process.stdout.write(clone(dump, options));
    });
}

function clone(dump: string, options: CloneOptions): string {
  if (options.lspci && options.json) throw new UsageError('--lspci and --json exclude each other');
  const beside = sysfsNeighbours(dump);
  const resource = options.resource ?? beside.resource;
  const slot = options.function ?? beside.slot;
  const functions = parseDump(readDumpFile(dump), {
    ...(resource === undefined ? {} : { resource: new TextDecoder().decode(readDumpFile(resource)) }),
    ...(slot === undefined ? {} : { function: slot }),
  });
  if (options.lspci)
    return formatLspciDump(functions.map(({ slot, title, dumped }) => ({ slot, title, bytes: dumped })));
  if (options.json) return `${JSON.stringify({ functions: functions.map(reportFunction) })}\n`;
  return functions.map(describeFunction).join('\n');
}
