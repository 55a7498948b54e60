import type { Command } from 'commander';
import { CASE_WORKLOADS, type CaseConfig, prepareCase, sequentialChoices, type WorkloadName } from '../lab/case.ts';
import { ALL_WORKLOADS, type Cell, makeCell, matrixConfigs } from '../lab/matrix.ts';
import { defaultRows, type MatrixRow, rowOf } from '../lab/scenarios/lp1657489.ts';
import { tell } from '../lab/telling.ts';
import { matrixHtml } from '../report/matrix-html.ts';
import { matrixJson } from '../report/matrix-json.ts';
import { isAsExpected, matrixLines, storyLines } from '../report/matrix-text.ts';
import { addSideOptions, collect, type SideOptions, Sides, sideWords } from './case-options.ts';
import { findCells } from './cell-pool.ts';
import { oneOf, Progress, print, printJson } from './output.ts';
import { writeText, writeTrace } from './write-reports.ts';

export interface MatrixOptions extends SideOptions {
  kernel?: string[];
  deviceModel?: string[];
  workload?: string[];
  sequential?: boolean;
  json?: boolean;
  trace?: string;
  html?: string;
}

export function register(program: Command): void {
  const command = program
    .command('matrix')
    .description('the four cases of Launchpad 1657489: every device model against every guest, from mechanisms')
    .option('--kernel <name>', 'guest side, repeatable; default linux-4.4.0-59 and linux-4.4.0-61', collect)
    .option('--device-model <name>', 'hypervisor side, repeatable; default qemu-2.0 and qemu-2.1', collect)
    .option('--workload <name>', `repeatable: ${ALL_WORKLOADS.join(', ')}; default all`, collect)
    .option('--sequential', 'one controller after another: a single interleaving')
    .option('--json', 'print JSON')
    .option('--trace <file>', 'write the first failing run as Chrome trace JSON, which Perfetto opens')
    .option('--html <file>', 'write one page with the matrix and a timeline for each failing cell')
    .addHelpText(
      'after',
      '\nExamples:\n  pirqlab matrix --html matrix.html\n  pirqlab matrix --kernel linux-6.1 --device-model qemu-7.2 --set freeOnDisable=false',
    );
  addSideOptions(command, 3).action(run);
}

async function run(options: MatrixOptions): Promise<void> {
  const sides = new Sides(options);
  const rows = rowsOf(options, sides);
  const workloads = workloadsOf(options);
  const { controllers, vectors } = options;
  const common: Partial<CaseConfig> = {
    xen: sides.xen,
    drive: sides.drive,
    controllers,
    vectors,
    sequential: options.sequential ?? false,
  };
  const wanted = matrixConfigs(rows, workloads, common);
  prepareCase(wanted[0].config); // what cannot be is said before any work begins
  const progress = new Progress();
  progress.show(`0 of ${wanted.length} cells …`);
  const findings = await findCells(
    wanted.map(({ config }) => config),
    (done) => progress.show(`${done} of ${wanted.length} cells …`),
  );
  progress.clear();
  const cells = wanted.map(({ row, config }, i) => makeCell(row, config, findings[i]));
  const replay = (cell: Cell) => replayCommand(cell, options);
  if (options.json) printJson(matrixJson(cells, replay));
  else {
    for (const line of matrixLines(cells)) print(line);
    for (const line of storyLines(cells, replay)) print(line);
  }
  if (options.html) writeText(options.html, matrixHtml(cells, replay));
  if (options.trace) writeFirstTrace(options.trace, cells);
  if (!cells.every(isAsExpected)) process.exitCode = 1;
}

/** The default rows, or every pair of the sides that were named. */
function rowsOf(options: MatrixOptions, sides: Sides): MatrixRow[] {
  const { kernel, deviceModel, reuse } = options;
  if (!kernel && !deviceModel && !reuse && options.set.length === 0) return defaultRows();
  const models = (deviceModel ?? ['qemu-2.0', 'qemu-2.1']).map((name) => sides.deviceModel(name));
  const kernels = (kernel ?? ['linux-4.4.0-59', 'linux-4.4.0-61']).map((name) => sides.kernel(name));
  return models.flatMap((model) => kernels.map((guest) => rowOf({ deviceModel: model, kernel: guest })));
}

function workloadsOf({ workload }: MatrixOptions): WorkloadName[] {
  return workload ? workload.map(oneOf('workload', ALL_WORKLOADS)) : ALL_WORKLOADS;
}

/** The line that replays the simplest failure of a cell. */
function replayCommand({ config, row, workload, finding }: Cell, options: MatrixOptions): string {
  const { controllers, vectors, schedule } = finding.failure!;
  const [kernelName] = row.kernel.name.split(' ');
  const reuse = row.kernel.reuse;
  const words = [
    `pirqlab explore lp1657489 --device-model ${row.deviceModel.name.split(' ')[0]} --kernel ${kernelName}`,
  ];
  const own = { ...options, controllers, vectors };
  if (reuse === 'Rideal' || reuse === 'R0') own.reuse = reuse;
  words.push(...sideWords(own), `--workload ${workload}`);
  if (config.sequential) words.push('--sequential');
  words.push(`--schedule ${schedule}`);
  return words.join(' ');
}

/** The first failing cell's run; if none fails, the first cell's with one controller after another. */
function writeFirstTrace(file: string, cells: readonly Cell[]): void {
  const failing = cells.find((cell) => cell.finding.failure);
  if (failing) {
    const { row, workload, finding } = failing;
    const title = `${row.deviceModel.name}, ${row.kernel.name}: ${CASE_WORKLOADS[workload].what}`;
    writeTrace(file, finding.failure!.telling.events, title);
    return;
  }
  const prepared = prepareCase(cells[0].config);
  writeTrace(file, tell(prepared, sequentialChoices(prepared)).events, 'one controller after another');
}
