import { writeFileSync } from 'node:fs';
import { UsageError } from '../core/index.ts';
import type { TraceEvent } from '../lab/trace.ts';
import { chromeTrace } from '../report/chrome-trace.ts';

/** Writes a run for Perfetto. @throws UsageError if the file cannot be written */
export function writeTrace(file: string, events: readonly TraceEvent[], title: string): void {
  writeText(file, chromeTrace(events, title));
}

export function writeText(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw new UsageError(`cannot write ${file}: ${(error as NodeJS.ErrnoException).code ?? error}`);
  }
}
