import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { UsageError } from '../../core/index.ts';
import { CanaryBuild } from './build.ts';
import type { Canary } from './canary.ts';

/** What became of one planted bug. */
export interface CanaryResult {
  name: string;
  target: string;
  found: boolean;
  /** Steps until it was found, or in all. */
  executions: number;
  /** CPU seconds of the search and the shrinking, without the start of the process. */
  seconds: number;
  /** Length after shrinking, 0 if not found. */
  accesses: number;
  /** The law that it breaks, or why it was not judged. */
  broken: string;
}

/** Builds and fuzzes each canary in a process of its own, one after the other. */
export async function runCanaries(
  canaries: readonly Canary[],
  options: { seed: number; seconds: number; onResult?: (result: CanaryResult) => void },
): Promise<CanaryResult[]> {
  const build = await CanaryBuild.make();
  const results: CanaryResult[] = [];
  try {
    for (const canary of canaries) {
      const result = runOne(build, canary, options.seed, options.seconds);
      options.onResult?.(result);
      results.push(result);
    }
  } finally {
    build.remove();
  }
  return results;
}

function runOne(build: CanaryBuild, canary: Canary, seed: number, seconds: number): CanaryResult {
  const { name, target } = canary;
  const missed = { name, target, found: false, executions: 0, seconds: 0, accesses: 0 };
  let main: string;
  try {
    main = build.build(canary);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return { ...missed, broken: error.message };
  }
  const args = [main, 'fuzz', '--target', target, '--seed', String(seed), '--for', `${seconds}s`, '--json'];
  // a planted bug may run away, too
  const done = spawnSync(process.execPath, args, {
    cwd: join(main, '../../..'), // its findings go with it
    encoding: 'utf8',
    timeout: (3 * seconds + 20) * 1000,
    maxBuffer: 1 << 26,
  });
  if (done.status !== 0 && done.status !== 1) {
    const why =
      (done.stderr ?? '')
        .trim()
        .split('\n')
        .find((line) => /Error|pirqlab:/.test(line)) ?? 'no answer';
    return { ...missed, broken: `did not run: ${why.slice(0, 200)}` };
  }
  const {
    findings: list,
    steps,
    cpuSeconds,
  } = JSON.parse(done.stdout) as {
    findings: { executions: number; steps: number; broken: string }[];
    steps: number;
    cpuSeconds: number;
  };
  const [finding] = list;
  if (!finding) return { ...missed, executions: steps, seconds: cpuSeconds, broken: '' };
  return {
    name,
    target,
    found: true,
    executions: finding.executions,
    seconds: cpuSeconds,
    accesses: finding.steps,
    broken: finding.broken,
  };
}

/** The middle of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? 0;
}
