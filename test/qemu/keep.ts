import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
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
  // numbers above 2^53 are plain digits in recordings
  const text = (value: unknown) =>
    JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? `#${inner}#` : inner)).replace(/"#(\d+)#"/g, '$1');
  writeFileSync(recording, gzipSync(`${[header, ...lines].map(text).join('\n')}\n`));
  writeFileSync(`${name}.json`, JSON.stringify(probe));
  return `kept: pirqlab replay ${recording} --probe ${name}.json`;
}
