import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../core/index.ts';
import { type JudgeResult, judge, type PeerFinding, replayAgainst } from '../fuzz/against/judge.ts';
import { openPeer, type PeerOptions } from '../fuzz/against/open.ts';
import type { Peer } from '../fuzz/against/peer.ts';
import { contentName, encodeInput, readInput } from '../fuzz/input-file.ts';
import type { FunctionTarget } from '../fuzz/targets/devices.ts';
import { getTarget } from '../fuzz/targets/index.ts';
import { type FuzzBounds, FuzzWatch } from './fuzz-watch.ts';
import { humanCount, print, printJson } from './output.ts';

export interface AgainstOptions extends PeerOptions, FuzzBounds {
  against: string;
  target: string;
  seed: number;
  runs: number | undefined;
  findings: number;
  folder: string;
  json: boolean;
}

/** `fuzz --target T --against WHERE`: somebody else's device, judged by our oracle. Exit status 1 on a finding. */
export async function fuzzAgainst(options: AgainstOptions): Promise<void> {
  const { against, seed, runs, folder } = options;
  const target = await registerTarget(options.target);
  const watch = new FuzzWatch(options, 'inputs', 'accesses');
  let spec: Peer['spec'] | undefined;
  const open = async () => {
    const peer = await openPeer(against, options);
    spec = peer.spec;
    return peer;
  };
  const result = await judge(open, target, {
    seed,
    ...(runs !== undefined && { runs }),
    maxFindings: options.findings,
    stop: (done, steps) => watch.shouldStop(done, steps),
  });
  const took = watch.finish();
  const folders = result.findings.map((finding) => writePeerFinding(folder, target, spec!, result.label, finding));
  if (result.findings.some((f) => !f.known)) process.exitCode = 1;
  if (options.json) {
    const findings = result.findings.map((f, i) => ({ ...f, steps: f.steps.length, folder: folders[i] }));
    printJson({ target: options.target, against: result.label, ...result, findings, seconds: took });
  } else tell(result, folders, options, took);
}

/** `fuzz --replay FILE --against WHERE`. */
export async function replayInputAgainst(path: string, against: string, options: PeerOptions, json: boolean) {
  const { target: name, body } = readInput(path);
  const target = await registerTarget(name);
  const { label, broken, story } = await replayAgainst(() => openPeer(against, options), target, target.decode(body));
  if (broken) process.exitCode = 1;
  if (json) printJson({ target: name, against: label, broken: broken ?? null, story });
  else
    for (const line of [`${name}: ${label}`, ...story, broken ? `     differs: ${broken}` : 'no difference'])
      print(line);
}

/** A target whose accesses any function can be given. */
async function registerTarget(name: string): Promise<FunctionTarget> {
  const target = (await getTarget(name)) as FunctionTarget;
  if (!target.openSpec)
    throw new UsageError(`--against takes a target of registers, such as config, msi and msix, not ${name}`);
  return target;
}

function tell(
  { label, runs, steps, findings }: JudgeResult,
  folders: string[],
  options: AgainstOptions,
  took: number,
): void {
  print(
    `${options.target} against ${label}: ${humanCount(runs)} inputs, ${humanCount(steps)} accesses checked in ${took.toFixed(1)} s`,
  );
  for (const [i, finding] of findings.entries()) {
    print(`\n${finding.broken}${finding.known ? ` (known: ${finding.known})` : ''}`);
    print(`found in input ${finding.run}; ${finding.found} accesses shrunk to ${finding.steps.length}:`);
    for (const line of finding.story) print(line);
    print(
      `kept in ${folders[i]}; replay it: pirqlab fuzz --replay ${join(folders[i], 'input.bin')} --against ${options.against}`,
    );
  }
  if (findings.length === 0) print('no finding');
}

/** `input.bin`, `story.txt` and `finding.json` in a folder of its own. */
function writePeerFinding(
  folder: string,
  target: FunctionTarget,
  spec: Peer['spec'],
  label: string,
  finding: PeerFinding,
): string {
  const input = encodeInput(target, target.openSpec(spec), 0, finding.steps);
  const path = join(folder, `${target.name}-${contentName(input)}`);
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'input.bin'), input);
  writeFileSync(join(path, 'story.txt'), `${label}\n${finding.broken}\n\n${finding.story.join('\n')}\n`);
  const { steps, story: _, ...about } = finding;
  writeFileSync(
    join(path, 'finding.json'),
    `${JSON.stringify({ target: target.name, against: label, ...about, steps: steps.length }, null, 2)}\n`,
  );
  return path;
}
