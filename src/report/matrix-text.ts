import { humanCount, table } from '../core/index.ts';
import { CASE_WORKLOADS } from '../lab/case.ts';
import { INVARIANTS } from '../lab/invariants.ts';
import type { Cell } from '../lab/matrix.ts';
import type { MatrixRow } from '../lab/scenarios/lp1657489.ts';
import { taskName } from '../lab/schedule.ts';
import { compactStory } from './story.ts';

/** Nobody has said otherwise, or what was said is what was found. */
export function isAsExpected(cell: Cell): boolean {
  return !cell.expected || cell.expected.verdict === cell.finding.verdict;
}

/** Rows in the order of the cells, each once. */
export function rowsOfCells(cells: readonly Cell[]): { row: MatrixRow; cells: Cell[] }[] {
  const rows: { row: MatrixRow; cells: Cell[] }[] = [];
  for (const cell of cells) {
    const known = rows.find(({ row }) => row === cell.row);
    if (known) known.cells.push(cell);
    else rows.push({ row: cell.row, cells: [cell] });
  }
  return rows;
}

/** `1 vector`, `4 vectors`. */
export function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

export function hostSide({ deviceModel }: MatrixRow): string {
  return `${deviceModel.name} ${deviceModel.switches.freeOnDisable ? 'frees' : 'keeps'} pirqs on disable`;
}

export function guestSide({ kernel }: MatrixRow): string {
  const rule = {
    R0: 're-uses what it ever had',
    R1: 're-uses a stored pirq that is in use',
    R2: 'asks for a new one',
    Rideal: 're-uses any stored pirq',
  };
  return `${kernel.name} ${rule[kernel.reuse]} (${kernel.reuse})`;
}

/** A verdict with how many interleavings it holds in. */
export function verdictText({ finding, config }: Cell): string {
  const { verdict, interleavings, good, complete } = finding;
  const allGood = good.get(config.controllers) ?? 0n;
  if (!complete) return `${verdict} (stopped at a bound)`;
  if (verdict.startsWith('sometimes'))
    return `${verdict.replace('sometimes ', '')} in ${humanCount(interleavings - allGood)} of ${humanCount(interleavings)}`;
  return `${verdict}, all ${humanCount(interleavings)}`;
}

/** `3 good 78,156 · 2 good 163,464 · …`, the best first. */
export function distributionText({ finding }: Cell): string {
  return [...finding.good]
    .reverse()
    .map(([good, paths]) => `${good} good ${humanCount(paths)}`)
    .join(' · ');
}

/** The matrix, where it and the report differ, and what follows for the order of upgrades. */
export function matrixLines(cells: readonly Cell[]): string[] {
  const { controllers, vectors, xen, drive, sequential } = cells[0].config;
  const order = sequential ? 'one controller after another' : 'every interleaving of coarse steps';
  const lines = [
    `${count(controllers, 'NVMe controller')} (${drive.name}), ${count(vectors, 'vector')} each, ${xen.name}, ${order}`,
    '',
  ];
  for (const { row, cells: own } of rowsOfCells(cells)) {
    const name = row.case ? `case ${row.case}: ` : '';
    lines.push(
      `${name}${hostSide(row)} × ${guestSide(row)}${row.reportSays ? `; the report says: ${row.reportSays}` : ''}`,
    );
    const body = own.map((cell) => [
      `    ${CASE_WORKLOADS[cell.workload].what}`,
      verdictText(cell) + (isAsExpected(cell) ? '' : ' (!)'),
      cell.finding.good.size > 1 ? distributionText(cell) : '',
    ]);
    lines.push(...table(body).split('\n'));
  }
  lines.push(...section('Where model and report differ', differences(cells)));
  lines.push(...section('In which order to upgrade', upgradeAdvice(cells)));
  const wrong = cells.filter((cell) => !isAsExpected(cell));
  const complaints = wrong.map(
    ({ row, workload, finding, expected }) =>
      `case ${row.case} ${row.kernel.reuse}, ${CASE_WORKLOADS[workload].what}: ` +
      `expected "${expected!.verdict}" (${expected!.source}), found "${finding.verdict}"`,
  );
  lines.push(...section('(!) Not as expected', complaints));
  return lines;
}

/** The simplest failing run of every cell that does not simply work. */
export function storyLines(cells: readonly Cell[], replay: (cell: Cell) => string): string[] {
  const lines: string[] = [];
  for (const cell of cells) {
    const { failure } = cell.finding;
    if (!failure) continue;
    const { telling, controllers, vectors } = failure;
    const outcome = telling.verdict.map((state, task) => `${taskName(task)} ${state}`).join(', ');
    lines.push(
      '',
      `case ${cell.row.case}, ${cell.row.kernel.reuse}, ${CASE_WORKLOADS[cell.workload].what}: ${verdictText(cell)}`,
    );
    const size = `${count(controllers, 'controller')}, ${count(vectors, 'vector')}`;
    lines.push(`  the simplest failing run needs ${size}: ${outcome}`);
    lines.push(...compactStory(telling.events));
    for (const { name, after } of telling.broken)
      lines.push(`    ! after ${after}: ${name} broken (${INVARIANTS[name]})`);
    lines.push(`  replay: ${replay(cell)}`);
  }
  return lines;
}

/** Rows whose report does not fit what drivers that re-enable meet, with both rules where both were run. */
export function differences(cells: readonly Cell[]): string[] {
  const lines: string[] = [];
  for (const { row, cells: own } of rowsOfCells(cells)) {
    if (row.reportSays !== 'works') continue;
    const failing = own.filter((cell) => cell.finding.verdict !== 'works');
    if (failing.length === 0) continue;
    const what = failing.map((cell) => `${CASE_WORKLOADS[cell.workload].what} ${cell.finding.verdict}`).join('; ');
    lines.push(`case ${row.case} with rule ${row.kernel.reuse}: the report says it works; here ${what}.`);
    const marker = cells.filter((cell) => cell.row.case === row.case && cell.row.kernel.reuse === 'Rideal');
    if (marker.length > 0 && marker.every((cell) => cell.finding.verdict === 'works'))
      lines.push(`case ${row.case} with the marker-only rule (Rideal): works, as the report says.`);
  }
  if (lines.length > 0)
    lines.push(
      'The kernels in question re-use a stored pirq only if a live irq record carries it (R1). A driver that disables first',
      'has just destroyed its own record, so its own pirq is never re-used; the device model still holds it, and the new',
      'number is refused. The report describes the marker-only rule. Both were measured on a real Xen 4.17: R1 fails at',
      'the first re-enable, the marker-only rule works without a single hypercall (docs/cases.md).',
    );
  return lines;
}

/** What the cells between old and new say about which side to upgrade first. */
export function upgradeAdvice(cells: readonly Cell[]): string[] {
  const pick = (host: boolean, patched: boolean) =>
    cells.filter(
      ({ row }) =>
        row.deviceModel.switches.freeOnDisable === host &&
        (row.kernel.reuse === 'R2') === patched &&
        row.kernel.reuse !== 'Rideal',
    );
  const hostFirst = pick(true, false);
  const guestFirst = pick(false, true);
  if (hostFirst.length === 0 || guestFirst.length === 0) return [];
  const say = (group: readonly Cell[]) =>
    group.map((cell) => `    ${CASE_WORKLOADS[cell.workload].what}: ${verdictText(cell)}`);
  const bad = (group: readonly Cell[]) => group.reduce((sum, cell) => sum + badShare(cell), 0);
  const better = bad(hostFirst) < bad(guestFirst) ? 'Upgrade hypervisors first' : 'Upgrade guests first';
  const why =
    bad(hostFirst) < bad(guestFirst)
      ? 'until a guest follows it meets case 3, which fails only in some orders; never for drivers that enable once and stay loaded'
      : 'until the hypervisor follows a guest meets case 2, which is the lesser evil here';
  return [
    'hypervisors first, guests meanwhile in case 3:',
    ...say(hostFirst),
    'guests first, meanwhile in case 2:',
    ...say(guestFirst),
    `${better}: ${why}.`,
    'With case 3 in between, load the drivers of NVMe controllers one after another.',
  ];
}

/** The part of a cell's interleavings in which not every controller is good. */
function badShare({ finding, config }: Cell): number {
  const good = finding.good.get(config.controllers) ?? 0n;
  return 1 - Number((good * 1_000_000n) / (finding.interleavings || 1n)) / 1_000_000;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length > 0 ? ['', `${title}:`, ...lines.map((line) => `  ${line}`)] : [];
}
