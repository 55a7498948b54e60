import { CASE_WORKLOADS } from '../lab/case.ts';
import type { Cell } from '../lab/matrix.ts';
import { htmlPage, type Section } from './html.ts';
import {
  count,
  differences,
  distributionText,
  guestSide,
  hostSide,
  isAsExpected,
  rowsOfCells,
  upgradeAdvice,
  verdictText,
} from './matrix-text.ts';

/** The matrix as one page that opens offline: a table, what it means, and a timeline for each failing cell. */
export function matrixHtml(cells: readonly Cell[], replay: (cell: Cell) => string): string {
  const { controllers, vectors, xen, drive, sequential } = cells[0].config;
  const order = sequential ? 'one controller after another' : 'every interleaving of coarse steps';
  const rows = rowsOfCells(cells);
  const workloads = rows[0].cells.map((cell) => CASE_WORKLOADS[cell.workload].what);
  const matrix: Section = {
    title: 'The four cases',
    text: [
      `${count(controllers, 'NVMe controller')} (${drive.name}), ${count(vectors, 'vector')} each, ${xen.name}, ${order}.`,
    ],
    table: {
      head: ['case', 'hypervisor side', 'guest side', 'the report says', ...workloads],
      rows: rows.map(({ row, cells: own }) => ({
        tone: toneOf(own),
        cells: [
          row.case ? String(row.case) : '',
          hostSide(row),
          guestSide(row),
          row.reportSays ?? '',
          ...own.map((cell) => `${verdictText(cell)}${isAsExpected(cell) ? '' : ' (!)'}\n${distributionText(cell)}`),
        ],
      })),
    },
  };
  const texts: Section[] = [
    { title: 'Where model and report differ', text: differences(cells) },
    { title: 'In which order to upgrade', text: upgradeAdvice(cells) },
  ].filter(({ text }) => text.length > 0);
  const failures = cells.flatMap((cell) => (cell.finding.failure ? [failureSection(cell, replay)] : []));
  return htmlPage('pirqlab: pirqs of NVMe drives on MSI disable', [matrix, ...texts, ...failures]);
}

function failureSection(cell: Cell, replay: (cell: Cell) => string): Section {
  const { telling, controllers } = cell.finding.failure!;
  const broken = telling.broken.map(({ name, after }) => `${name} (after ${after})`).join(', ');
  return {
    title: `Case ${cell.row.case}, ${cell.row.kernel.reuse}, ${CASE_WORKLOADS[cell.workload].what}: ${verdictText(cell)}`,
    text: [`Invariants broken: ${broken || 'none'}.`, `Replay: ${replay(cell)}`],
    timeline: { events: telling.events, controllers },
  };
}

function toneOf(cells: readonly Cell[]): 'good' | 'bad' | 'warn' {
  if (cells.every((cell) => cell.finding.verdict === 'works')) return 'good';
  return cells.some((cell) => cell.finding.verdict === 'fails') ? 'bad' : 'warn';
}
