import { expect, test } from 'vitest';
import { chartPage } from '../../benches/harness/charts.ts';
import { regressions, TOLERANCE } from '../../benches/harness/compare.ts';
import { median, type Report, summarize, type TargetResult } from '../../benches/harness/measured.ts';

const report = (targets: TargetResult[]): Report => ({
  format: 1,
  date: '',
  quick: false,
  machine: {},
  versions: {},
  questions: [
    {
      name: 'q',
      title: 'A < B?',
      operation: 'one',
      xLabel: 'size',
      cases: [1, 1000].map((x) => ({
        id: `of ${x}`,
        x,
        chart: 'c',
        variants: [
          { variant: 'fast', medianNs: x, minNs: x / 2, maxNs: x * 2 },
          { variant: 'absent', skipped: 'no compiler' },
        ],
      })),
      targets,
    },
  ],
});

const target = (is: TargetResult['is'], value?: number): TargetResult => ({
  what: `${is} 10`,
  is,
  limit: 10,
  ...(value !== undefined && { value, met: true }),
});

test('the median of rounds, and their extremes', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  const measured = { ns: [5, 4, 9], checksum: 1, operationsPerRound: 7, figures: { bytes: 3 } };
  expect(summarize('v', measured)).toMatchObject({ medianNs: 5, minNs: 4, maxNs: 9, rounds: 3, figures: { bytes: 3 } });
  expect(summarize('v', { skipped: 'why' })).toEqual({ variant: 'v', skipped: 'why' });
});

test('the gate looks at ratios only, whichever way is better, and at those measured both times', () => {
  const before = report([target('at most', 2), target('at least', 100)]);
  expect(regressions(before, report([target('at most', 2 * TOLERANCE), target('at least', 100 / TOLERANCE)]))).toEqual(
    [],
  );
  expect(regressions(before, report([target('at most', 3)]))).toEqual(['worse: q: at most 10: 2.00 before, 3.00 now']);
  expect(regressions(before, report([target('at least', 50)]))).toEqual([
    'worse: q: at least 10: 100 before, 50.0 now',
  ]);
  expect(regressions(before, report([target('at most'), target('at least')]))).toEqual([]);
});

test('the page of charts stands alone and says what was not measured', () => {
  const page = chartPage(report([target('at most', 12)]));
  expect(page).not.toMatch(/<script|<link|src=|url\(/);
  expect(page).toContain('<polyline');
  expect(page).toContain('A &lt; B?');
  expect(page).toContain('not measured: no compiler');
  expect(page).not.toMatch(/NaN|undefined/);
});
