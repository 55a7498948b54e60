import { hex } from '../../../core/index.ts';
import type { BarSpec } from '../../spec.ts';
import { type MsixGeometry, msiGeometry, msixGeometry } from '../capabilities.ts';
import type { Finding, LintRule } from './finding.ts';

const MSIX_SOURCE = 'PCI 3.0 §6.8.2';
const MSI_SOURCE = 'PCI 3.0 §6.8.1.3';
const MAX_LOG2_MESSAGES = 5;

/** Where the MSI-X table and the PBA lie, and whether two ways of signalling are on at once. */
export const lintMsix: LintRule = ({ dumped: image, spec }, report) => {
  const msix = msixGeometry(image);
  if (!msix) return;
  const table = {
    name: 'vector table',
    bar: msix.tableBar,
    offset: msix.tableOffset,
    bytes: msix.tableBytes,
    at: msix.offset + 4,
  };
  const pba = { name: 'PBA', bar: msix.pbaBar, offset: msix.pbaOffset, bytes: msix.pbaBytes, at: msix.offset + 8 };
  for (const part of [table, pba]) lintPlace(part, spec.bars, report);
  if (overlap(msix))
    report({
      severity: 'error',
      rule: 'pba-in-table',
      at: pba.at,
      text: `the PBA (BAR ${pba.bar} + ${hex(pba.offset)}, ${pba.bytes} bytes) overlaps the vector table (+ ${hex(table.offset)}, ${table.bytes} bytes)`,
      source: MSIX_SOURCE,
    });
  if (msix.enabled && msiGeometry(image)?.enabled)
    report({
      severity: 'error',
      rule: 'both-enabled',
      at: msix.offset + 2,
      text: 'MSI and MSI-X are enabled at once, which is undefined',
      source: 'PCI 3.0 §6.8',
    });
};

function lintPlace(
  part: { name: string; bar: number; offset: number; bytes: number; at: number },
  bars: BarSpec[],
  report: (f: Finding) => void,
): void {
  const add = (rule: string, text: string) =>
    report({ severity: 'error', rule, at: part.at, text, source: MSIX_SOURCE });
  const bar = bars.find((b) => b.bar === part.bar);
  const end = part.offset + part.bytes;
  if (part.bar > 5) add('bir', `the BIR of the ${part.name} is ${part.bar}, which is reserved`);
  else if (!bar) add('bir', `the ${part.name} is in BAR ${part.bar}, which the function does not have`);
  else if (bar.kind === 'io') add('bir', `the ${part.name} is in BAR ${part.bar}, which is no memory`);
  else if (end > bar.sizeBytes)
    add('beyond-bar', `the ${part.name} ends at ${hex(end)}, beyond BAR ${part.bar} of ${hex(bar.sizeBytes)} bytes`);
}

function overlap(m: MsixGeometry): boolean {
  return (
    m.tableBar === m.pbaBar && m.pbaOffset < m.tableOffset + m.tableBytes && m.tableOffset < m.pbaOffset + m.pbaBytes
  );
}

/** Message counts that have no meaning, or grant more than was offered. */
export const lintMsi: LintRule = ({ dumped: image }, report) => {
  const msi = msiGeometry(image);
  if (!msi) return;
  const at = msi.offset + 2;
  const add = (rule: string, text: string) => report({ severity: 'warning', rule, at, text, source: MSI_SOURCE });
  if (msi.offered > 1 << MAX_LOG2_MESSAGES)
    add('mmc', `Multiple Message Capable offers ${msi.offered} messages; 32 are the most`);
  if (msi.granted > msi.offered)
    add('mme', `Multiple Message Enable grants ${msi.granted} messages of ${msi.offered} offered`);
};
