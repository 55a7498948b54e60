import type { ReplayResult } from '../harness/replay/index.ts';
import { tellSteps } from './finding.ts';
import { openSubject, parseInput } from './input-file.ts';
import { getTarget } from './targets/index.ts';

/**
 * Replays an input of the fuzzer: its steps on the model and on the oracle at once, everything compared after each.
 * @returns undefined if the file is none, such as a recording of a session
 * @throws UsageError if this version cannot make what it is for
 */
export async function replayInput(bytes: Uint8Array, file: string): Promise<ReplayResult | undefined> {
  const input = parseInput(bytes, file);
  if (!input) return undefined;
  const target = await getTarget(input.target);
  const subject = openSubject(target, input, file);
  const steps = target.decode(input.body);
  const { lines, broken, done } = tellSteps(subject, steps);
  const result = { file, operations: done, comparisons: done + 1, excluded: {}, differences: broken ? 1 : 0 };
  return broken ? { ...result, first: `${broken}; step ${lines[done - 1]?.trim() ?? ''}` } : result;
}
