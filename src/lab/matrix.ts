import { CASE_WORKLOADS, type CaseConfig, caseConfig, exploreCase, prepareCase, type WorkloadName } from './case.ts';
import { type Exploration, goodCounts } from './explorer.ts';
import { expectation, type MatrixRow, type Verdict } from './scenarios/lp1657489.ts';
import { formatSchedule } from './schedule.ts';
import { type Telling, tell } from './telling.ts';

/** What one pair of sides makes of one workload. */
export interface CellFinding {
  complete: boolean;
  interleavings: bigint;
  /** Interleavings by the number of good controllers. */
  good: Map<number, bigint>;
  /** Interleavings by the end of each controller: g good, d degraded, f failed. */
  outcomes: Map<string, bigint>;
  violations: Map<string, number>;
  states: number;
  verdict: Verdict;
  /** For a cell that does not simply work. */
  failure?: Failure;
}

/** The simplest failing run: fewest controllers, then fewest vectors, then as the explorer orders runs. */
export interface Failure {
  controllers: number;
  vectors: number;
  schedule: string;
  telling: Telling;
}

export interface Cell {
  row: MatrixRow;
  workload: WorkloadName;
  config: CaseConfig;
  finding: CellFinding;
  expected: { verdict: Verdict; source: string } | undefined;
}

/** Answers one cell. Pure: the same configuration gives the same finding. */
export function findCell(config: CaseConfig, maxStates?: number): CellFinding {
  const exploration = exploreCase(prepareCase(config), maxStates === undefined ? {} : { maxStates });
  const { complete, interleavings, outcomes, violations, states } = exploration;
  const verdict = verdictOf(outcomes);
  const finding: CellFinding = {
    complete,
    interleavings,
    good: goodCounts(exploration),
    outcomes,
    violations,
    states,
    verdict,
  };
  return verdict === 'works' ? finding : { ...finding, failure: simplestFailure(config, verdict) };
}

/** The cell with what is expected of it. */
export function makeCell(row: MatrixRow, config: CaseConfig, finding: CellFinding): Cell {
  const isUsual =
    config.controllers >= 2 && config.vectors >= 2 && !config.sequential && config.xen.name === 'xen-4.17';
  const expected = isUsual && finding.complete ? expectation(row, config.workload) : undefined;
  return { row, workload: config.workload, config, finding, expected };
}

/** The cells of a matrix, row by row. */
export function matrixConfigs(
  rows: readonly MatrixRow[],
  workloads: readonly WorkloadName[],
  common: Partial<CaseConfig>,
): { row: MatrixRow; config: CaseConfig }[] {
  return rows.flatMap((row) =>
    workloads.map((workload) => ({
      row,
      config: caseConfig({ ...common, workload, deviceModel: row.deviceModel, kernel: row.kernel }),
    })),
  );
}

export const ALL_WORKLOADS = Object.keys(CASE_WORKLOADS) as WorkloadName[];

function verdictOf(outcomes: Map<string, bigint>): Verdict {
  const ends = [...outcomes.keys()];
  if (ends.every((outcome) => /^g+$/.test(outcome))) return 'works';
  const isEverGood = ends.some((outcome) => /^g+$/.test(outcome));
  const isEverFailed = ends.some((outcome) => outcome.includes('f'));
  if (isEverFailed) return isEverGood ? 'sometimes fails' : 'fails';
  return isEverGood ? 'sometimes slow' : 'slow';
}

/** Looks for the same kind of failure with fewer controllers and vectors, smallest first. */
function simplestFailure(config: CaseConfig, verdict: Verdict): Failure {
  const isAlike = (found: Verdict) => found !== 'works' && found.endsWith('slow') === verdict.endsWith('slow');
  for (let controllers = 1; controllers <= config.controllers; controllers++)
    for (let vectors = 1; vectors <= config.vectors; vectors++) {
      const smaller = { ...config, controllers, vectors };
      const prepared = prepareCase(smaller);
      const exploration = exploreCase(prepared);
      if (!isAlike(verdictOf(exploration.outcomes))) continue;
      const choices = worstWitness(exploration)!;
      return {
        controllers,
        vectors,
        schedule: formatSchedule(prepared.digest, choices),
        telling: tell(prepared, choices),
      };
    }
  throw new Error('a failure that was found is not found again');
}

/** The witness of the outcome with the fewest good controllers, of several the first by name; undefined if all are good. */
export function worstWitness({ outcomes, witnesses }: Exploration): number[] | undefined {
  const bad = [...outcomes.keys()].filter((outcome) => !/^g+$/.test(outcome));
  const good = (outcome: string) => [...outcome].filter((letter) => letter === 'g').length;
  const [worst] = bad.sort((a, b) => good(a) - good(b) || (a < b ? -1 : 1));
  return worst === undefined ? undefined : witnesses.get(worst);
}
