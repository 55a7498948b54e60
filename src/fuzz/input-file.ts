import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { toHex, UsageError } from '../core/index.ts';
import { paddedBytes, RECORD_BYTES, RECORDING_MAGIC } from '../harness/access-record.ts';
import { reviveSpec } from '../harness/access-recording.ts';
import type { FunctionSpec } from '../pci/index.ts';
import type { Subject, Target } from './target.ts';

/** An input as a file holds it. */
export interface InputFile {
  target: string;
  variant: number;
  /** The functions that its accesses are made to; none where the steps are no accesses to functions. */
  functions: FunctionSpec[];
  /** Encoded steps. */
  body: Uint8Array;
}

/**
 * An input as a file: a header of 24 bytes (magic, u32 length of a JSON text), the text padded with zeros to a multiple
 * of 24, the encoded steps. The text names the target and the variant, and holds the functions that accesses are made
 * to, so that the file means the same to another build and to whatever else reads access records.
 */
export function encodeInput<S>(
  target: Target<S>,
  subject: Subject<S>,
  variant: number,
  steps: readonly S[],
): Uint8Array {
  const functions = subject.functions.map((spec) => ({ kind: 'plain', bdf: spec.bdf, spec }));
  const header = { functions, fuzz: { target: target.name, variant } };
  const text = Buffer.from(toJson(header));
  const body = target.encode(steps);
  const start = RECORD_BYTES + paddedBytes(text.length);
  const bytes = Buffer.alloc(start + body.length);
  bytes.write(RECORDING_MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(text.length, 8);
  text.copy(bytes, RECORD_BYTES);
  bytes.set(body, start);
  return new Uint8Array(bytes);
}

/** Byte arrays as hex. */
const toJson = (value: unknown) => JSON.stringify(value, (_, v) => (v instanceof Uint8Array ? toHex(v) : v));

/** @throws UsageError if it cannot be read, is no such file, or no input of a target */
export function readInput(path: string): InputFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (bytes.length < RECORD_BYTES || bytes.toString('latin1', 0, 8) !== RECORDING_MAGIC)
    throw new UsageError(`${path}: no input (it would begin with ${RECORDING_MAGIC})`);
  const input = parseInput(bytes, path);
  if (!input) throw new UsageError(`${path}: its header names no fuzz target`);
  return input;
}

/**
 * The input in a file that begins as access records do; undefined if it is something else, such as a recording.
 * @throws UsageError if its header is no JSON
 */
export function parseInput(bytes: Uint8Array, path: string): InputFile | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (file.length < RECORD_BYTES) return undefined;
  const length = file.readUInt32LE(8);
  let header: { fuzz?: { target?: unknown; variant?: unknown }; functions?: { spec?: Record<string, unknown> }[] };
  try {
    header = JSON.parse(file.toString('utf8', RECORD_BYTES, RECORD_BYTES + length));
  } catch {
    throw new UsageError(`${path}: its header is no JSON`);
  }
  const { target, variant } = header?.fuzz ?? {};
  if (typeof target !== 'string' || typeof variant !== 'number') return undefined;
  const functions = (header.functions ?? []).flatMap(({ spec }) => (spec ? [reviveSpec(spec)] : []));
  return { target, variant, functions, body: new Uint8Array(file.subarray(RECORD_BYTES + paddedBytes(length))) };
}

/**
 * The subject that an input is for: made of the functions in the file where the target can, else the one of its number,
 * which must have the same functions.
 * @throws UsageError if this build has no such subject
 */
export function openSubject<S>(target: Target<S>, input: InputFile, path: string): Subject<S> {
  const { variant, functions } = input;
  if (target.openSpec && functions.length > 0) return target.openSpec(functions[0]);
  if (!Number.isInteger(variant) || variant < 0 || variant >= target.variants)
    throw new UsageError(`${path}: ${target.name} has no subject ${variant}`);
  const subject = target.open(variant);
  if (toJson(subject.functions) !== toJson(functions))
    throw new UsageError(`${path}: made for other functions than this version's ${target.name} has`);
  return subject;
}

/** A name that follows from contents. */
export function contentName(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}
