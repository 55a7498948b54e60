import type { Report } from './measured.ts';

/** A ratio counts as worse beyond this: what two runs of the same code on a busy machine differ by. */
export const TOLERANCE = 1.35;

/** One line for every target whose ratio is worse than before by more than {@link TOLERANCE}. */
export function regressions(before: Report, now: Report): string[] {
  const lines: string[] = [];
  for (const { name, targets } of now.questions) {
    const former = before.questions.find((q) => q.name === name);
    for (const { what, is, value } of targets) {
      const old = former?.targets.find((t) => t.what === what)?.value;
      if (old === undefined || value === undefined) continue;
      const factor = is === 'at most' ? value / old : old / value;
      if (factor > TOLERANCE)
        lines.push(`worse: ${name}: ${what}: ${old.toPrecision(3)} before, ${value.toPrecision(3)} now`);
    }
  }
  return lines;
}
