import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../core/index.ts';
import { isAccessFile, isAccessRecording } from '../access-record.ts';
import { parseRecording, readUnpacked } from './recording.ts';
import type { RecordingReader } from './recording-reader.ts';
import type { Replayer, ReplayOptions, ReplayResult } from './result.ts';

export { probeLookup } from './probes.ts';
export { jsonLines, openRecording } from './recording.ts';
export type { RecordingLine, Replayer, ReplayOptions, ReplayResult } from './result.ts';

/** The replayer of each kind of recording, loaded when the first of that kind comes: half of a short run was loading. */
const REPLAYERS: Record<string, () => Promise<Replayer<RecordingReader>>> = {
  random: async () => (await import('./config.ts')).CONFIG_REPLAYER,
  unaligned: async () => (await import('./config.ts')).CONFIG_REPLAYER,
  irq: async () => (await import('./irq.ts')).IRQ_REPLAYER,
  host: async () => (await import('./host.ts')).HOST_REPLAYER,
  xenpt: async () => (await import('./xenpt.ts')).XENPT_REPLAYER,
  'xen-hypercall-trace-1': async () => (await import('./xen.ts')).XEN_REPLAYER,
};

/**
 * Replays one recording.
 * @throws UsageError if the file is no recording of a kind that some replayer knows
 */
export async function replayFile(file: string, options: ReplayOptions): Promise<ReplayResult> {
  const bytes = readUnpacked(file);
  if (isAccessRecording(bytes)) {
    const { parseAccessRecording } = await import('../access-recording.ts');
    const { replayAccessRecording } = await import('../access-replay.ts');
    return replayAccessRecording(file, parseAccessRecording(bytes, file));
  }
  const { header, lines } = parseRecording(bytes, file);
  const kind = String(header['kind'] ?? header['format']);
  if (!Object.hasOwn(REPLAYERS, kind))
    throw new UsageError(`${file}: no replayer for recordings of kind ${JSON.stringify(header['kind'])}`);
  const replayer = await REPLAYERS[kind]();
  return replayer.replay(file, header, lines, options);
}

/** The recordings among files and folders, which are searched to the bottom, in order of their names. */
export function findRecordings(paths: readonly string[]): string[] {
  const found: string[] = [];
  const visit = (path: string, named: boolean) => {
    let isFolder: boolean;
    try {
      isFolder = statSync(path).isDirectory();
    } catch (error) {
      throw new UsageError(`${path}: ${(error as Error).message}`);
    }
    if (isFolder) for (const name of readdirSync(path).sort()) visit(join(path, name), false);
    else if (named || /\.(jsonl(\.gz)?|pirqacc)$/.test(path) || (path.endsWith('.bin') && isAccessFile(path)))
      found.push(path);
  };
  for (const path of paths) visit(path, true);
  if (found.length === 0)
    throw new UsageError(
      `no recordings (*.jsonl, *.jsonl.gz, *.pirqacc, inputs of pirqlab fuzz) in ${paths.join(', ')}`,
    );
  return found;
}
