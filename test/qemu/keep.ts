import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { formatLine } from '../../src/harness/replay/recording-reader.ts';
import type { RecordingLine } from '../../src/harness/replay/result.ts';

const FOLDER = 'build/qemu';

/** Writes a recording that differed, and its probe; answers the command that replays them. */
export function keepRecording(
  header: { device: string; machine: string; seed: number },
  lines: readonly RecordingLine[],
  probe: unknown,
): string {
  mkdirSync(FOLDER, { recursive: true });
  const name = join(FOLDER, `${header.device}.${header.machine}`);
  const recording = `${name}.s${header.seed}.jsonl.gz`;
  writeFileSync(recording, gzipSync(`${[header, ...lines].map(formatLine).join('\n')}\n`));
  writeFileSync(`${name}.json`, JSON.stringify(probe));
  return `kept: pirqlab replay ${recording} --probe ${name}.json`;
}
