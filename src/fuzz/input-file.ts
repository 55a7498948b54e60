import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { toHex, UsageError } from '../core/index.ts';
import type { Subject, Target } from './target.ts';

/** First bytes of a file of access records, as recordings have them. */
const MAGIC = 'PIRQACC1';
const BLOCK_BYTES = 24;

/** An input as a file holds it. */
export interface InputFile {
  target: string;
  variant: number;
  /** Encoded steps. */
  body: Uint8Array;
}

/**
 * An input as a file: a header of 24 bytes (magic, u32 length of a JSON text), the text padded with zeros to a multiple
 * of 24, the encoded steps. The text names the target and the variant, and the functions that accesses are made to, so
 * that whatever replays access records can make them.
 */
export function encodeInput<S>(
  target: Target<S>,
  subject: Subject<S>,
  variant: number,
  steps: readonly S[],
): Uint8Array {
  const functions = subject.functions.map((spec) => ({ kind: 'plain', bdf: spec.bdf, spec }));
  const header = { functions, fuzz: { target: target.name, variant } };
  const text = Buffer.from(JSON.stringify(header, (_, v) => (v instanceof Uint8Array ? toHex(v) : v)));
  const body = target.encode(steps);
  const start = BLOCK_BYTES + Math.ceil(text.length / BLOCK_BYTES) * BLOCK_BYTES;
  const bytes = Buffer.alloc(start + body.length);
  bytes.write(MAGIC, 0, 'latin1');
  bytes.writeUInt32LE(text.length, 8);
  text.copy(bytes, BLOCK_BYTES);
  bytes.set(body, start);
  return new Uint8Array(bytes);
}

/** @throws UsageError if it is no such file, or no input of a target */
export function readInput(path: string): InputFile {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw new UsageError(`cannot read ${path}: ${(error as NodeJS.ErrnoException).code}`);
  }
  if (bytes.length < BLOCK_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC)
    throw new UsageError(`${path}: no input (it would begin with ${MAGIC})`);
  const length = bytes.readUInt32LE(8);
  const start = BLOCK_BYTES + Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES;
  let header: { fuzz?: { target?: unknown; variant?: unknown } };
  try {
    header = JSON.parse(bytes.toString('utf8', BLOCK_BYTES, BLOCK_BYTES + length));
  } catch {
    throw new UsageError(`${path}: its header is no JSON`);
  }
  const { target, variant } = header?.fuzz ?? {};
  if (typeof target !== 'string' || typeof variant !== 'number')
    throw new UsageError(`${path}: its header names no fuzz target`);
  return { target, variant, body: new Uint8Array(bytes.subarray(start)) };
}

/** A name that follows from contents. */
export function contentName(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}
