import { jsonCount, jsonCounts } from '../core/index.ts';
import type { Cell } from '../lab/matrix.ts';
import { differences, isAsExpected, rowsOfCells, upgradeAdvice } from './matrix-text.ts';
import { story } from './story.ts';

/** The matrix for programs; counts above 2^53 are decimal strings. */
export function matrixJson(cells: readonly Cell[], replay: (cell: Cell) => string): unknown {
  const { controllers, vectors, xen, drive, sequential } = cells[0].config;
  return {
    scenario: 'lp1657489',
    controllers,
    vectors,
    xen: xen.name,
    drive: drive.name,
    sequential,
    asExpected: cells.every(isAsExpected),
    rows: rowsOfCells(cells).map(({ row, cells: own }) => ({
      case: row.case,
      deviceModel: row.deviceModel.name,
      freesOnDisable: row.deviceModel.switches.freeOnDisable,
      kernel: row.kernel.name,
      reuse: row.kernel.reuse,
      reportSays: row.reportSays ?? null,
      cells: own.map((cell) => cellJson(cell, replay)),
    })),
    differences: differences(cells),
    upgrade: upgradeAdvice(cells),
  };
}

function cellJson(cell: Cell, replay: (cell: Cell) => string): unknown {
  const { workload, finding, expected } = cell;
  const { failure } = finding;
  return {
    workload,
    verdict: finding.verdict,
    expected: expected?.verdict ?? null,
    source: expected?.source ?? null,
    asExpected: isAsExpected(cell),
    complete: finding.complete,
    interleavings: jsonCount(finding.interleavings),
    good: jsonCounts(finding.good),
    outcomes: jsonCounts(finding.outcomes),
    states: finding.states,
    violations: Object.fromEntries(finding.violations),
    failure: failure
      ? {
          controllers: failure.controllers,
          vectors: failure.vectors,
          schedule: failure.schedule,
          verdict: failure.telling.verdict,
          broken: failure.telling.broken,
          replay: replay(cell),
          story: story(failure.telling.events, ''),
        }
      : null,
  };
}
