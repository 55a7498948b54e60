import { QEMU_7_2, type QemuDeviation, type Verdict } from './qemu-7.2.ts';

const HEADINGS: [Verdict, string][] = [
  ['none', 'A guest ends QEMU'],
  ['violates', 'Against the specification'],
  ['custom', 'Allowed, but not as hardware does'],
];

/** The deviations as Markdown, a table for each verdict. `docs/qemu-against-spec.md` has it. */
export function renderDeviations(list: readonly QemuDeviation[] = QEMU_7_2): string {
  return HEADINGS.map(([verdict, heading]) => {
    const rows = list.filter((d) => d.verdict === verdict).map(row);
    return [`### ${heading}`, '', HEAD, ...rows].join('\n');
  }).join('\n\n');
}

const COLUMNS = [
  'deviation',
  'devices',
  'accesses',
  'specification',
  'QEMU 7.2',
  'source',
  'consequence for a driver',
  'later',
];
const HEAD = [COLUMNS, COLUMNS.map(() => '---')].map((cells) => `| ${cells.join(' | ')} |`).join('\n');

function row(d: QemuDeviation): string {
  const steps = d.steps.length === 0 ? 'none' : d.steps.map((step) => `\`${step}\``).join(', ');
  const source = d.source
    .split('; ')
    .map((part) => `\`${part}\``)
    .join('; ');
  const cells = [d.id, d.devices.join(', '), steps, d.specification, d.qemu, source, d.consequence, d.later];
  return `| ${cells.join(' | ')} |`;
}
