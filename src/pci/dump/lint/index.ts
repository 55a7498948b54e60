import { compileLayout } from '../../layout.ts';
import type { ParsedFunction } from '../function.ts';
import { lintExpress } from './express.ts';
import type { Finding, LintRule } from './finding.ts';
import { lintBars, lintHeader } from './header.ts';
import { lintMsi, lintMsix } from './interrupts.ts';
import { lintLists } from './lists.ts';
import { lintReserved } from './reserved.ts';

const RULES: LintRule[] = [lintHeader, lintBars, lintLists, lintMsi, lintMsix, lintExpress, lintReserved];

/** Everything odd about a dumped function, by offset. Odd hardware exists: a finding refuses nothing. */
export function lintFunction(fn: ParsedFunction): Finding[] {
  const findings: Finding[] = [];
  const linted = { ...fn, layout: compileLayout(fn.spec, 'spec') };
  for (const rule of RULES) rule(linted, (finding) => findings.push(finding));
  return findings.sort((a, b) => a.at - b.at);
}

export type { Finding, LintRule, Severity } from './finding.ts';
