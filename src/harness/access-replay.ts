import type { DmaMemory } from '../pci/index.ts';
import { executeRecord, transcribe } from './access-execute.ts';
import { type AccessRecord, ANSWER, describeRecord, encodeRecord, KIND } from './access-record.ts';
import { openAccessRecording } from './access-recording.ts';
import { DmaJournal } from './dma-journal.ts';
import { functionMap, type HostedFunction } from './hosted-function.ts';
import type { ReplayResult } from './replay/result.ts';

const NOTHING = new Uint8Array(0);

/**
 * Carries out a recording's requests on fresh functions, DMA reads answered as they were then, and compares everything
 * the functions did with what is recorded, byte for byte.
 *
 * A recording's functions are used up by it: open it again to replay it again.
 * @throws UsageError if the file is no recording of access records
 */
export function replayAccessRecording(file: string, recording = openAccessRecording(file)): ReplayResult {
  const { functions, records } = recording;
  const map = functionMap(functions);
  const result: ReplayResult = { file, operations: 0, comparisons: 0, excluded: {}, differences: 0 };
  let index = 0;
  for (const expected of transcriptsOf(records)) {
    result.operations++;
    const actual = repeat(map, expected);
    for (let i = 1; i < Math.max(expected.length, actual.length); i++) {
      result.comparisons++;
      if (same(expected[i], actual[i])) continue;
      result.differences++;
      const [then, now] = [expected[i], actual[i]].map((record) => (record ? describeRecord(record) : 'nothing'));
      result.first ??= `record ${index + i}, of ${describeRecord(expected[0])}: ${now}, recorded ${then}`;
      break; // what follows in this access is shifted
    }
    index += expected.length;
  }
  return result;
}

/** Runs of records that begin with a request and end with its answer, or where the recording ends. */
function* transcriptsOf(records: readonly AccessRecord[]): Generator<AccessRecord[]> {
  let transcript: AccessRecord[] = [];
  for (const record of records) {
    transcript.push(record);
    if (record.kind !== ((transcript[0].kind | ANSWER) & 0xff) || transcript.length === 1) continue;
    yield transcript;
    transcript = [];
  }
  if (transcript.length > 0) yield transcript;
}

function repeat(functions: ReadonlyMap<number, HostedFunction>, expected: readonly AccessRecord[]): AccessRecord[] {
  const [request] = expected;
  const hosted = functions.get(request.function);
  const answers = expected.filter((record) => record.kind === (KIND.dmaRead | ANSWER));
  const memory: DmaMemory = { readBytes: () => answers.shift()?.data ?? NOTHING, writeBytes: () => {} };
  const journal = new DmaJournal(hosted?.fn.effects ?? [], memory);
  if (hosted?.port) hosted.port.journal = journal;
  const answer = executeRecord({ functions }, request);
  if (hosted?.port) hosted.port.journal = undefined;
  return transcribe(request, journal.entries, hosted?.fn.effects.splice(0) ?? [], answer);
}

function same(a: AccessRecord | undefined, b: AccessRecord | undefined): boolean {
  return a !== undefined && b !== undefined && Buffer.from(encodeRecord(a)).equals(encodeRecord(b));
}
