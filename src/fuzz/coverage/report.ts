import { escapeHtml, table } from '../../core/index.ts';
import type { FileCoverage } from './branches.ts';
import type { RegisterRow } from './registers.ts';

/** What a run reached: branches of the model's sources, registers of its tables. */
export interface Coverage {
  /** Accesses of the counted run: the same inputs from the first, up to a bound. */
  steps: number;
  branches: number;
  taken: number;
  files: FileCoverage[];
  registers: RegisterRow[];
}

export function coverageOf(steps: number, files: FileCoverage[], registers: RegisterRow[]): Coverage {
  const sum = (of: (f: FileCoverage) => number) => files.reduce((total, f) => total + of(f), 0);
  return { steps, branches: sum((f) => f.branches), taken: sum((f) => f.taken), files, registers };
}

const share = (part: number, whole: number) => (whole === 0 ? '' : `${((100 * part) / whole).toFixed(0)} %`);

/** Registers gathered by table: what stands before the dot. */
function tables(registers: readonly RegisterRow[]): string[][] {
  const byTable = new Map<string, RegisterRow[]>();
  for (const row of registers) {
    const name = row.name.split('.')[0];
    byTable.set(name, [...(byTable.get(name) ?? []), row]);
  }
  return [...byTable].map(([name, rows]) => {
    const sum = (of: (r: RegisterRow) => number) => rows.reduce((total, r) => total + of(r), 0);
    const [all, toggled] = [sum((r) => r.writableBits), sum((r) => r.toggledBits)];
    const stuck = rows.flatMap((r) => r.neverToggled.map((field) => `${r.name.slice(name.length + 1)}.${field}`));
    return [
      name,
      String(rows.length),
      String(rows.filter((r) => r.reads > 0).length),
      String(rows.filter((r) => r.writes > 0).length),
      all === 0 ? '' : `${toggled} of ${all}`,
      stuck.slice(0, 4).join(' ') + (stuck.length > 4 ? ` and ${stuck.length - 4} more` : ''),
    ];
  });
}

const REGISTER_HEAD = ['table', 'registers', 'read', 'written', 'bits toggled', 'fields with a bit that never did'];

/** Two tables as text: register tables, and source files that were reached. */
export function coverageText({ steps, branches, taken, files, registers }: Coverage): string {
  const reached = files.filter((f) => f.taken > 0);
  const lines = [
    `branches of src/pci and src/xen over ${steps} steps: ${taken} of ${branches} (${share(taken, branches)})`,
  ];
  lines.push(
    table([
      ['file', 'branches', 'taken', ''],
      ...reached.map((f) => [f.file, String(f.branches), String(f.taken), share(f.taken, f.branches)]),
    ]),
  );
  if (registers.length > 0) lines.push('', table([REGISTER_HEAD, ...tables(registers)]));
  return lines.join('\n');
}

/** One page that opens offline; each file's branches never taken fold out. */
export function coverageHtml(title: string, coverage: Coverage): string {
  const cells = (row: readonly string[], tag = 'td') =>
    `<tr>${row.map((c) => `<${tag}>${escapeHtml(c)}</${tag}>`).join('')}</tr>`;
  const file = ({ file, branches, taken, untaken }: FileCoverage) => {
    const rows = untaken.map(({ line, kind, text }) => cells([String(line), kind, text])).join('');
    const bar = `<meter min="0" max="${branches}" value="${taken}"></meter>`;
    return `<details><summary>${bar} ${escapeHtml(file)}: ${taken} of ${branches}</summary><table>${rows}</table></details>`;
  };
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escapeHtml(title)}</title>
<style>body{font:14px system-ui,sans-serif;margin:2em;max-width:70em}td,th{padding:1px 8px;text-align:left;vertical-align:top}
details td:last-child{font-family:ui-monospace,monospace}meter{width:8em}summary{cursor:pointer}</style>
<h1>${escapeHtml(title)}</h1>
<p>${coverage.taken} of ${coverage.branches} branches of src/pci and src/xen over ${coverage.steps} steps.</p>
<h2>Registers</h2><table>${cells(REGISTER_HEAD, 'th')}${tables(coverage.registers)
    .map((r) => cells(r))
    .join('')}</table>
<h2>Branches never taken</h2>
${coverage.files.map(file).join('\n')}
</html>
`;
}
