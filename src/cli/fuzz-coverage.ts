import { writeFileSync } from 'node:fs';
import { extname } from 'node:path';
import { UsageError } from '../core/index.ts';
import type { Access } from '../fuzz/access.ts';
import { branchCoverage } from '../fuzz/coverage/branches.ts';
import { RegisterTally } from '../fuzz/coverage/registers.ts';
import { type Coverage, coverageHtml, coverageOf } from '../fuzz/coverage/report.ts';
import type { Target } from '../fuzz/target.ts';

/** Steps of the counted run: counting makes it some ten times slower, and later inputs rarely take new branches. */
const COUNTED_STEPS = 1_000_000;
/** Inputs that reached new states, kept for the tally of registers. */
const KEPT_INPUTS = 4000;

/** Gathers what `--coverage` reports: inputs while the run goes on, the rest after it. */
export class CoverageCollector {
  readonly #target: Target<unknown>;
  readonly #inputs: { variant: number; steps: readonly unknown[] }[] = [];

  /** @throws UsageError if the file's name ends in neither .json nor .html */
  constructor(target: Target<unknown>, file: string | true) {
    if (file !== true && !['.json', '.html'].includes(extname(file)))
      throw new UsageError(`--coverage writes .json or .html, not "${file}"`);
    this.#target = target;
  }

  onNovel(variant: number, steps: readonly unknown[]): void {
    if (this.#inputs.length < KEPT_INPUTS) this.#inputs.push({ variant, steps });
  }

  /** Runs the same inputs again in a process that counts. */
  async finish(steps: number, options: { seed: number; shard?: { index: number; count: number } }): Promise<Coverage> {
    const counted = Math.min(steps, COUNTED_STEPS);
    const { seed, shard } = options;
    const args = [
      'fuzz',
      '--target',
      this.#target.name,
      '--seed',
      String(seed),
      '--accesses',
      String(counted),
      '--json',
    ];
    if (shard) args.push('--shard', `${shard.index}/${shard.count}`);
    const files = await branchCoverage(args);
    const tally = new RegisterTally();
    const specs = new Map<number, ReturnType<Target<unknown>['open']>['functions']>();
    for (const { variant, steps } of this.#inputs) {
      const functions = specs.get(variant) ?? this.#target.open(variant).functions;
      specs.set(variant, functions);
      // with several functions an access is routed, and by whom depends on all that came before
      if (functions.length === 1) tally.add(functions[0], steps as readonly Access[]);
    }
    return coverageOf(counted, files, tally.rows());
  }
}

export function writeCoverage(file: string, title: string, coverage: Coverage): void {
  writeFileSync(file, extname(file) === '.html' ? coverageHtml(title, coverage) : `${JSON.stringify(coverage)}\n`);
}
