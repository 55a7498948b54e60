import type { TextTable } from './question.ts';

/** What a worker tells of one variant. */
export type Measured =
  | { skipped: string }
  | {
      /** Nanoseconds an operation, one number a round. */
      ns: number[];
      checksum: number;
      operationsPerRound: number;
      figures: Record<string, number>;
    };

export interface VariantResult {
  variant: string;
  /** Why it was not measured. */
  skipped?: string;
  medianNs?: number;
  minNs?: number;
  maxNs?: number;
  rounds?: number;
  operationsPerRound?: number;
  figures?: Record<string, number>;
}

export interface CaseResult {
  id: string;
  x?: number;
  chart?: string;
  variants: VariantResult[];
}

export interface TargetResult {
  what: string;
  is: 'at most' | 'at least';
  limit: number;
  /** Absent if not measured. */
  value?: number;
  met?: boolean;
}

export interface QuestionResult {
  name: string;
  title: string;
  operation: string;
  xLabel: string;
  cases: CaseResult[];
  targets: TargetResult[];
  tables?: TextTable[];
}

/** The whole of one run, as written by `--json`. */
export interface Report {
  format: 1;
  date: string;
  quick: boolean;
  machine: Record<string, string | number>;
  versions: Record<string, string>;
  questions: QuestionResult[];
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** What a variant's rounds come to; `checksum` is for comparing variants only. */
export function summarize(variant: string, measured: Measured): VariantResult {
  if ('skipped' in measured) return { variant, skipped: measured.skipped };
  const { ns, operationsPerRound, figures } = measured;
  return {
    variant,
    medianNs: median(ns),
    minNs: Math.min(...ns),
    maxNs: Math.max(...ns),
    rounds: ns.length,
    operationsPerRound,
    figures,
  };
}
