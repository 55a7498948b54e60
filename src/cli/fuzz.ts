import { accessSync, constants, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Command } from 'commander';
import { type Shard, UsageError } from '../core/index.ts';
import { describeWays } from '../fuzz/against/open.ts';
import { CANARIES } from '../fuzz/canaries/patches.ts';
import { median, runCanaries } from '../fuzz/canaries/run.ts';
import { coverageText } from '../fuzz/coverage/report.ts';
import { type FuzzResult, fuzz } from '../fuzz/engine.ts';
import { tellSteps, writeFinding } from '../fuzz/finding.ts';
import { contentName, encodeInput, openSubject, readInput } from '../fuzz/input-file.ts';
import { mergeResults, parseResult } from '../fuzz/merge.ts';
import type { Target } from '../fuzz/target.ts';
import { getTarget, targetNames } from '../fuzz/targets/index.ts';
import { fuzzAgainst, replayInputAgainst } from './fuzz-against.ts';
import { CoverageCollector, writeCoverage } from './fuzz-coverage.ts';
import { fuzzQemu, isOfQemu } from './fuzz-qemu.ts';
import { FuzzWatch } from './fuzz-watch.ts';
import { HeapLog } from './heap-log.ts';
import { humanCount, print, printJson, wholeNumber } from './output.ts';
import { readResults, shardOf } from './shards.ts';

interface Options {
  target?: string;
  seed: number;
  runs?: number;
  for?: number;
  accesses?: number;
  coverage?: string | true;
  corpus?: string;
  shard?: Shard;
  findings: number;
  replay?: string;
  against?: string;
  bdf?: string;
  steps?: string;
  canaries?: string | true;
  json?: boolean;
}

const DEFAULT_RUNS = 10_000;
const DEFAULT_RUNS_AGAINST = 200;
/** Longest search for one planted bug. */
const CANARY_SECONDS = 20;
const DEFAULT_FOLDER = 'findings';

export function register(program: Command): void {
  program
    .command('fuzz')
    .description(
      'fuzz the model at its registers, hypercalls or files against a second, naive model; exit status 1 on a finding',
    )
    .argument('[words...]', 'merge <file...>: join what shards printed with --json')
    .option('--target <name>', targetNames().join(', '))
    .option('--seed <n>', 'which inputs', wholeNumber('--seed', 0, 2 ** 32 - 1), 1)
    .option('--runs <n>', `inputs to run, default ${DEFAULT_RUNS}`, wholeNumber('--runs', 1, 2 ** 48))
    .option('--for <time>', 'run so long instead, such as 60s, 10m, 1h', duration)
    .option('--accesses <n>', 'run until so many steps were checked', wholeNumber('--accesses', 1, 2 ** 48))
    .option('--coverage [file]', 'count branches and registers that the inputs reach; keep it as .json or .html')
    .option('--corpus <dir>', 'begin with the inputs in this folder and keep those there that reach new states')
    .option('--shard <i/n>', 'run one of n parts of the inputs, numbered from 0', shardOf)
    .option('--findings <n>', 'stop after so many different findings', wholeNumber('--findings', 1, 1000), 1)
    .option('--replay <file>', 'carry out one input and tell it')
    .option('--against <where>', `fuzz a device in other hands instead of the model: ${describeWays()}`)
    .option('--bdf <bdf>', 'of --against qtest: which function, such as 0:4.0')
    .option(
      '--steps <text>',
      'of --against qemu: and qtest: carry out steps as a finding has them, apart by semicolons',
    )
    .option(
      '--canaries [name]',
      'plant known bugs in throw-away builds, all or those whose name has this in it, and look for them',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  pirqlab fuzz --target msix --seed 7 --for 60s')
    .action(run);
}

/** Seconds of `90`, `60s`, `10m`, `1h`. */
function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(s|m|h)?$/.exec(text);
  const seconds = match ? Number(match[1]) * { s: 1, m: 60, h: 3600 }[match[2] ?? 's']! : 0;
  if (seconds <= 0) throw new UsageError(`--for takes a time such as 60s, 10m or 1h, not "${text}"`);
  return seconds;
}

function merge(files: readonly string[]): void {
  const merged = mergeResults(readResults('fuzz', files, parseResult));
  if (merged.findings > 0) process.exitCode = 1;
  printJson(merged);
}

async function run(words: readonly string[], options: Options): Promise<void> {
  if (words[0] === 'merge') return merge(words.slice(1));
  if (words.length > 0) throw new UsageError(`fuzz knows no "${words[0]}"; known: merge`);
  if (options.replay !== undefined && options.against !== undefined)
    return replayInputAgainst(options.replay, options.against, {}, options.json ?? false);
  if (options.replay !== undefined) return replay(options.replay, options.json ?? false);
  if (options.canaries !== undefined) return canaries(options.canaries, options);
  if (options.against !== undefined && isOfQemu(options.against)) {
    const { bdf, target, steps } = options;
    return fuzzQemu({ ...elsewhere(options.against, options), bdf, target, steps });
  }
  if (options.target === undefined) throw new UsageError(`fuzz needs --target, one of ${targetNames().join(', ')}`);
  const bounds = [options.runs, options.for, options.accesses].filter((bound) => bound !== undefined);
  if (bounds.length > 1) throw new UsageError('--runs, --for and --accesses exclude each other');
  if (options.against !== undefined)
    return fuzzAgainst({ ...options, ...elsewhere(options.against, options), target: options.target });
  const target = await getTarget(options.target);
  const kept = options.corpus === undefined ? [] : loadCorpus(options.corpus, target);
  const collector = options.coverage === undefined ? undefined : new CoverageCollector(target, options.coverage);
  const write = options.corpus === undefined ? undefined : corpusWriter(options.corpus, target);
  const watch = new FuzzWatch({ seconds: options.for, accesses: options.accesses }, 'inputs', target.unit);
  const cpu = process.cpuUsage();
  const runs = options.runs ?? (bounds.length === 0 ? DEFAULT_RUNS : undefined);
  const heap = new HeapLog();
  const result = fuzz(target, {
    seed: options.seed,
    ...(runs !== undefined && { runs }),
    maxFindings: options.findings,
    ...(options.shard && { shard: options.shard }),
    initial: kept,
    stop: (done, steps) => {
      heap.sample();
      return watch.shouldStop(done, steps);
    },
    onNovel: (variant, steps) => {
      write?.(variant, steps);
      collector?.onNovel(variant, steps);
    },
  });
  const seconds = watch.finish();
  const { user, system } = process.cpuUsage(cpu);
  const cpuSeconds = (user + system) / 1e6;
  const folder = options.corpus ?? DEFAULT_FOLDER;
  const folders = result.findings.map((finding) => writeFinding(folder, target, finding, options.seed));
  if (result.findings.length > 0) process.exitCode = 1;
  const coverage = await collector?.finish(result.steps, options);
  if (coverage && typeof options.coverage === 'string')
    writeCoverage(options.coverage, `What pirqlab fuzz --target ${target.name} reached`, coverage);
  if (options.json)
    printJson({ ...toJson(result, folders, target, seconds, cpuSeconds, options), heap: heap.minutes(), coverage });
  else {
    printText(result, folders, target, seconds, cpuSeconds, options);
    if (coverage) print(`\n${coverageText(coverage)}`);
  }
}

/** Against a device in other hands there is no corpus, and each access takes its time. */
function elsewhere(where: string, options: Options) {
  if (options.corpus !== undefined || options.shard)
    throw new UsageError('--against goes without --corpus and --shard');
  const bounded = options.for !== undefined || options.accesses !== undefined;
  return {
    against: where,
    seed: options.seed,
    runs: options.runs ?? (bounded ? undefined : DEFAULT_RUNS_AGAINST),
    seconds: options.for,
    accesses: options.accesses,
    folder: DEFAULT_FOLDER,
    json: options.json ?? false,
  };
}

function toJson(
  result: FuzzResult<unknown>,
  folders: readonly string[],
  target: Target<unknown>,
  seconds: number,
  cpuSeconds: number,
  { shard = { index: 0, count: 1 } }: Options,
): object {
  const { seed, runs, steps, states, corpus, digest } = result;
  const findings = result.findings.map((f, i) => ({
    broken: f.broken,
    subject: f.label,
    run: f.run,
    executions: f.executions,
    shrinkExecutions: f.shrinkExecutions,
    steps: f.steps.length,
    foundSteps: f.found.length,
    folder: folders[i],
    story: tellSteps(target.open(f.variant), f.steps).lines,
  }));
  return {
    target: target.name,
    seed,
    shard: `${shard.index}/${shard.count}`,
    runs,
    steps,
    unit: target.unit,
    states,
    corpus,
    digest,
    seconds: Number(seconds.toFixed(3)),
    cpuSeconds: Number(cpuSeconds.toFixed(3)),
    stepsPerCpuSecond: Math.round(steps / cpuSeconds),
    findings,
  };
}

function printText(
  result: FuzzResult<unknown>,
  folders: readonly string[],
  target: Target<unknown>,
  seconds: number,
  cpuSeconds: number,
  options: Options,
): void {
  const { runs, steps, states, corpus, seed, digest } = result;
  print(
    `${target.name}: ${humanCount(runs)} inputs, ${humanCount(steps)} ${target.unit} checked in ${seconds.toFixed(1)} s ` +
      `(${humanCount(Math.round(steps / cpuSeconds))} per CPU second), ${humanCount(states)} states, ${humanCount(corpus)} inputs kept`,
  );
  for (const [i, finding] of result.findings.entries()) {
    print(`\n${finding.label}: ${finding.broken}`);
    print(
      `found in input ${finding.run} after ${humanCount(finding.executions)} ${target.unit}; ${finding.found.length} shrunk to ${finding.steps.length}:`,
    );
    for (const line of tellSteps(target.open(finding.variant), finding.steps).lines) print(line);
    print(`kept in ${folders[i]}; replay it: pirqlab fuzz --replay ${join(folders[i], 'input.bin')}`);
  }
  if (result.findings.length === 0) print('no finding');
  const part = options.shard ? ` --shard ${options.shard.index}/${options.shard.count}` : '';
  print(`repeat it: pirqlab fuzz --target ${target.name}${part} --seed ${seed} --runs ${runs} (digest ${digest})`);
}

/** Exit status 1 if one was not found. */
async function canaries(which: string | true, options: Options): Promise<void> {
  const wanted = CANARIES.filter(({ name }) => which === true || name.includes(which));
  if (wanted.length === 0) throw new UsageError(`no canary has "${which}" in its name`);
  const seconds = options.for ?? CANARY_SECONDS;
  const results = await runCanaries(wanted, {
    seed: options.seed,
    seconds,
    onResult: (r) => {
      if (options.json) return;
      const length = r.found
        ? `${r.accesses} after ${humanCount(r.executions)}, ${r.seconds.toFixed(1)} s`
        : 'NOT FOUND';
      print(`${r.target.padEnd(10)} ${r.name}: ${length}${r.broken ? `; ${r.broken}` : ''}`);
    },
  });
  const found = results.filter((r) => r.found);
  if (found.length < results.length) process.exitCode = 1;
  const summary = {
    medianSeconds: median(found.map((r) => r.seconds)),
    medianAccesses: median(found.map((r) => r.accesses)),
  };
  if (options.json) printJson({ canaries: results, found: found.length, ...summary });
  else
    print(
      `${found.length} of ${results.length} found, in the median after ${summary.medianSeconds.toFixed(1)} CPU s ` +
        `and with ${summary.medianAccesses} steps`,
    );
}

async function replay(path: string, json: boolean): Promise<void> {
  const input = readInput(path);
  const { target: name } = input;
  const target = await getTarget(name);
  const subject = openSubject(target, input, path);
  const { lines, broken } = tellSteps(subject, target.decode(input.body));
  if (broken) process.exitCode = 1;
  if (json) printJson({ target: name, subject: subject.label, broken: broken ?? null, story: lines });
  else {
    print(`${name}: ${subject.label}`);
    for (const line of lines) print(line);
    if (!broken) print('no law is broken');
  }
}

function loadCorpus(folder: string, target: Target<unknown>): { variant: number; steps: unknown[] }[] {
  if (!existsSync(folder)) return [];
  const inputs: { variant: number; steps: unknown[] }[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.bin')) continue;
    const input = readInput(join(folder, name));
    if (input.target === target.name && input.variant < target.variants)
      inputs.push({ variant: input.variant, steps: target.decode(input.body) });
  }
  return inputs;
}

/** With the folders above it. Node's own `recursive` never returns below /proc (Node 20). */
function makeFolder(folder: string): void {
  if (existsSync(folder)) return;
  makeFolder(dirname(folder));
  mkdirSync(folder);
}

/** Writes inputs as they are kept, under names that follow from their contents. */
function corpusWriter(folder: string, target: Target<unknown>): (variant: number, steps: readonly unknown[]) => void {
  try {
    makeFolder(resolve(folder));
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw new UsageError(`--corpus ${folder}: ${(error as NodeJS.ErrnoException).code}`);
  }
  const subjects = new Map<number, ReturnType<typeof target.open>>();
  return (variant, steps) => {
    if (!subjects.has(variant)) subjects.set(variant, target.open(variant));
    const bytes = encodeInput(target, subjects.get(variant)!, variant, steps);
    writeFileSync(join(folder, `${target.name}-${contentName(bytes)}.bin`), bytes);
  };
}
