import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { UsageError } from '../../core/index.ts';
import { JsonScanner } from './json-scanner.ts';
import { RecordingReader } from './recording-reader.ts';

/** A recording: the header of line 1 and the lines after it. */
export interface Recording {
  readonly header: Record<string, unknown>;
  readonly lines: RecordingReader;
}

/**
 * Opens a recording, gzip or plain: one JSON value a line, an object first.
 * @throws UsageError if it is no such file; a malformed line throws when the reader comes to it
 */
export function openRecording(file: string): Recording {
  return parseRecording(readUnpacked(file), file);
}

/** The same of the file's bytes, unpacked. */
export function parseRecording(bytes: Buffer, file: string): Recording {
  const lines = new RecordingReader(bytes, file);
  const header = lines.begin() ? lines.whole() : undefined;
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new UsageError(`${file}: not a recording: line 1 is no JSON object`);
  return { header: header as Record<string, unknown>, lines };
}

/** Reads a file, gzip or plain. @throws UsageError if that fails */
export function readUnpacked(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes, { chunkSize: unpackedSize(bytes) });
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
  return bytes;
}

/**
 * What the last four bytes of a gzip file say (RFC 1952 §2.3.1), within what its length allows: deflate makes no more
 * than 1032 bytes of one. Unpacking into one piece of that size saves joining many; a wrong size does no harm.
 */
function unpackedSize(bytes: Buffer): number {
  const said = bytes.length >= 18 ? bytes.readUInt32LE(bytes.length - 4) : 0;
  return Math.max(64, Math.min(said + 1, 1032 * bytes.length));
}

/** The JSON values of a text, one a line; blank lines are skipped. Integers beyond 2^53 come as bigint, exactly. */
export function* jsonLines(bytes: Buffer, file: string): Generator<unknown, undefined> {
  const scanner = new JsonScanner(bytes, file);
  while (scanner.begin()) yield scanner.whole();
  return undefined;
}
