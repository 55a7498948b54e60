import { UsageError } from '../core/index.ts';
import { writeQtestFinding } from '../fuzz/against/qtest-finding.ts';
import { judgeQtest, type QtestFinding, type QtestResult, replayQtest } from '../fuzz/against/qtest-judge.ts';
import { qemuPlaces, qtestPlaces } from '../fuzz/against/qtest-open.ts';
import { hasCapability, type Measured, QtestPeer, type QtestPlace } from '../fuzz/against/qtest-peer.ts';
import type { Aim } from '../fuzz/against/qtest-steps.ts';
import { type FuzzBounds, FuzzWatch } from './fuzz-watch.ts';
import { humanCount, print, printJson } from './output.ts';

export interface QemuOptions extends FuzzBounds {
  against: string;
  bdf: string | undefined;
  /** One of config, msi, msix; without it all that the function has. */
  target: string | undefined;
  seed: number;
  runs: number | undefined;
  folder: string;
  /** Steps to carry out instead, as a finding has them. */
  steps: string | undefined;
  json: boolean;
}

const AIMS: readonly Aim[] = ['config', 'msi', 'msix'];
const CAPABILITY: Record<Aim, number> = { config: 0, msi: 5, msix: 0x11 };

export const isOfQemu = (against: string): boolean => /^(qemu|qtest):./.test(against);

/** `fuzz --against qemu:DEVICE | qtest:PATH`: a function of a QEMU, judged. Exit status 1 if something new is found. */
export async function fuzzQemu(options: QemuOptions): Promise<void> {
  const { against, seed, runs, target } = options;
  if (target !== undefined && !AIMS.includes(target as Aim))
    throw new UsageError(`--against qemu: and qtest: take --target ${AIMS.join(', ')}, not "${target}"`);
  const [label, places] = opener(against, options.bdf);
  let peer: QtestPeer | undefined;
  const measured = await measure(places);
  const has = AIMS.filter((aim) => CAPABILITY[aim] === 0 || hasCapability(measured.layout, CAPABILITY[aim]));
  if (target !== undefined && !has.includes(target as Aim)) throw new UsageError(`${label} has no ${target}`);
  const aims = target === undefined ? has : [target as Aim];
  if (options.steps !== undefined) return carryOut(places, aims, options.steps, options.json);
  const watch = new FuzzWatch(options, 'inputs of each target', 'accesses');
  const result = await judgeQtest(places, {
    ...{ aims, seed, ...(runs !== undefined && { runs }) },
    onPeer: (p) => {
      peer = p;
    },
    stop: (done, steps) => watch.shouldStop(done, steps),
  });
  const took = watch.finish();
  const folders: string[] = [];
  for (const finding of result.findings) folders.push(await writeQtestFinding(options.folder, label, peer!, finding));
  if (result.findings.length > 0) process.exitCode = 1;
  if (options.json) printJson(toJson(label, aims, seed, result, folders, took));
  else tell(label, aims, seed, result, folders, took);
}

function opener(against: string, bdf: string | undefined): [label: string, open: () => Promise<QtestPlace>] {
  const place = against.slice(against.indexOf(':') + 1);
  if (against.startsWith('qemu:')) {
    if (bdf !== undefined) throw new UsageError('--bdf goes with --against qtest:PATH');
    return [place, qemuPlaces(place)];
  }
  if (bdf === undefined) throw new UsageError('--against qtest:PATH needs --bdf, such as 0:4.0');
  return [bdf, qtestPlaces(place, bdf)];
}

async function measure(open: () => Promise<QtestPlace>): Promise<Measured> {
  const peer = await QtestPeer.open(await open());
  await peer.pristine();
  await peer.place.close();
  return peer.measured;
}

async function carryOut(open: () => Promise<QtestPlace>, aims: readonly Aim[], text: string, json: boolean) {
  const steps = text
    .split(';')
    .map((step) => step.trim())
    .filter((step) => step !== '');
  const [{ differences, story }] = await replayQtest(open, [{ aim: aims.at(-1)!, steps }]);
  if (differences.length > 0) process.exitCode = 1;
  if (json) printJson({ steps, differences, story });
  else for (const line of [...story, ...(differences.length === 0 ? ['no difference'] : [])]) print(line);
}

function toJson(
  device: string,
  targets: readonly Aim[],
  seed: number,
  { runs, steps, messages, findings, seen }: QtestResult,
  folders: string[],
  seconds: number,
): object {
  const known = [...seen].map(({ id, law, register, source, verdict }) => ({ id, law, register, source, verdict }));
  const told = findings.map(({ steps: _, lines, ...rest }, i) => ({ ...rest, steps: lines, folder: folders[i] }));
  return { device, targets, seed, runs, steps, messages, seconds, known, new: told };
}

function tell(
  label: string,
  aims: readonly Aim[],
  seed: number,
  { runs, steps, messages, findings, seen }: QtestResult,
  folders: string[],
  seconds: number,
): void {
  print(
    `${label}: ${humanCount(runs)} inputs each of ${aims.join(', ')}, seed ${seed}: ${humanCount(steps)} accesses judged, ` +
      `${humanCount(messages)} messages seen, in ${seconds.toFixed(1)} s`,
  );
  for (const { id, law, register, source } of seen) print(`  known: ${id}: ${law}, ${register} (${source})`);
  for (const [i, finding] of findings.entries()) tellFinding(finding, folders[i]);
  print(`${seen.size} known, ${findings.length} new`);
}

function tellFinding(
  { law, register, section, verdict, text, found, steps, lines, story }: QtestFinding,
  folder: string,
) {
  print(`\n${law}: ${register} (${section})${verdict === 'custom' ? ', not forbidden but not as hardware does' : ''}`);
  print(steps.length === 0 ? text : `${found} accesses shrunk to ${steps.length}: ${lines.join('; ')}`);
  for (const line of story) print(line);
  print(`kept in ${folder}`);
}
