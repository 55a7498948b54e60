import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { finishInput, runStep } from './attempt.ts';
import type { Finding } from './engine.ts';
import { contentName, encodeInput } from './input-file.ts';
import { writeReproducers } from './reproducers/index.ts';
import type { Subject, Target } from './target.ts';

/**
 * An input told step by step: what is done in register terms, what comes of it, and where a law breaks. Ends there;
 * `done` is the number of steps up to it.
 */
export function tellSteps<S>(
  subject: Subject<S>,
  steps: readonly S[],
): { lines: string[]; broken: string | undefined; done: number } {
  const lines: string[] = [];
  let broken: string | undefined;
  let done = 0;
  subject.begin();
  for (const [i, step] of steps.entries()) {
    const told = subject.tell(step);
    broken = runStep(subject, step);
    done++;
    const did = subject.outcome().trim();
    lines.push(`${String(i + 1).padStart(3)}  ${told}${did ? ` → ${did}` : ''}`);
    if (broken) break;
  }
  broken ??= finishInput(subject);
  if (broken) lines.push(`     broken: ${broken}`);
  return { lines, broken, done };
}

/**
 * Writes a finding as a folder below `folder`: `input.bin`, `story.txt`, `finding.json`, and the reproducers that can be
 * made of it with `README.txt`, which says how to run them.
 * @returns the folder's path
 */
export function writeFinding<S>(folder: string, target: Target<S>, finding: Finding<S>, seed: number): string {
  const subject = target.open(finding.variant);
  const input = encodeInput(target, subject, finding.variant, finding.steps);
  const path = join(folder, `${finding.target}-${contentName(input)}`);
  mkdirSync(path, { recursive: true });
  const { lines } = tellSteps(subject, finding.steps);
  const heading = `${finding.target}: ${finding.label}\n${finding.broken}\n\n`;
  writeFileSync(join(path, 'input.bin'), input);
  writeFileSync(join(path, 'story.txt'), `${heading}${lines.join('\n')}\n`);
  if (subject.script)
    writeReproducers(path, target.name, subject as Subject<never>, finding.steps as never[], finding.broken);
  const { broken, label, variant, run, executions, shrinkExecutions } = finding;
  const about = {
    target: finding.target,
    variant,
    label,
    broken,
    seed,
    run,
    executions,
    shrinkExecutions,
    steps: finding.steps.length,
    foundSteps: finding.found.length,
  };
  writeFileSync(join(path, 'finding.json'), `${JSON.stringify(about, null, 2)}\n`);
  return path;
}
