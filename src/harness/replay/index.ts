import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../core/index.ts';
import { isAccessRecordingFile, openAccessRecording } from '../access-recording.ts';
import { replayAccessRecording } from '../access-replay.ts';
import { CONFIG_REPLAYER } from './config.ts';
import { HOST_REPLAYER } from './host.ts';
import { IRQ_REPLAYER } from './irq.ts';
import { openRecording } from './recording.ts';
import type { Replayer, ReplayOptions, ReplayResult } from './result.ts';
import { XEN_REPLAYER } from './xen.ts';
import { XENPT_REPLAYER } from './xenpt.ts';

export { probeLookup } from './probes.ts';
export { jsonLines, openRecording } from './recording.ts';
export type { RecordingLine, Replayer, ReplayOptions, ReplayResult } from './result.ts';

/** One replayer for each kind of recording; the first that accepts a header takes it. */
const REPLAYERS: readonly Replayer[] = [CONFIG_REPLAYER, IRQ_REPLAYER, HOST_REPLAYER, XENPT_REPLAYER, XEN_REPLAYER];

/**
 * Reads and unpacks a recording; the function returned replays it.
 * @throws UsageError if the file is no recording of a kind that some replayer knows
 */
export function loadReplay(file: string): (options: ReplayOptions) => ReplayResult {
  if (isAccessRecordingFile(file)) {
    const recording = openAccessRecording(file);
    return () => replayAccessRecording(file, recording);
  }
  const { header, lines } = openRecording(file);
  const replayer = REPLAYERS.find((r) => r.accepts(header));
  if (!replayer) throw new UsageError(`${file}: no replayer for recordings of kind ${JSON.stringify(header['kind'])}`);
  return (options) => replayer.replay(file, header, lines, options);
}

export function replayFile(file: string, options: ReplayOptions): ReplayResult {
  return loadReplay(file)(options);
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
    else if (named || /\.(jsonl(\.gz)?|pirqacc)$/.test(path)) found.push(path);
  };
  for (const path of paths) visit(path, true);
  if (found.length === 0) throw new UsageError(`no recordings (*.jsonl, *.jsonl.gz, *.pirqacc) in ${paths.join(', ')}`);
  return found;
}
