import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { UsageError } from '../core/index.ts';
import { type FuzzResult, fuzz } from '../fuzz/engine.ts';
import { tellSteps, writeFinding } from '../fuzz/finding.ts';
import { contentName, encodeInput, readInput } from '../fuzz/input-file.ts';
import type { Target } from '../fuzz/target.ts';
import { getTarget, targetNames } from '../fuzz/targets/index.ts';
import { humanCount, Progress, print, printJson, wholeNumber } from './output.ts';

interface Options {
  target?: string;
  seed: number;
  runs?: number;
  for?: number;
  corpus?: string;
  findings: number;
  replay?: string;
  json?: boolean;
}

const DEFAULT_RUNS = 10_000;
const DEFAULT_FOLDER = 'findings';

export function register(program: Command): void {
  program
    .command('fuzz')
    .description(
      'fuzz the model at its registers, hypercalls or files against a second, naive model; exit status 1 on a finding',
    )
    .option('--target <name>', targetNames().join(', '))
    .option('--seed <n>', 'which inputs', wholeNumber('--seed', 0, 2 ** 32 - 1), 1)
    .option('--runs <n>', `inputs to run, default ${DEFAULT_RUNS}`, wholeNumber('--runs', 1, 2 ** 48))
    .option('--for <time>', 'run so long instead, such as 60s, 10m, 1h', duration)
    .option('--corpus <dir>', 'begin with the inputs in this folder and keep those there that reach new states')
    .option('--findings <n>', 'stop after so many different findings', wholeNumber('--findings', 1, 1000), 1)
    .option('--replay <file>', 'carry out one input and tell it')
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

async function run(options: Options): Promise<void> {
  if (options.replay !== undefined) return replay(options.replay, options.json ?? false);
  if (options.target === undefined) throw new UsageError(`fuzz needs --target, one of ${targetNames().join(', ')}`);
  if (options.runs !== undefined && options.for !== undefined)
    throw new UsageError('--runs and --for exclude each other');
  const target = await getTarget(options.target);
  const kept = options.corpus === undefined ? [] : loadCorpus(options.corpus, target);
  const progress = new Progress();
  const started = performance.now();
  const cpu = process.cpuUsage();
  const runs = options.runs ?? (options.for === undefined ? DEFAULT_RUNS : undefined);
  const result = fuzz(target, {
    seed: options.seed,
    ...(runs !== undefined && { runs }),
    maxFindings: options.findings,
    initial: kept,
    stop: (done, steps) => {
      progress.show(`${humanCount(done)} inputs, ${humanCount(steps)} ${target.unit} …`);
      return options.for !== undefined && performance.now() - started >= options.for * 1000;
    },
    ...(options.corpus !== undefined && { onNovel: corpusWriter(options.corpus, target) }),
  });
  progress.clear();
  const { user, system } = process.cpuUsage(cpu);
  const cpuSeconds = (user + system) / 1e6;
  const seconds = (performance.now() - started) / 1000;
  const folder = options.corpus ?? DEFAULT_FOLDER;
  const folders = result.findings.map((finding) => writeFinding(folder, target, finding, options.seed));
  if (result.findings.length > 0) process.exitCode = 1;
  if (options.json) printJson(toJson(result, folders, target, seconds, cpuSeconds));
  else printText(result, folders, target, seconds, cpuSeconds);
}

function toJson(
  result: FuzzResult<unknown>,
  folders: readonly string[],
  target: Target<unknown>,
  seconds: number,
  cpuSeconds: number,
): unknown {
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
  print(`repeat it: pirqlab fuzz --target ${target.name} --seed ${seed} --runs ${runs} (digest ${digest})`);
}

async function replay(path: string, json: boolean): Promise<void> {
  const { target: name, variant, body } = readInput(path);
  const target = await getTarget(name);
  if (!Number.isInteger(variant) || variant < 0 || variant >= target.variants)
    throw new UsageError(`${path}: ${name} has no subject ${variant}`);
  const subject = target.open(variant);
  const { lines, broken } = tellSteps(subject, target.decode(body));
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

/** Writes inputs as they are kept, under names that follow from their contents. */
function corpusWriter(folder: string, target: Target<unknown>): (variant: number, steps: readonly unknown[]) => void {
  mkdirSync(folder, { recursive: true });
  const subjects = new Map<number, ReturnType<typeof target.open>>();
  return (variant, steps) => {
    if (!subjects.has(variant)) subjects.set(variant, target.open(variant));
    const bytes = encodeInput(target, subjects.get(variant)!, variant, steps);
    writeFileSync(join(folder, `${target.name}-${contentName(bytes)}.bin`), bytes);
  };
}
