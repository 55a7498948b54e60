import { taskName } from '../lab/schedule.ts';
import type { Layer, TraceEvent } from '../lab/trace.ts';

/** One track a layer; guest and device model have one for each controller. */
const TRACKS: Record<Layer, { pid: number; title: string }> = {
  lab: { pid: 1, title: 'schedule' },
  guest: { pid: 2, title: 'guest' },
  'device-model': { pid: 3, title: 'device model' },
  xen: { pid: 4, title: 'Xen' },
  device: { pid: 5, title: 'device' },
};

/**
 * The run as Chrome trace JSON, which Perfetto and chrome://tracing open. Time is the position in the run (one
 * microsecond each, the model has no clock); an arrow leads from every event to those it brought about: register
 * write → hypercall → event channel → handler. Format: "Trace Event Format", JSON object form.
 */
export function chromeTrace(events: readonly TraceEvent[], title: string): string {
  const out: unknown[] = [];
  const named = new Set<string>();
  for (const [layer, { pid, title: name }] of Object.entries(TRACKS)) {
    out.push({ ph: 'M', name: 'process_name', pid, args: { name } });
    out.push({ ph: 'M', name: 'process_sort_index', pid, args: { sort_index: pid } });
    for (const event of events) {
      const key = `${layer}/${event.task}`;
      if (event.layer !== layer || named.has(key)) continue;
      named.add(key);
      const thread = event.task < 0 ? 'boot' : `controller ${taskName(event.task)}`;
      out.push({ ph: 'M', name: 'thread_name', pid, tid: event.task + 1, args: { name: thread } });
    }
  }
  const place = (event: TraceEvent) => ({ pid: TRACKS[event.layer].pid, tid: event.task + 1, ts: event.seq });
  for (const event of events) {
    out.push({ ph: 'X', name: event.name, cat: event.layer, dur: 1, args: { text: event.text }, ...place(event) });
    if (event.cause === undefined) continue;
    const flow = { name: 'causes', cat: 'flow', id: event.seq };
    out.push({ ph: 's', ...flow, ...place(events[event.cause]) });
    out.push({ ph: 'f', bp: 'e', ...flow, ...place(event) });
  }
  return `${JSON.stringify({ traceEvents: out, displayTimeUnit: 'ns', otherData: { title } })}\n`;
}
