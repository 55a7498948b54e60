import { createHash } from 'node:crypto';
import { isShardName, joinShards, jsonCount, jsonCounts, UsageError } from '../core/index.ts';
import { type Exploration, goodCounts } from './explorer.ts';
import { formatSchedule, parseSchedule } from './schedule.ts';
import { compareWitnesses, type Witness } from './witness.ts';

type Count = number | string;

/** What an exploration, or a shard of one, has found, without times. */
export interface Findings {
  complete: boolean;
  /** Exact; as strings of digits where numbers are not. */
  interleavings: Count;
  outcomes: Record<string, Count>;
  /** By the number of good controllers. */
  good: Record<string, Count>;
  /** For each outcome the schedule of the best witness, and the step that first breaks an invariant, if one does. */
  schedules: Record<string, string>;
  brokenAt: Record<string, number>;
}

export interface ShardFindings extends Findings {
  /** `i/n`. */
  shard: string;
  /** Where the shards parted. */
  split: string;
  states: number;
  transitions: number;
  /** Invariants seen broken, and in how many of this shard's states. */
  violations: Record<string, number>;
}

/** What was asked: everything that results that are merged must have in common. */
export interface Question {
  scenario: string;
  /** Identifies the case, as in schedules. */
  case: string;
  controllers: number;
  /** Alike controllers: every result is counted for each naming. */
  symmetric: boolean;
  [side: string]: string | number | boolean;
}

/** Results of some shards of one exploration. Merging is associative, commutative and idempotent. */
export interface MergedExploration extends Findings {
  question: Question;
  /** By number. States that several shards reach are counted by each, so they do not add up. */
  shards: ShardFindings[];
  /** Names of invariants seen broken. */
  violated: string[];
  /** That of the whole exploration if all shards are there. */
  digest: string;
}

export function findingsOf(exploration: Exploration, digest: string): Findings {
  const { complete, interleavings, outcomes, witnesses, brokenAt } = exploration;
  const schedules = [...witnesses].map(([outcome, path]) => [outcome, formatSchedule(digest, path)] as const);
  return {
    complete,
    interleavings: jsonCount(interleavings),
    good: jsonCounts(goodCounts(exploration)),
    outcomes: jsonCounts(outcomes),
    schedules: Object.fromEntries(schedules),
    brokenAt: Object.fromEntries(brokenAt),
  };
}

/** 16 hex digits for everything that is the same whether explored whole or in shards. */
export function findingsDigest(question: Question, findings: Findings, violated: Iterable<string>): string {
  const { complete, interleavings, outcomes, schedules, brokenAt } = findings;
  const sorted = (record: object) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = [question.case, complete, interleavings, sorted(outcomes), sorted(schedules), sorted(brokenAt)];
  const text = JSON.stringify([...parts, [...violated].sort()]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** @throws UsageError if they are of different runs, or a shard is there with two results that differ */
export function mergeExplorations(results: readonly MergedExploration[]): MergedExploration {
  const [{ question }] = results;
  for (const other of results)
    if (JSON.stringify(other.question) !== JSON.stringify(question))
      throw new UsageError(`${describe(question)} and ${describe(other.question)} are different runs`);
  return combine(
    question,
    results.flatMap(({ shards }) => shards),
  );
}

function combine(question: Question, all: readonly ShardFindings[]): MergedExploration {
  const { shards, complete } = joinShards(all);
  const [first] = shards;
  for (const { shard, split } of shards)
    if (split !== first.split)
      throw new UsageError(
        `shards ${first.shard} and ${shard} parted differently (${first.split || 'never'}; ${split || 'never'}), ` +
          'so they do not add up',
      );
  const outcomes = new Map<string, bigint>();
  const witnesses = new Map<string, Witness>();
  let interleavings = 0n;
  for (const found of shards) {
    interleavings += BigInt(found.interleavings);
    for (const [outcome, paths] of Object.entries(found.outcomes))
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0n) + BigInt(paths));
    for (const [outcome, schedule] of Object.entries(found.schedules)) {
      const choices = parseSchedule(schedule, question.case, question.controllers);
      const witness = { choices, brokenAt: found.brokenAt[outcome] };
      const known = witnesses.get(outcome);
      if (!known || compareWitnesses(witness, known, question.symmetric) < 0) witnesses.set(outcome, witness);
    }
  }
  const findings: Findings = {
    complete: complete && shards.every((found) => found.complete),
    interleavings: jsonCount(interleavings),
    good: jsonCounts(goodCounts({ outcomes })),
    outcomes: jsonCounts(new Map([...outcomes].sort(([a], [b]) => (a < b ? -1 : 1)))),
    schedules: {},
    brokenAt: {},
  };
  for (const outcome of [...witnesses.keys()].sort()) {
    const { choices, brokenAt } = witnesses.get(outcome)!;
    findings.schedules[outcome] = formatSchedule(question.case, choices);
    if (brokenAt !== undefined) findings.brokenAt[outcome] = brokenAt;
  }
  const names = new Set(shards.flatMap(({ violations }) => Object.keys(violations)));
  const violated = [...names].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  return { question, ...findings, violated, digest: findingsDigest(question, findings, violated), shards };
}

const describe = (question: Question) => Object.values(question).join(' ');

/**
 * Reads what `explore --shard … --json` or an earlier merge printed.
 * @throws UsageError if it is neither
 */
export function parseExploration(text: string, from: string): MergedExploration {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`${from}: no JSON`);
  }
  const question = value?.['question'];
  const shards = Array.isArray(value?.['shards']) ? value['shards'] : [value];
  if (!isQuestion(question) || shards.length === 0 || !shards.every(isShard))
    throw new UsageError(`${from}: no result of pirqlab explore --shard … --json, nor of explore merge`);
  return combine(question, shards.map(onlyFindings));
}

/** Without times and whatever else came with it. */
function onlyFindings(found: ShardFindings): ShardFindings {
  const { shard, split, complete, interleavings, good, outcomes } = found;
  const { violations, schedules, brokenAt, states, transitions } = found;
  return {
    shard,
    split,
    complete,
    interleavings,
    good,
    outcomes,
    violations,
    schedules,
    brokenAt,
    states,
    transitions,
  };
}

function isQuestion(value: unknown): value is Question {
  const v = value as Partial<Question> | null | undefined;
  return (
    typeof v?.scenario === 'string' &&
    typeof v.case === 'string' &&
    typeof v.controllers === 'number' &&
    typeof v.symmetric === 'boolean'
  );
}

function isShard(value: unknown): value is ShardFindings {
  const v = value as Partial<ShardFindings> | null;
  return (
    isShardName(v?.shard) &&
    typeof v.split === 'string' &&
    typeof v.complete === 'boolean' &&
    isCount(v.interleavings) &&
    isRecordOf(v.good, isCount) &&
    isRecordOf(v.outcomes, isCount) &&
    isRecordOf(v.violations, isCount) &&
    isRecordOf(v.schedules, (schedule) => typeof schedule === 'string') &&
    isRecordOf(v.brokenAt, isCount) &&
    isCount(v.states) &&
    isCount(v.transitions)
  );
}

const isCount = (value: unknown) =>
  typeof value === 'string' ? /^\d+$/.test(value) : Number.isSafeInteger(value) && (value as number) >= 0;

const isRecordOf = (value: unknown, isFitting: (v: unknown) => boolean) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isFitting);
