import type { Layout } from '../../layout.ts';
import type { ParsedFunction } from '../function.ts';

/**
 * error: software that believes this register goes wrong; warning: against the specification, but devices live with it;
 * note: worth knowing when reading the dump.
 */
export type Severity = 'error' | 'warning' | 'note';

export interface Finding {
  severity: Severity;
  /** Name of the rule, stable. */
  rule: string;
  /** Offset in configuration space. */
  at: number;
  /** What is there, in the words of the registers. */
  text: string;
  /** Specification and section that the rule is from. */
  source: string;
}

/** What a rule looks at: the function as dumped, and as the model's register tables see it. */
export interface LintedFunction extends ParsedFunction {
  layout: Layout;
}

/** A rule looks at one function and reports what it does not like. It never refuses a device. */
export type LintRule = (fn: LintedFunction, report: (finding: Finding) => void) => void;
