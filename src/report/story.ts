import { taskName } from '../lab/schedule.ts';
import type { TraceEvent } from '../lab/trace.ts';

const WHO: Record<TraceEvent['layer'], string> = {
  guest: 'guest',
  'device-model': 'qemu',
  xen: 'xen',
  device: 'device',
  lab: '',
};

/**
 * The turns of a run, one line each: whose step, who acted, what happened. An interrupt that takes its proper way is
 * one line, and equal lines in a row are counted, so that what stands out is what went wrong.
 */
export function story(events: readonly TraceEvent[], indent = '    '): string[] {
  const keys = events.filter((event) => event.isKey);
  const lines: string[] = [];
  let last = '';
  let repeats = 1;
  for (let i = 0; i < keys.length; i++) {
    const proper = properInterrupt(keys, i);
    const line = proper ? format(keys[i], proper.text, indent) : format(keys[i], keys[i].text, indent);
    if (proper) i += proper.events - 1;
    repeats = line === last ? repeats + 1 : 1;
    if (repeats > 1) lines[lines.length - 1] = `${line}  (×${repeats})`;
    else lines.push(line);
    last = line;
  }
  return lines;
}

function format(event: TraceEvent, text: string, indent: string): string {
  const who = event.task < 0 ? ' ' : taskName(event.task);
  if (event.layer === 'lab') return `${indent}${who} ── ${text}`;
  return `${indent}${who}    ${WHO[event.layer].padEnd(6)} ${text}`;
}

/**
 * A message, its event and the handler of the same controller that finds what it came for, at `i`, with handlers that
 * share the vector; undefined if the events are anything else.
 */
function properInterrupt(keys: readonly TraceEvent[], i: number): { events: number; text: string } | undefined {
  const [message, event] = [keys[i], keys[i + 1]];
  if (message.name !== 'message' || event?.name !== 'event') return undefined;
  const owner = message.text.slice(0, 1);
  const handlers: TraceEvent[] = [];
  for (let k = i + 2; keys[k]?.name === 'handler'; k++) handlers.push(keys[k]);
  const found = handlers.filter((handler) => handler.text.includes('takes its completion'));
  const isOwn = handlers.every((handler) => handler.text.startsWith(`handler of ${owner} `));
  if (found.length !== 1 || !isOwn) return undefined;
  const vector = /vector \d+/.exec(message.text)![0];
  const port = /port \d+/.exec(event.text)![0];
  const queue = /queue \d+/.exec(found[0].text)![0];
  return { events: 2 + handlers.length, text: `${owner} ${vector} → ${port} → handler of ${owner} ${queue}` };
}
