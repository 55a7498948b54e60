import { type PreparedCase, runChoices } from './case.ts';
import { taskName } from './schedule.ts';
import { Trace, type TraceEvent } from './trace.ts';
import type { ControllerState } from './world.ts';

/** What one schedule does, event by event. */
export interface Telling {
  events: readonly TraceEvent[];
  /** How the controllers stand at the end. */
  verdict: ControllerState[];
  /** Invariants that broke, with the step after which they were seen first. */
  broken: { name: string; after: string }[];
}

/** Runs a schedule from the beginning and tells it; the machine is left as it was. */
export function tell(prepared: PreparedCase, choices: readonly number[]): Telling {
  const { machine } = prepared;
  const before = machine.arena.snapshot();
  const trace = new Trace();
  const broken: Telling['broken'] = [];
  let step = 'the beginning';
  const look = () => {
    for (const name of machine.takeViolations())
      if (!broken.some((b) => b.name === name)) broken.push({ name, after: step });
  };
  machine.takeViolations();
  machine.tell(trace);
  runChoices(prepared, choices, (task, name) => {
    look();
    step = `${taskName(task)} ${name}`;
    trace.task = task;
    trace.add('lab', { name: 'step', text: name, isKey: true });
  });
  machine.tell(undefined);
  look();
  const verdict = machine.verdict();
  machine.arena.restore(before);
  return { events: trace.events, verdict, broken };
}
