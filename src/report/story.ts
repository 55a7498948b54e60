import { taskName } from '../lab/schedule.ts';
import type { TraceEvent } from '../lab/trace.ts';

const WHO: Record<TraceEvent['layer'], string> = {
  guest: 'guest',
  'device-model': 'qemu',
  xen: 'xen',
  device: 'device',
  lab: '',
};

/** The turns of a run, one line each: whose step, who acted, what happened. Repeats of one line are counted. */
export function story(events: readonly TraceEvent[], indent = '    '): string[] {
  const lines: string[] = [];
  let last = '';
  let repeats = 1;
  for (const event of events) {
    if (!event.isKey) continue;
    const who = event.task < 0 ? ' ' : taskName(event.task);
    const line =
      event.layer === 'lab'
        ? `${indent}${who} ── ${event.text}`
        : `${indent}${who}    ${WHO[event.layer].padEnd(6)} ${event.text}`;
    if (line === last) {
      repeats++;
      lines[lines.length - 1] = `${line}  (×${repeats})`;
      continue;
    }
    last = line;
    repeats = 1;
    lines.push(line);
  }
  return lines;
}
