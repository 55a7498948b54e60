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

/**
 * The same in fewer lines, for those who know the way things go: what belongs together is one line, and what repeats
 * the obvious is left out.
 */
export function compactStory(events: readonly TraceEvent[], indent = '    '): string[] {
  const keys = events.filter((event) => event.isKey && !isObvious(event));
  const told: TraceEvent[] = [];
  for (let i = 0; i < keys.length; i++) {
    const joined = JOINS.map((join) => join(keys[i], keys[i + 1])).find((text) => text !== undefined);
    told.push(joined === undefined ? keys[i] : { ...keys[i], text: joined });
    if (joined !== undefined) i++;
  }
  return story(
    told.filter((event, i) => event.layer !== 'lab' || told[i + 1]?.layer !== 'lab'),
    indent,
  ).filter((line, i, all) => i < all.length - 1 || !line.includes('──'));
}

/** Control writes around an enable say little beside what follows from them; an entry that never had a pirq, nothing. */
function isObvious({ name, text }: TraceEvent): boolean {
  return text.includes('(MSI-X enable=') || (name === 'table.r32' && text.endsWith('(no pirq)')) || name === 'close';
}

type Join = (first: TraceEvent, second: TraceEvent | undefined) => string | undefined;

/** Pairs of events that are one turn when both go well. */
const JOINS: readonly Join[] = [
  (first, second) => {
    const fresh = /^get_free_pirq: (pirq \d+)$/.exec(first.text);
    const written = second && /^(. entry \d+) is written (.*) \((pirq \d+)\)$/.exec(second.text);
    return fresh && written && fresh[1] === written[3] ? `new ${fresh[1]} for ${written[1]}: ${written[2]}` : undefined;
  },
  (first, second) => {
    const map = /^map pirq \d+ for (. entry \d+): (pirq \d+)$/.exec(first.text);
    const bind = second && /^bind (pirq \d+) of .: 0$/.exec(second.text);
    return map && bind && map[2] === bind[1] ? `map and bind ${map[2]} for ${map[1]}: ok` : undefined;
  },
  (first, second) => {
    const unbind = /^unbind (pirq \d+) of (.): 0$/.exec(first.text);
    const unmap = second && /^unmap (pirq \d+) of .: 0$/.exec(second.text);
    return unbind && unmap && unbind[1] === unmap[1] ? `unbind and unmap ${unbind[1]} of ${unbind[2]}: ok` : undefined;
  },
];

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
