import { type Command, Option } from 'commander';
import { type Shard, UsageError } from '../core/index.ts';
import type { Grain } from '../guest/index.ts';
import {
  CASE_WORKLOADS,
  type CaseConfig,
  caseConfig,
  exploreCase,
  type PreparedCase,
  prepareCase,
  type StartPoint,
  type WorkloadName,
} from '../lab/case.ts';
import { type Exploration, goodCounts } from '../lab/explorer.ts';
import { INVARIANTS } from '../lab/invariants.ts';
import { worstWitness } from '../lab/matrix.ts';
import { findingsDigest, findingsOf, mergeExplorations, parseExploration, type Question } from '../lab/merge.ts';
import { formatSchedule, parseSchedule, taskName } from '../lab/schedule.ts';
import { type Telling, tell } from '../lab/telling.ts';
import { story } from '../report/story.ts';
import { addSideOptions, type SideOptions, Sides, sideWords } from './case-options.ts';
import { humanCount, oneOf, Progress, print, printJson, table, wholeNumber } from './output.ts';
import { readResults, shardOf } from './shards.ts';
import { writeTrace } from './write-reports.ts';

interface Options extends SideOptions {
  deviceModel: string;
  kernel: string;
  workload: WorkloadName;
  steps: Grain;
  from: StartPoint;
  atomic?: 'reenable';
  sequential?: boolean;
  maxStates: number;
  shard?: Shard;
  everyOrder?: boolean;
  schedule?: string;
  trace?: string;
  json?: boolean;
}

/** What was asked and what came of it: an exploration, a schedule told, or both. */
interface Run {
  prepared: PreparedCase;
  options: Options;
  found: { exploration: Exploration; seconds: number } | undefined;
  telling: Telling | undefined;
  choices: readonly number[] | undefined;
}

export const SCENARIO = 'lp1657489';
const WORKLOAD_NAMES = Object.keys(CASE_WORKLOADS) as WorkloadName[];

export function register(program: Command): void {
  const command = program
    .command('explore')
    .description('follow every interleaving of one case, or replay one of them by its schedule')
    .argument('<scenario>', `what to explore: ${SCENARIO}; or merge <file...>: join what shards printed with --json`)
    .argument('[files...]')
    .option('--device-model <name>', 'qemu-2.0, qemu-2.1 or qemu-7.2', 'qemu-2.1')
    .option('--kernel <name>', 'kernel profile of the guest', 'linux-4.4.0-59')
    .option('--workload <name>', WORKLOAD_NAMES.join(', '), oneOf('workload', WORKLOAD_NAMES), 'one-disable-many')
    .option(
      '--steps <grain>',
      'what is one step: coarse, group, fine',
      oneOf('grain', ['coarse', 'group', 'fine']),
      'coarse',
    )
    .option(
      '--from <point>',
      'start, or reenable: after every first enable and disable',
      oneOf('start', ['start', 'reenable']),
      'start',
    )
    .option('--atomic <part>', 'reenable: a controller’s re-enable and start are one step', oneOf('part', ['reenable']))
    .option('--sequential', 'one controller after another: a single interleaving')
    .option('--max-states <n>', 'give up beyond so many states', wholeNumber('--max-states', 1, 2 ** 31), 2_000_000)
    .option('--shard <i/n>', 'follow one of n parts of the interleavings, numbered from 0', shardOf)
    .option('--every-order', 'fine steps: count orders that differ in nothing, too; --shard needs it there')
    .option('--schedule <string>', 'replay this schedule and tell what happens')
    .option('--trace <file>', 'with a schedule, or else for the worst outcome: Chrome trace JSON for Perfetto')
    .addOption(new Option('--json', 'print JSON'))
    .addHelpText(
      'after',
      `\nExample:\n  pirqlab explore ${SCENARIO} --device-model qemu-2.1 --kernel linux-4.4.0-59 --controllers 2 --json\n` +
        `  pirqlab explore ${SCENARIO} --shard 0/2 --json > 0.json\n` +
        `  pirqlab explore ${SCENARIO} --shard 1/2 --json > 1.json\n  pirqlab explore merge 0.json 1.json`,
    );
  addSideOptions(command, 3).action(run);
}

function run(scenario: string, files: readonly string[], options: Options): void {
  if (scenario === 'merge') {
    printJson(mergeExplorations(readResults('explore', files, parseExploration)));
    return;
  }
  if (scenario !== SCENARIO)
    throw new UsageError(`unknown scenario "${scenario}"; known: ${SCENARIO}, and merge for files`);
  if (files.length > 0) throw new UsageError(`explore ${SCENARIO} takes no files, such as ${files[0]}`);
  if (options.shard && options.schedule !== undefined)
    throw new UsageError('--shard and --schedule exclude each other');
  const config = configOf(options);
  const prepared = prepareCase(config);
  if (options.schedule !== undefined) {
    const choices = parseSchedule(options.schedule, prepared.digest, config.controllers);
    report({ prepared, options, found: undefined, telling: tell(prepared, choices), choices });
    return;
  }
  const progress = new Progress();
  const started = performance.now();
  const exploration = exploreCase(prepared, {
    maxStates: options.maxStates,
    ...(options.shard && { shard: options.shard }),
    isMerging: !options.everyOrder,
    onProgress: ({ states }) => progress.show(`${humanCount(states)} states …`),
  });
  progress.clear();
  const seconds = (performance.now() - started) / 1000;
  const choices = worstWitness(exploration);
  const telling = choices && (options.trace || !options.json) ? tell(prepared, choices) : undefined;
  report({ prepared, options, found: { exploration, seconds }, telling, choices });
}

function configOf(options: Options): CaseConfig {
  const sides = new Sides(options);
  return caseConfig({
    deviceModel: sides.deviceModel(options.deviceModel),
    kernel: sides.kernel(options.kernel),
    xen: sides.xen,
    drive: sides.drive,
    controllers: options.controllers,
    vectors: options.vectors,
    workload: options.workload,
    steps: options.steps,
    from: options.from,
    atomicReenable: options.atomic === 'reenable',
    sequential: options.sequential ?? false,
  });
}

function report(run: Run): void {
  const { prepared, options, telling } = run;
  if (options.trace && telling) writeTrace(options.trace, telling.events, describe(prepared.config));
  if (options.json) printJson(toJson(run));
  else printText(run);
}

function describe({ deviceModel, kernel, xen, controllers, vectors, workload }: CaseConfig): string {
  const sides = `${deviceModel.name}, ${kernel.name} (re-use ${kernel.reuse}), ${xen.name}`;
  return `${sides}: ${controllers} controllers × ${vectors} vectors, ${CASE_WORKLOADS[workload].what}`;
}

function toJson({ prepared, options, found, telling, choices }: Run): unknown {
  const { config, digest } = prepared;
  const { deviceModel, kernel, xen, controllers, vectors, workload, steps, from } = config;
  const head = {
    scenario: SCENARIO,
    deviceModel: deviceModel.name,
    kernel: kernel.name,
    reuse: kernel.reuse,
    xen: xen.name,
    controllers,
    vectors,
    workload,
    steps,
    from,
    ...(options.atomic && { atomic: options.atomic }),
    ...(options.sequential && { sequential: true }),
    ...(options.everyOrder && { everyOrder: true }),
  };
  const schedule = choices && formatSchedule(digest, choices);
  if (!found)
    return { ...head, schedule, verdict: telling!.verdict, broken: telling!.broken, story: story(telling!.events, '') };
  const { exploration, seconds } = found;
  const question: Question = { ...head, case: digest, symmetric: exploration.isSymmetric };
  const findings = findingsOf(exploration, digest);
  const { interleavings, complete, good, outcomes, schedules, brokenAt } = findings;
  return {
    ...head,
    ...(options.shard && { question, shard: shardName(options.shard), split: exploration.split }),
    interleavings,
    complete,
    good,
    outcomes,
    states: exploration.states,
    transitions: exploration.transitions,
    accesses: exploration.accesses,
    merged: exploration.merged,
    seconds: Number(seconds.toFixed(3)),
    statesPerSecond: Math.round(exploration.states / seconds),
    violations: Object.fromEntries(exploration.violations),
    schedules,
    brokenAt,
    digest: findingsDigest(question, findings, exploration.violations.keys()),
  };
}

const shardName = ({ index, count }: Shard) => `${index}/${count}`;

function printText({ prepared, options, found, telling, choices }: Run): void {
  const { config, digest } = prepared;
  print(describe(config));
  if (found) {
    const { exploration, seconds } = found;
    const whole = options.shard ? `shard ${shardName(options.shard)}:` : 'all';
    const all = exploration.complete ? whole : 'stopped at a bound after';
    const { merged, transitions } = exploration;
    print(
      `${all} ${humanCount(exploration.interleavings)} interleavings${merged > 0 ? ' of choice points' : ''}, ` +
        `${humanCount(exploration.states)} states, ${seconds.toFixed(1)} s`,
    );
    if (merged > 0)
      print(
        `  ${humanCount(merged)} of ${humanCount(transitions + merged)} accesses of the ${humanCount(transitions)} transitions ` +
          'are no choice points: nobody else touches what they touch before the next that is',
      );
    const rows = [...goodCounts(exploration)].map(([good, paths]) => [
      `  ${good} of ${config.controllers} good`,
      humanCount(paths),
    ]);
    if (rows.length > 0) print(table(rows));
    if (exploration.violations.size > 0) {
      const broken = [...exploration.violations].sort(([a], [b]) => Number(a.slice(1)) - Number(b.slice(1)));
      print('broken on the way (states):');
      print(table(broken.map(([name, n]) => [`  ${name}`, humanCount(n), INVARIANTS[name]])));
    }
  }
  if (!telling || !choices) {
    if (found)
      print(
        found.exploration.complete && !options.shard
          ? 'no interleaving fails'
          : 'none of those that were finished fails',
      );
    return;
  }
  const outcome = telling.verdict.map((state, task) => `${taskName(task)} ${state}`).join(', ');
  print(`${found ? 'a simplest run to the worst outcome' : 'this schedule'}: ${outcome}`);
  for (const line of story(telling.events)) print(line);
  for (const { name, after } of telling.broken) print(`    broken after ${after}: ${name}, ${INVARIANTS[name]}`);
  if (found) print(`replay it: ${replayCommand(config, options, formatSchedule(digest, choices))}`);
}

/** The line that replays a schedule: the options of this run with `--schedule`. */
function replayCommand(config: CaseConfig, options: Options, schedule: string): string {
  const words = ['pirqlab explore', SCENARIO];
  words.push(`--device-model ${options.deviceModel}`, `--kernel ${options.kernel}`, ...sideWords(options));
  words.push(`--workload ${config.workload}`, `--steps ${config.steps}`);
  if (config.from !== 'start') words.push(`--from ${config.from}`);
  if (config.atomicReenable) words.push('--atomic reenable');
  if (config.sequential) words.push('--sequential');
  return `${words.join(' ')} --schedule ${schedule}`;
}
