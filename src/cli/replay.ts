import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import type { Command } from 'commander';
import { isAccessFile } from '../harness/access-record.ts';
import {
  findRecordings,
  probeLookup,
  type ReplayOptions,
  type ReplayResult,
  replayFile,
} from '../harness/replay/index.ts';

interface Options {
  probe?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command('replay')
    .description('Replay recordings against the model and compare every answer; exit status 1 on any difference.')
    .argument(
      '<file...>',
      'recordings (.jsonl, .jsonl.gz, access records or inputs of fuzz by any name), or folders of them',
    )
    .option('--probe <path>', 'measured masks: a probe file, or a folder of <device>.<machine>.json')
    .option('--json', 'print one JSON object')
    .action(run);
}

async function run(paths: string[], options: Options): Promise<void> {
  // A replay ends soon after its code is warm: compiling smaller pieces saves a fifth of the processor time of a third
  // of a million accesses (465 ms for 585, best of 4 cold runs, Node 20.20).
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=300');
  const started = performance.now();
  const cpuBefore = process.cpuUsage();
  const probes = probeLookup(options.probe);
  const results: ReplayResult[] = [];
  for (const file of findRecordings(paths)) results.push(await replay(file, probes));
  const { user, system } = process.cpuUsage(cpuBefore);
  const ended = performance.now();
  const total = (key: 'operations' | 'comparisons' | 'differences') => results.reduce((sum, r) => sum + r[key], 0);
  const accessesPerSecond = Math.round((total('operations') / (ended - started)) * 1e3);
  const accessesPerCpuSecond = Math.round((total('operations') / (user + system)) * 1e6);
  const accessesPerSecondWithStart = Math.round((total('operations') / ended) * 1e3);
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  if (total('differences') > 0) process.exitCode = 1;
  if (options.json) {
    const list = results.map((r) => ({ ...r, first: r.first ?? null }));
    const summary = {
      differences: total('differences'),
      files: list,
      accessesPerSecond,
      accessesPerSecondWithStart,
      accessesPerCpuSecond,
      peakMemoryBytes,
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  process.stdout.write(
    `${results.map(describe).join('')}${results.length} files: ${total('operations')} operations, ${total('comparisons')} comparisons, ` +
      `${total('differences')} differences; ${accessesPerSecond} accesses/s (${accessesPerCpuSecond} per CPU second), ` +
      `peak memory ${Math.round(peakMemoryBytes / 1e6)} MB\n`,
  );
}

/** Inputs of the fuzzer hold requests only: their answers are the oracle's to judge. */
async function replay(file: string, probes: ReplayOptions): Promise<ReplayResult> {
  if (isAccessFile(file)) {
    const { replayInput } = await import('../fuzz/replay.ts');
    const result = await replayInput(readFileSync(file), file);
    if (result) return result;
  }
  return replayFile(file, probes);
}

function describe(result: ReplayResult): string {
  const { file, operations, comparisons, differences, excluded, first } = result;
  const lines = [`${file}: ${operations} operations, ${comparisons} comparisons, ${differences} differences`];
  for (const [reason, count] of Object.entries(excluded)) lines.push(`  ${count} left out: ${reason}`);
  if (first !== undefined) lines.push(`  first: ${first}`);
  return `${lines.join('\n')}\n`;
}
