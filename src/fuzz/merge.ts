import { createHash } from 'node:crypto';
import { UsageError } from '../core/index.ts';

/** What a shard's run came to, without times, so that the same shard run anywhere gives the same. */
export interface ShardResult {
  /** `i/n`. */
  shard: string;
  runs: number;
  steps: number;
  digest: string;
  findings: { broken: string; subject: string; steps: number }[];
}

/** Results of some shards of one run. Merging is associative, commutative and idempotent. */
export interface MergedResult {
  target: string;
  seed: number;
  /** By number. */
  shards: ShardResult[];
  /** True if no shard is missing. */
  complete: boolean;
  runs: number;
  steps: number;
  findings: number;
  digest: string;
}

/**
 * Reads what `fuzz --json` or an earlier merge printed.
 * @throws UsageError if it is neither
 */
export function parseResult(text: string, from: string): MergedResult {
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${from}: no JSON`);
  }
  const { target, seed } = value ?? {};
  const shards = Array.isArray(value?.['shards']) ? value['shards'] : [value];
  if (typeof target !== 'string' || typeof seed !== 'number' || !shards.every(isShard))
    throw new UsageError(`${from}: no result of pirqlab fuzz --shard … --json, nor of fuzz merge`);
  return combine(target, seed, shards);
}

function isShard(value: unknown): value is ShardResult {
  const v = value as Partial<ShardResult> | null;
  return (
    typeof v?.shard === 'string' &&
    /^\d+\/\d+$/.test(v.shard) &&
    typeof v.digest === 'string' &&
    Array.isArray(v.findings)
  );
}

/** @throws UsageError if they are of different runs, or a shard is there with two different results */
export function mergeResults(results: readonly MergedResult[]): MergedResult {
  const [{ target, seed }] = results;
  for (const r of results)
    if (r.target !== target || r.seed !== seed)
      throw new UsageError(`${target} with seed ${seed} and ${r.target} with seed ${r.seed} are different runs`);
  return combine(
    target,
    seed,
    results.flatMap((r) => r.shards),
  );
}

function combine(target: string, seed: number, all: readonly ShardResult[]): MergedResult {
  const byName = new Map<string, ShardResult>();
  for (const { shard, runs, steps, digest, findings } of all) {
    const known = byName.get(shard);
    if (known && (known.digest !== digest || known.runs !== runs))
      throw new UsageError(
        `shard ${shard} has two results: ${known.runs} runs ${known.digest}, ${runs} runs ${digest}`,
      );
    const plain = findings.map(({ broken, subject, steps: length }) => ({ broken, subject, steps: length }));
    byName.set(shard, { shard, runs, steps, digest, findings: plain });
  }
  const counts = new Set([...byName.keys()].map(countOf));
  if (counts.size > 1) throw new UsageError(`shards of ${[...counts].join(' and of ')} do not belong together`);
  const shards = [...byName.values()].sort((a, b) => Number.parseInt(a.shard, 10) - Number.parseInt(b.shard, 10));
  const sum = (of: (s: ShardResult) => number) => shards.reduce((total, s) => total + of(s), 0);
  return {
    target,
    seed,
    shards,
    complete: shards.length === countOf(shards[0].shard),
    runs: sum((s) => s.runs),
    steps: sum((s) => s.steps),
    findings: sum((s) => s.findings.length),
    digest: createHash('sha256')
      .update(JSON.stringify([target, seed, shards]))
      .digest('hex')
      .slice(0, 16),
  };
}

const countOf = (shard: string) => Number(shard.slice(shard.indexOf('/') + 1));
