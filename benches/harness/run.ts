import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import type { BenchOptions } from '../../src/cli/bench.ts';
import { chartPage } from './charts.ts';
import { regressions } from './compare.ts';
import { type CaseResult, type Measured, type QuestionResult, type Report, summarize } from './measured.ts';
import type { Case, Lookup, Question } from './question.ts';
import { printQuestion } from './tables.ts';

/** All of benches/, in the order of running. */
const QUESTIONS = ['allocation', 'deliver', 'registers', 'snapshot', 'explore', 'bringup'] as const;

const FULL = { rounds: 7, roundMs: 60 };
const QUICK = { rounds: 5, roundMs: 15 };
const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));
/** A worker that takes longer has gone astray. */
const WORKER_MINUTES = 5;

/**
 * Measures the questions named (all if none; the caller knows that they exist), prints tables as it goes, writes what was asked for.
 * @returns the exit status: 1 if variants that must agree do not, or a ratio is worse than in the file compared with
 */
export async function runBenches(names: string[], options: BenchOptions, root: string): Promise<number> {
  const former = options.compare ? (JSON.parse(readFileSync(options.compare, 'utf8')) as Report) : undefined;
  const report: Report = {
    format: 1,
    date: new Date().toISOString(),
    quick: options.quick ?? false,
    machine: machine(),
    versions: versions(root),
    questions: [],
  };
  const data = `${root}/build/benches/data`; // where the compiled sources look for it
  if (!existsSync(data)) symlinkSync(`${root}/data`, data, 'junction');
  let agree = true;
  for (const name of names.length ? names : QUESTIONS) {
    const { default: question } = (await import(`../${name}.js`)) as { default: Question };
    const result = measure(question, report.quick, (why) => {
      agree = false;
      process.stderr.write(`pirqlab: ${why}\n`);
    });
    report.questions.push(result);
    printQuestion(result);
  }
  if (options.json) writeFileSync(options.json, `${JSON.stringify(report, undefined, 1)}\n`);
  if (options.html) writeFileSync(options.html, chartPage(report));
  const worse = former ? regressions(former, report) : [];
  for (const line of worse) process.stdout.write(`${line}\n`);
  if (former && worse.length === 0) process.stdout.write(`no ratio is worse than in ${options.compare}\n`);
  return agree && worse.length === 0 ? 0 : 1;
}

function measure(question: Question, quick: boolean, complain: (why: string) => void): QuestionResult {
  const cases = question.cases
    .filter(({ slow }) => !(quick && slow))
    .map((c) => measureCase(question, c, quick, complain));
  const get: Lookup = (caseId, variant, figure) => {
    const found = cases.find(({ id }) => id === caseId)?.variants.find((v) => v.variant === variant);
    return (figure === undefined ? found?.medianNs : found?.figures?.[figure]) ?? NaN;
  };
  const { name, title, operation, xLabel } = question;
  const targets = question.targets.map(({ what, is, limit, value }) => {
    const measured = value(get);
    if (!Number.isFinite(measured)) return { what, is, limit };
    return { what, is, limit, value: measured, met: is === 'at most' ? measured <= limit : measured >= limit };
  });
  const tables = question.tables?.(quick);
  return { name, title, operation, xLabel, cases, targets, ...(tables && { tables }) };
}

function measureCase(question: Question, c: Case, quick: boolean, complain: (why: string) => void): CaseResult {
  const sums = new Map<number, string>();
  const variants = Object.keys(c.variants).map((variant) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${question.name} ${c.id} ${variant} …`);
    const measured = runWorker(question.name, c, variant, quick);
    if (!('skipped' in measured)) sums.set(measured.checksum, variant);
    return summarize(variant, measured);
  });
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[K');
  if (c.agree && sums.size > 1)
    complain(`${question.name} ${c.id}: ${[...sums.values()].join(' and ')} do not give the same results`);
  return { id: c.id, ...(c.x !== undefined && { x: c.x }), ...(c.chart && { chart: c.chart }), variants };
}

function runWorker(question: string, c: Case, variant: string, quick: boolean): Measured {
  const { id, minutes = WORKER_MINUTES } = c;
  const { rounds, roundMs } = quick ? QUICK : FULL;
  const done = spawnSync(
    process.execPath,
    ['--expose-gc', '--max-old-space-size=6144', WORKER, question, id, variant, `${rounds}`, `${roundMs}`],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 * minutes, maxBuffer: 1 << 26 },
  );
  if (done.status === 0) return JSON.parse(done.stdout) as Measured;
  const last =
    done.stderr
      .trim()
      .split('\n')
      .find((line) => /Error|error|limit/.test(line)) ?? `status ${done.status}`;
  return { skipped: `failed: ${last.trim().slice(0, 120)}` };
}

function machine(): Report['machine'] {
  const [cpu] = os.cpus();
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: os.cpus().length,
    memoryGiB: Math.round(os.totalmem() / 2 ** 30),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    loadAverage: Number(os.loadavg()[0].toFixed(1)),
  };
}

function versions(root: string): Record<string, string> {
  const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
  const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' });
  return {
    node: process.versions.node,
    v8: process.versions.v8,
    pirqlab: version,
    commit: commit.status === 0 ? commit.stdout.trim() : 'unknown',
  };
}
