import { lawOf } from './engine.ts';
import type { Subject } from './target.ts';

export interface Shrunk<S> {
  steps: S[];
  broken: string;
  /** Steps carried out on the way. */
  executions: number;
}

const MAX_EXECUTIONS = 400_000;

/** The first law that an input breaks from the beginning, and how many steps it takes to see that. */
export function firstBroken<S>(
  subject: Subject<S>,
  steps: readonly S[],
): { broken: string; steps: number } | undefined {
  subject.begin();
  for (const [i, step] of steps.entries()) {
    const broken = subject.run(step);
    if (broken) return { broken, steps: i + 1 };
  }
  const broken = subject.finish();
  return broken ? { broken, steps: steps.length } : undefined;
}

/**
 * Reduces an input that breaks a law to one that breaks the same law and from which no step can be left out and none
 * made simpler: halves, quarters and so on to single steps and pairs are left out, then steps are replaced by simpler ones.
 */
export function shrink<S>(subject: Subject<S>, input: readonly S[], law: string): Shrunk<S> {
  let steps = input.slice();
  let broken = '';
  let executions = 0;
  const tryOut = (candidate: readonly S[]): boolean => {
    if (executions > MAX_EXECUTIONS) return false;
    const found = firstBroken(subject, candidate);
    executions += found?.steps ?? candidate.length;
    if (!found || lawOf(found.broken) !== law) return false;
    steps = candidate.slice(0, found.steps);
    broken = found.broken;
    return true;
  };
  // the input as it is breaks some law again; if another one, then that is what is shrunk
  if (!tryOut(steps)) {
    const other = firstBroken(subject, steps);
    if (!other) return { steps, broken: `${law} not seen again from the beginning`, executions };
    law = lawOf(other.broken);
    tryOut(steps);
  }
  for (let changed = true; changed; ) {
    changed = leaveOut(() => steps, tryOut);
    for (let i = 0; i < steps.length; i++) {
      for (const simpler of subject.simpler(steps[i])) {
        const candidate = steps.slice();
        candidate[i] = simpler;
        if (!tryOut(candidate)) continue;
        changed = true;
        i = Math.min(i, steps.length) - 1;
        break;
      }
    }
  }
  return { steps, broken, executions };
}

function leaveOut<S>(present: () => S[], tryOut: (candidate: S[]) => boolean): boolean {
  let changed = false;
  for (let size = present().length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < present().length; ) {
      const steps = present();
      if (steps.length > 1 && tryOut([...steps.slice(0, from), ...steps.slice(from + size)])) changed = true;
      else from += size;
    }
  }
  // two steps that need each other, such as mask and unmask
  for (let i = 0; i < present().length && present().length <= 24; i++)
    for (let j = i + 1; j < present().length; j++) {
      const steps = present();
      if (steps.length > 2 && tryOut(steps.filter((_, n) => n !== i && n !== j))) changed = true;
    }
  return changed;
}
