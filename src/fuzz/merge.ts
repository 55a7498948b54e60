import { createHash } from 'node:crypto';
import { isShardName, joinShards, UsageError } from '../core/index.ts';

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
  return isShardName(v?.shard) && typeof v.digest === 'string' && Array.isArray(v.findings);
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
  const { shards, complete } = joinShards(
    all.map(({ shard, runs, steps, digest, findings }) => {
      const plain = findings.map(({ broken, subject, steps: length }) => ({ broken, subject, steps: length }));
      return { shard, runs, steps, digest, findings: plain };
    }),
  );
  const sum = (of: (s: ShardResult) => number) => shards.reduce((total, s) => total + of(s), 0);
  return {
    target,
    seed,
    shards,
    complete,
    runs: sum((s) => s.runs),
    steps: sum((s) => s.steps),
    findings: sum((s) => s.findings.length),
    digest: createHash('sha256')
      .update(JSON.stringify([target, seed, shards]))
      .digest('hex')
      .slice(0, 16),
  };
}
