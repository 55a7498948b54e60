import type { Command } from 'commander';
import { findRecordings, loadReplay, probeLookup, type ReplayResult } from '../harness/replay/index.ts';

interface Options {
  probe?: string;
  json?: boolean;
}

export function register(program: Command): void {
  program
    .command('replay')
    .description('Replay recordings against the model and compare every answer; exit status 1 on any difference.')
    .argument('<file...>', 'recordings (.jsonl, .jsonl.gz, access records by any name), or folders of them (.pirqacc)')
    .option('--probe <path>', 'measured masks: a probe file, or a folder of <device>.<machine>.json')
    .option('--json', 'print one JSON object')
    .action(run);
}

function run(paths: string[], options: Options): void {
  const files = findRecordings(paths);
  const probes = probeLookup(options.probe);
  const results: ReplayResult[] = [];
  let [nanoseconds, cpuMicroseconds] = [0, 0];
  for (const file of files) {
    const replay = loadReplay(file);
    const started = process.hrtime.bigint();
    const cpu = process.cpuUsage();
    results.push(replay(probes));
    const { user, system } = process.cpuUsage(cpu);
    cpuMicroseconds += user + system;
    nanoseconds += Number(process.hrtime.bigint() - started);
  }
  const total = (key: 'operations' | 'comparisons' | 'differences') => results.reduce((sum, r) => sum + r[key], 0);
  const accessesPerSecond = Math.round((total('operations') / nanoseconds) * 1e9);
  const accessesPerCpuSecond = Math.round((total('operations') / cpuMicroseconds) * 1e6);
  const peakMemoryBytes = process.resourceUsage().maxRSS * 1024;
  if (total('differences') > 0) process.exitCode = 1;
  if (options.json) {
    const list = results.map((r) => ({ ...r, first: r.first ?? null }));
    const summary = {
      differences: total('differences'),
      files: list,
      accessesPerSecond,
      accessesPerCpuSecond,
      peakMemoryBytes,
    };
    process.stdout.write(`${JSON.stringify(summary)}\n`);
    return;
  }
  process.stdout.write(
    `${results.map(describe).join('')}${files.length} files: ${total('operations')} operations, ${total('comparisons')} comparisons, ` +
      `${total('differences')} differences; ${accessesPerSecond} accesses/s (${accessesPerCpuSecond} per CPU second), ` +
      `peak memory ${Math.round(peakMemoryBytes / 1e6)} MB\n`,
  );
}

function describe(result: ReplayResult): string {
  const { file, operations, comparisons, differences, excluded, first } = result;
  const lines = [`${file}: ${operations} operations, ${comparisons} comparisons, ${differences} differences`];
  for (const [reason, count] of Object.entries(excluded)) lines.push(`  ${count} left out: ${reason}`);
  if (first !== undefined) lines.push(`  first: ${first}`);
  return `${lines.join('\n')}\n`;
}
