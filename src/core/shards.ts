import { UsageError } from './errors.ts';

/** One of `count` parts of a run, numbered from 0; written `index/count`. */
export interface Shard {
  index: number;
  count: number;
}

const countOf = (shard: string) => Number(shard.slice(shard.indexOf('/') + 1));

export function isShardName(value: unknown): value is string {
  return typeof value === 'string' && /^\d+\/[1-9]\d*$/.test(value) && Number.parseInt(value, 10) < countOf(value);
}

/**
 * Results of shards of one run, each once and by number, and whether no shard is missing. Associative, commutative and
 * idempotent.
 * @throws UsageError if they are parts of different partitions, or a shard is there with two results that differ
 */
export function joinShards<T extends { shard: string }>(all: readonly T[]): { shards: T[]; complete: boolean } {
  const byName = new Map<string, T>();
  for (const result of all) {
    const known = byName.get(result.shard);
    if (known && JSON.stringify(known) !== JSON.stringify(result))
      throw new UsageError(`shard ${result.shard} has two results that differ`);
    byName.set(result.shard, result);
  }
  const counts = new Set([...byName.keys()].map(countOf));
  if (counts.size !== 1) throw new UsageError(`shards of ${[...counts].join(' and of ')} do not belong together`);
  const shards = [...byName.values()].sort((a, b) => Number.parseInt(a.shard, 10) - Number.parseInt(b.shard, 10));
  return { shards, complete: shards.length === countOf(shards[0].shard) };
}
