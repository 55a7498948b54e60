import type { Subject } from './target.ts';

/** Carries out a step; an exception is a broken law like any other, for nothing that a guest does may throw. */
export function runStep<S>(subject: Subject<S>, step: S): string | undefined {
  try {
    return subject.run(step);
  } catch (error) {
    return thrown(error);
  }
}

/** What is checked at the end of an input, likewise. */
export function finishInput<S>(subject: Subject<S>): string | undefined {
  try {
    return subject.finish();
  } catch (error) {
    return thrown(error);
  }
}

const thrown = (error: unknown) => `throws: ${String(error).split('\n')[0]}`;
