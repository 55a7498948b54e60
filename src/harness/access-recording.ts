import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fromHex, toHex, UsageError } from '../core/index.ts';
import type { FunctionSpec } from '../pci/index.ts';
import {
  type AccessRecord,
  isAccessRecording,
  paddedBytes,
  RECORD_BYTES,
  RECORDING_MAGIC,
  RecordReader,
  RecordWriter,
} from './access-record.ts';
import { type FunctionRecipe, type HostedFunction, hostFunction } from './hosted-function.ts';

const HEADER_BYTES = RECORD_BYTES;

/** Writes what passes through a session or a server to a file: a header with the devices, then transcripts. */
export class AccessRecordingWriter {
  readonly #fd: number;
  readonly #writer = new RecordWriter();

  /** @throws UsageError if the file cannot be made */
  constructor(path: string, functions: Iterable<HostedFunction>) {
    try {
      this.#fd = openSync(path, 'w', 0o600);
    } catch (error) {
      throw new UsageError(`cannot write ${path}: ${(error as NodeJS.ErrnoException).code}`);
    }
    this.#append(encodeHeader([...functions]));
  }

  /** Appends one completed access; pass this as a session's recorder. */
  readonly append = (transcript: readonly AccessRecord[]): void => {
    for (const record of transcript) this.#writer.write(record);
    this.#append(this.#writer.take());
  };

  close(): void {
    closeSync(this.#fd);
  }

  #append(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#fd, bytes, done);
  }
}

/** Magic, length of the JSON text, zeros to 24 bytes; the text, padded likewise. */
function encodeHeader(functions: readonly HostedFunction[]): Uint8Array {
  const recipes = functions.map(({ recipe, fn }) => ({ ...recipe, bdf: fn.bdf }));
  const text = Buffer.from(JSON.stringify({ functions: recipes }, (_, v) => (v instanceof Uint8Array ? toHex(v) : v)));
  const bytes = Buffer.alloc(HEADER_BYTES + paddedBytes(text.length));
  bytes.write(RECORDING_MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(text.length, 8);
  text.copy(bytes, HEADER_BYTES);
  return bytes;
}

export interface AccessRecording {
  /** Fresh functions as they were when the recording began, namespaces in memory and empty. */
  functions: HostedFunction[];
  records: AccessRecord[];
}

/** @throws UsageError if it is no such recording, or is cut off */
export function openAccessRecording(path: string): AccessRecording {
  return parseAccessRecording(readRecording(path), path);
}

/** What makes the functions of a recording, or of an input of the fuzzer. @throws UsageError as the above */
export function readRecipes(path: string): FunctionRecipe[] {
  return splitRecording(readRecording(path), path).recipes;
}

export function parseAccessRecording(bytes: Uint8Array, path: string): AccessRecording {
  const { recipes, body } = splitRecording(bytes, path);
  const reader = new RecordReader();
  reader.push(body);
  const records: AccessRecord[] = [];
  for (let record = reader.next(); record; record = reader.next()) records.push(record);
  if (reader.pendingBytes > 0) throw new UsageError(`${path}: cut off in a record, ${reader.pendingBytes} bytes over`);
  return { functions: recipes.map(hostFunction), records };
}

function readRecording(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function splitRecording(bytes: Uint8Array, path: string): { recipes: FunctionRecipe[]; body: Uint8Array } {
  if (!isAccessRecording(bytes) || bytes.length < HEADER_BYTES)
    throw new UsageError(`${path}: no recording of access records (it would begin with ${RECORDING_MAGIC})`);
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  const start = HEADER_BYTES + paddedBytes(length);
  if (start > bytes.length) throw new UsageError(`${path}: cut off in its header`);
  const recipes = parseRecipes(Buffer.from(bytes.subarray(HEADER_BYTES, HEADER_BYTES + length)).toString(), path);
  return { recipes, body: bytes.subarray(start) };
}

function parseRecipes(text: string, path: string): FunctionRecipe[] {
  let header: { functions?: unknown };
  try {
    header = JSON.parse(text);
  } catch {
    throw new UsageError(`${path}: its header is no JSON`);
  }
  if (!Array.isArray(header?.functions)) throw new UsageError(`${path}: its header names no functions`);
  return header.functions.map((recipe: FunctionRecipe & { spec?: Record<string, unknown> }) => {
    const { file: _, spec, ...rest } = recipe;
    return spec ? { ...rest, spec: reviveSpec(spec) } : rest;
  });
}

/** A function as JSON has it, where byte arrays stand as hex. */
export function reviveSpec(spec: Record<string, unknown>): FunctionSpec {
  const masks = spec['masks'] as Record<string, string> | undefined;
  return {
    ...spec,
    image: fromHex(String(spec['image'])),
    ...(masks && { masks: Object.fromEntries(Object.entries(masks).map(([name, hex]) => [name, fromHex(hex)])) }),
  } as unknown as FunctionSpec;
}
