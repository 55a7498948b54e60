import { finishInput, runStep } from './attempt.ts';
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
    const broken = runStep(subject, step);
    if (broken) return { broken, steps: i + 1 };
  }
  const broken = finishInput(subject);
  return broken ? { broken, steps: steps.length } : undefined;
}

/**
 * Reduces an input that breaks a law to one that breaks the same law and from which no step can be left out and none
 * made simpler.
 */
export function shrink<S>(subject: Subject<S>, input: readonly S[], law: string): Shrunk<S> {
  let executions = 0;
  // the input as it is breaks some law again; if another one, then that is what is shrunk
  const again = firstBroken(subject, input);
  if (!again) return { steps: input.slice(), broken: `${law} not seen again from the beginning`, executions };
  const wanted = lawOf(again.broken);
  let { broken } = again;
  executions += again.steps;
  const candidates = reduce(input.slice(0, again.steps), (step) => subject.simpler(step));
  for (let next = candidates.next(); ; ) {
    if (next.done) return { steps: next.value, broken, executions };
    let needed = 0;
    if (executions <= MAX_EXECUTIONS) {
      const found = firstBroken(subject, next.value);
      executions += found?.steps ?? next.value.length;
      if (found && lawOf(found.broken) === wanted) {
        needed = found.steps;
        broken = found.broken;
      }
    }
    next = candidates.next(needed);
  }
}

/**
 * Yields inputs to try and is told of each how many of its steps it takes to break the law, 0 if it does not; whoever
 * drives it may wait for that. Halves, quarters and so on to single steps and pairs are left out, then steps are replaced
 * by simpler ones.
 * @returns the last input that broke the law
 */
export function* reduce<S>(input: readonly S[], simpler: (step: S) => readonly S[]): Generator<S[], S[], number> {
  let steps = input.slice();
  function* tryOut(candidate: S[]): Generator<S[], boolean, number> {
    const needed = yield candidate;
    if (needed > 0) steps = candidate.slice(0, needed);
    return needed > 0;
  }
  for (let changed = true; changed; ) {
    changed = yield* leaveOut(() => steps, tryOut);
    for (let i = 0; i < steps.length; i++) {
      for (const other of simpler(steps[i])) {
        const candidate = steps.slice();
        candidate[i] = other;
        if (!(yield* tryOut(candidate))) continue;
        changed = true;
        i = Math.min(i, steps.length) - 1;
        break;
      }
    }
  }
  return steps;
}

function* leaveOut<S>(
  present: () => S[],
  tryOut: (candidate: S[]) => Generator<S[], boolean, number>,
): Generator<S[], boolean, number> {
  let changed = false;
  for (let size = present().length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < present().length; ) {
      const steps = present();
      if (steps.length > 1 && (yield* tryOut([...steps.slice(0, from), ...steps.slice(from + size)]))) changed = true;
      else from += size;
    }
  }
  // two steps that need each other, such as mask and unmask
  for (let i = 0; i < present().length && present().length <= 24; i++)
    for (let j = i + 1; j < present().length; j++) {
      const steps = present();
      if (steps.length > 2 && (yield* tryOut(steps.filter((_, n) => n !== i && n !== j)))) changed = true;
    }
  return changed;
}
