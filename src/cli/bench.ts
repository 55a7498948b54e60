import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';

export interface BenchOptions {
  json?: string;
  html?: string;
  quick?: boolean;
  compare?: string;
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export function register(program: Command): void {
  program
    .command('bench')
    .description('measure the model against plain baselines: CPU time, medians, ratios to targets')
    .argument('[name...]', 'allocation, deliver, registers, snapshot, explore, bringup; default all')
    .option('--json <file>', 'write the results, with machine and versions')
    .option('--html <file>', 'write charts as one page that opens offline')
    .option('--quick', 'shorter rounds, large cases left out: for a glance')
    .option('--compare <file>', 'fail if a ratio is worse than in this earlier --json file')
    .addHelpText('after', '\nExample:\n  pirqlab bench allocation --quick --json bench.json --html bench.html')
    .action(run);
}

async function run(names: string[], options: BenchOptions): Promise<void> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  if (!existsSync(join(ROOT, 'benches/tsconfig.json')) || !existsSync(tsc))
    throw new UsageError('the benchmarks need the repository with its development packages (npm ci)');
  const known = readdirSync(join(ROOT, 'benches')).flatMap((file) => (file.endsWith('.ts') ? [file.slice(0, -3)] : []));
  for (const name of names)
    if (!known.includes(name)) throw new UsageError(`unknown benchmark "${name}"; known: ${known.join(', ')}`);
  if (options.compare && !existsSync(options.compare)) throw new UsageError(`no file ${options.compare}`);
  const built = spawnSync(process.execPath, [tsc, '-p', join(ROOT, 'benches')], { stdio: ['ignore', 2, 2] });
  if (built.status !== 0) throw new UsageError('the benchmarks do not compile; see above');
  const { runBenches } = await import(new URL('build/benches/benches/harness/run.js', `file://${ROOT}`).href);
  process.exitCode = await runBenches(names, options, ROOT);
}
