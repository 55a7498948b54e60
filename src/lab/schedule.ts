import { UsageError } from '../core/index.ts';

/** Controllers are A, B, C … in schedules; more than this cannot be named. */
export const MAX_TASKS = 26;

export function taskName(task: number): string {
  return String.fromCharCode(65 + task);
}

/** 32-bit FNV-1a of a run's description, as 8 hex digits: ties a schedule to the run it belongs to. */
export function runDigest(description: string): string {
  let h = 0x811c9dc5;
  for (let i = 0; i < description.length; i++) h = Math.imul(h ^ description.charCodeAt(i), 0x01000193);
  return (h >>> 0).toString(16).padStart(8, '0');
}

/** `1f3a99c0:ABBCA…`: the digest of the run, then whose step comes next. */
export function formatSchedule(digest: string, choices: readonly number[]): string {
  return `${digest}:${choices.map(taskName).join('')}`;
}

/** @throws UsageError if the string is malformed, of another run, or names a controller that is not there */
export function parseSchedule(text: string, digest: string, tasks: number): number[] {
  const match = /^([0-9a-f]{8}):([A-Z]*)$/.exec(text);
  if (!match)
    throw new UsageError(`"${text}" is no schedule; one reads like ${digest}:ABAB (the run, then whose step is next)`);
  if (match[1] !== digest)
    throw new UsageError(`schedule ${match[1]}:… belongs to another run; schedules of this run begin with ${digest}:`);
  const choices = [...match[2]].map((letter) => letter.charCodeAt(0) - 65);
  const stranger = choices.find((task) => task >= tasks);
  if (stranger !== undefined)
    throw new UsageError(
      `the schedule names controller ${taskName(stranger)}, but this run has ${tasks} (A…${taskName(tasks - 1)})`,
    );
  return choices;
}

/** How often the running task changes within a schedule. */
export function countSwitches(choices: readonly number[]): number {
  let switches = 0;
  for (let i = 1; i < choices.length; i++) if (choices[i] !== choices[i - 1]) switches++;
  return switches;
}
