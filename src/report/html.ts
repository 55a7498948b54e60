import { escapeHtml } from '../core/index.ts';
import { taskName } from '../lab/schedule.ts';
import type { TraceEvent } from '../lab/trace.ts';

/** A section of the page: a heading, a paragraph, and optionally a table or the timeline of a run. */
export interface Section {
  title: string;
  text: string[];
  table?: { head: string[]; rows: { cells: string[]; tone?: 'good' | 'bad' | 'warn' }[] };
  timeline?: { events: readonly TraceEvent[]; controllers: number };
}

const COLOURS = ['#1f6fb4', '#c2571a', '#2b8a3e', '#8e44ad', '#a67c00', '#c0392b', '#16808a', '#5d6d7e'];

/** One page without scripts or outside files: opens offline, prints, and can be mailed. */
export function htmlPage(title: string, sections: readonly Section[]): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${sections.map(sectionHtml).join('\n')}
</main></body></html>
`;
}

function sectionHtml(section: Section): string {
  const parts = [`<section><h2>${escapeHtml(section.title)}</h2>`];
  for (const text of section.text) parts.push(`<p>${escapeHtml(text)}</p>`);
  if (section.table) parts.push(tableHtml(section.table));
  if (section.timeline) parts.push(timelineSvg(section.timeline.events, section.timeline.controllers));
  return `${parts.join('\n')}</section>`;
}

function tableHtml(table: NonNullable<Section['table']>): string {
  const head = table.head.map((cell) => `<th>${escapeHtml(cell)}</th>`).join('');
  const rows = table.rows.map((row) => {
    const cells = row.cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join('');
    return `<tr${row.tone ? ` class="${row.tone}"` : ''}>${cells}</tr>`;
  });
  return `<table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

const LANES = ['guest', 'device-model', 'xen', 'device'] as const;
const LANE_TITLE = { guest: 'guest', 'device-model': 'device model', xen: 'Xen', device: 'device' };
const ROW = 20;
const LANE_WIDTH = 95;
const TEXT_AT = 40 + LANES.length * LANE_WIDTH;

/** Key events from top to bottom, a lane for each layer, a colour for each controller, arrows from cause to effect. */
function timelineSvg(events: readonly TraceEvent[], controllers: number): string {
  const shown = events.filter((event) => event.isKey);
  const rowOf = new Map(shown.map((event, row) => [event.seq, row]));
  const y = (row: number) => 44 + row * ROW;
  const x = (event: TraceEvent) => 40 + (Math.max(0, LANES.indexOf(event.layer as never)) + 0.5) * LANE_WIDTH;
  const width = TEXT_AT + 760;
  const height = y(shown.length) + 10;
  const out = [`<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`];
  out.push(
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">',
  );
  out.push('<path d="M0 0 8 4 0 8z" class="tip"/></marker></defs>');
  for (const [i, lane] of LANES.entries()) {
    const at = 40 + (i + 0.5) * LANE_WIDTH;
    out.push(`<text x="${at}" y="18" class="lane">${LANE_TITLE[lane]}</text>`);
    out.push(`<line x1="${at}" y1="28" x2="${at}" y2="${height - 8}" class="rail"/>`);
  }
  for (const event of shown) {
    const row = rowOf.get(event.seq)!;
    const colour = event.task < 0 ? '#777' : COLOURS[event.task % COLOURS.length];
    if (event.layer === 'lab') {
      out.push(`<rect x="0" y="${y(row) - 10}" width="${width}" height="${ROW}" fill="${colour}" opacity="0.10"/>`);
      out.push(`<text x="8" y="${y(row) + 4}" fill="${colour}" class="step">${escapeHtml(label(event))}</text>`);
      continue;
    }
    const cause = nearestShown(event, events, rowOf);
    if (cause && cause.layer !== 'lab')
      out.push(
        `<line x1="${x(cause)}" y1="${y(rowOf.get(cause.seq)!)}" x2="${x(event)}" y2="${y(row)}" class="flow" marker-end="url(#tip)"/>`,
      );
    out.push(
      `<circle cx="${x(event)}" cy="${y(row)}" r="4.5" fill="${colour}"><title>${escapeHtml(event.name)}</title></circle>`,
    );
    out.push(`<text x="${TEXT_AT}" y="${y(row) + 4}" fill="${colour}">${escapeHtml(label(event))}</text>`);
  }
  out.push('</svg>');
  const legend = Array.from(
    { length: controllers },
    (_, i) => `<span style="color:${COLOURS[i % COLOURS.length]}">● controller ${taskName(i)}</span>`,
  );
  return `<p class="legend">${legend.join(' ')}</p><div class="scroll">${out.join('\n')}</div>`;
}

/** The colour tells whose task it is; a step names its controller as well. */
function label(event: TraceEvent): string {
  return event.layer === 'lab' ? `${taskName(event.task)} ${event.text}` : event.text;
}

/** The closest event on the chain of causes that has a row of its own. */
function nearestShown(
  event: TraceEvent,
  events: readonly TraceEvent[],
  rowOf: ReadonlyMap<number, number>,
): TraceEvent | undefined {
  let cause = event.cause;
  while (cause !== undefined && !rowOf.has(cause)) cause = events[cause].cause;
  return cause === undefined ? undefined : events[cause];
}

const STYLE = `
:root{color-scheme:light dark}
body{margin:0;font:15px/1.5 system-ui,sans-serif;background:#fff;color:#1c2733}
main{max-width:1240px;margin:0 auto;padding:24px}
h1{font-size:26px;margin:0 0 8px} h2{font-size:19px;margin:36px 0 8px}
p{margin:6px 0;white-space:pre-wrap}
table{border-collapse:collapse;margin:12px 0;font-size:14px}
th,td{border:1px solid #cfd8e0;padding:6px 10px;text-align:left;vertical-align:top;white-space:pre-line}
th{background:#eef2f6}
tr.good td:first-child{border-left:5px solid #2b8a3e} tr.bad td:first-child{border-left:5px solid #c0392b}
tr.warn td:first-child{border-left:5px solid #c98a00}
.scroll{overflow-x:auto;border:1px solid #cfd8e0;border-radius:6px;padding:6px}
svg text{font:12.5px ui-monospace,monospace} svg .lane{text-anchor:middle;fill:#667}
svg .rail{stroke:#d5dde4} svg .flow{stroke:#8a97a3;stroke-width:1} svg .tip{fill:#8a97a3} svg .step{font-weight:600}
.legend span{margin-right:14px}
@media(prefers-color-scheme:dark){body{background:#12181f;color:#dbe3ea}th{background:#1d2731}th,td,.scroll{border-color:#34424f}
svg .rail{stroke:#2a3641}}`;
