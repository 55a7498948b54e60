import { table } from '../../src/cli/output.ts';
import type { QuestionResult, TargetResult, VariantResult } from './measured.ts';

/** Prints one question's medians with their spread, and its targets. */
export function printQuestion({ title, operation, cases, targets, tables = [] }: QuestionResult): void {
  const lines = [`${title} (one operation: ${operation})`];
  const rows = cases.flatMap(({ id, variants }) =>
    variants.map((v, i) => [i ? '' : `  ${id}`, v.variant, ...cells(v)]),
  );
  lines.push(table(rows), ...(targets.length ? ['targets', table(targets.map(targetRow))] : []), '');
  for (const { title: name, head, rows: body } of tables) lines.push(name, table([head, ...body]), '');
  process.stdout.write(`${lines.join('\n')}\n`);
}

function cells({ skipped, medianNs, minNs, maxNs, figures }: VariantResult): string[] {
  if (skipped !== undefined) return ['', `not measured: ${skipped}`];
  const more = Object.entries(figures ?? {}).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`);
  return [duration(medianNs!), [`${duration(minNs!)} … ${duration(maxNs!)}`, ...more].join('; ')];
}

export function targetRow({ what, is, limit, value, met }: TargetResult): string[] {
  const wanted = `${is} ${limit.toLocaleString('en')}`;
  if (value === undefined) return [`  ${what}`, wanted, 'not measured'];
  return [`  ${what}`, wanted, `${Number(value.toPrecision(3)).toLocaleString('en')}${met ? '' : '  MISSED'}`];
}

/** Nanoseconds in the unit that reads best. */
export function duration(ns: number): string {
  if (ns < 1e3) return `${ns.toPrecision(3)} ns`;
  if (ns < 1e6) return `${(ns / 1e3).toPrecision(3)} µs`;
  return `${Number((ns / 1e6).toPrecision(3))} ms`;
}
