import { countSwitches } from './schedule.ts';

/** A run to an outcome. */
export interface Witness {
  /** Whose step comes next. */
  choices: readonly number[];
  /** The step, counted from 1, after which an invariant is broken for the first time; undefined if none ever is. */
  brokenAt: number | undefined;
}

/**
 * The order in which the explorer prefers witnesses of one outcome: earliest broken invariant, fewest switches, fewest
 * steps, first by name. Where tasks are alike the name that counts is the one with tasks named as they first step, and
 * only of two runs that are one but for names the first by its own name. So of any two one is better, and the best of
 * all runs is the best of what shards have found.
 * @returns negative if `a` is better
 */
export function compareWitnesses(a: Witness, b: Witness, isSymmetric: boolean): number {
  return (
    (a.brokenAt ?? Infinity) - (b.brokenAt ?? Infinity) ||
    countSwitches(a.choices) - countSwitches(b.choices) ||
    a.choices.length - b.choices.length ||
    (isSymmetric ? compareChoices(asFirstNamed(a.choices), asFirstNamed(b.choices)) : 0) ||
    compareChoices(a.choices, b.choices)
  );
}

function compareChoices(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((task, i) => task !== b[i]);
  return at < 0 ? 0 : a[at] - b[at];
}

/** The same run with its tasks numbered in the order of their first steps. */
function asFirstNamed(choices: readonly number[]): number[] {
  const order = [...new Set(choices)];
  return choices.map((task) => order.indexOf(task));
}
