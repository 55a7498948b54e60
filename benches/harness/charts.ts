import { escapeHtml } from '../../src/core/index.ts';
import type { CaseResult, QuestionResult, Report } from './measured.ts';
import { duration, targetRow } from './tables.ts';

const WIDTH = 640;
const HEIGHT = 360;
const EDGE = { left: 70, right: 170, top: 20, bottom: 45 };
const COLOURS = ['#1f6fb4', '#d2691e', '#2e8b57', '#8b3fa0', '#b03030', '#607080'];

interface Point {
  x: number;
  low: number;
  median: number;
  high: number;
}

/** A page that opens offline: for each question its charts with logarithmic axes, targets and medians. */
export function chartPage(report: Report): string {
  const facts = [...Object.entries(report.machine), ...Object.entries(report.versions), ['date', report.date]];
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>pirqlab benchmarks</title><style>
body{font:15px/1.5 system-ui,sans-serif;max-width:980px;margin:2em auto;padding:0 1em}
table{border-collapse:collapse;margin:1em 0}td{padding:.15em .9em .15em 0;vertical-align:top}
svg{display:block;margin:1em 0}svg text{font:12px system-ui,sans-serif}</style>
<h1>pirqlab benchmarks</h1><p>CPU time, medians of rounds (bars: fastest and slowest round), each variant in its own process.${
    report.quick ? ' A quick run: good for a glance, not for conclusions.' : ''
  }</p>${tableOf(facts.map(([k, v]) => [`${k}`, `${v}`]))}
${report.questions.map(section).join('\n')}</html>\n`;
}

function section(question: QuestionResult): string {
  const names = [...new Set(question.cases.flatMap(({ chart }) => chart ?? []))];
  const charts = names.map((name) => {
    const cases = question.cases.filter(({ chart }) => chart === name);
    return `<h3>${escapeHtml(name)}</h3>${chartOf(cases, question.xLabel)}`;
  });
  const rows = question.cases.flatMap(({ id, variants }) =>
    variants.map((v) => [
      id,
      v.variant,
      v.medianNs === undefined ? `not measured: ${v.skipped}` : duration(v.medianNs),
    ]),
  );
  return `<h2>${escapeHtml(question.title)}</h2><p>One operation: ${escapeHtml(question.operation)}.</p>${charts.join('')}
${question.targets.length ? `<h3>Targets</h3>${tableOf(question.targets.map(targetRow))}` : ''}
${(question.tables ?? []).map((t) => `<h3>${escapeHtml(t.title)}</h3>${tableOf([t.head, ...t.rows])}`).join('')}
<details><summary>Medians</summary>${tableOf(rows)}</details>`;
}

function chartOf(cases: CaseResult[], xLabel: string): string {
  const series = new Map<string, Point[]>();
  for (const { x, variants } of cases)
    for (const { variant, medianNs, minNs, maxNs } of variants) {
      if (x === undefined || medianNs === undefined) continue;
      const points = series.get(variant) ?? [];
      points.push({ x, low: minNs!, median: medianNs, high: maxNs! });
      series.set(variant, points);
    }
  const all = [...series.values()].flat();
  if (all.length === 0) return '<p>Not measured.</p>';
  const xs = all.map(({ x }) => x);
  const x = axis(Math.min(...xs), Math.max(...xs), EDGE.left, WIDTH - EDGE.right);
  const low = 10 ** Math.floor(Math.log10(Math.min(...all.map((p) => p.low))));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...all.map((p) => p.high))));
  const y = axis(low, high, HEIGHT - EDGE.bottom, EDGE.top);
  const parts: string[] = [];
  for (let tick = low; tick <= high * 1.001; tick *= 10)
    parts.push(
      `<line x1="${EDGE.left}" x2="${WIDTH - EDGE.right}" y1="${y(tick)}" y2="${y(tick)}" stroke="#ddd"/>`,
      `<text x="${EDGE.left - 8}" y="${y(tick) + 4}" text-anchor="end">${duration(tick)}</text>`,
    );
  for (const tick of new Set(xs))
    parts.push(`<text x="${x(tick)}" y="${HEIGHT - EDGE.bottom + 18}" text-anchor="middle">${brief(tick)}</text>`);
  parts.push(
    `<text x="${(EDGE.left + WIDTH - EDGE.right) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeHtml(xLabel)}</text>`,
  );
  [...series].forEach(([name, points], i) => {
    const colour = COLOURS[i % COLOURS.length];
    points.sort((a, b) => a.x - b.x);
    const path = points.map((p) => `${x(p.x)},${y(p.median)}`).join(' ');
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const p of points)
      parts.push(
        `<circle cx="${x(p.x)}" cy="${y(p.median)}" r="3" fill="${colour}"/>`,
        `<line x1="${x(p.x)}" x2="${x(p.x)}" y1="${y(p.low)}" y2="${y(p.high)}" stroke="${colour}"/>`,
      );
    const last = points[points.length - 1];
    parts.push(`<text x="${x(last.x) + 8}" y="${y(last.median) + 4}" fill="${colour}">${escapeHtml(name)}</text>`);
  });
  return `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">${parts.join('')}</svg>`;
}

/** A logarithmic scale from values to pixels. */
function axis(from: number, to: number, start: number, end: number): (value: number) => number {
  const span = Math.log(to / from) || 1;
  return (value) => Number((start + ((end - start) * Math.log(value / from)) / span).toFixed(1));
}

function brief(n: number): string {
  if (n >= 2 ** 20) return `${Number((n / 2 ** 20).toFixed(1))} M`;
  return n >= 1024 ? `${Number((n / 1024).toFixed(1))} k` : `${n}`;
}

function tableOf(rows: string[][]): string {
  return `<table>${rows.map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`).join('')}</table>`;
}
