import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { UsageError } from '../../core/index.ts';
import type { RecordingLine } from './result.ts';

/** A recording: the header of line 1 and the values of the lines after it. */
export interface Recording {
  readonly header: Record<string, unknown>;
  readonly lines: Iterable<RecordingLine>;
}

/**
 * Opens a recording, gzip or plain: one JSON value a line, an object first.
 * @throws UsageError if it is no such file; a malformed line throws when the reader comes to it
 */
export function openRecording(file: string): Recording {
  const bytes = readBytes(file);
  const lines = jsonLines(bytes, file);
  const first = lines.next();
  const header = first.done ? undefined : first.value;
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw new UsageError(`${file}: not a recording: line 1 is no JSON object`);
  return {
    header: header as Record<string, unknown>,
    lines: { [Symbol.iterator]: () => lines } as Iterable<RecordingLine>,
  };
}

function readBytes(file: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
    if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = gunzipSync(bytes);
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`);
  }
  return bytes;
}

/** The JSON values of a text, one a line; blank lines are skipped. Integers beyond 2^53 come as bigint, exactly. */
export function* jsonLines(bytes: Buffer, file: string): Generator<unknown, undefined> {
  const scanner = new JsonScanner(bytes);
  for (let line = 1; !scanner.ended; line++) {
    try {
      if (scanner.begin()) yield scanner.line();
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new UsageError(`${file}:${line}: ${error.message}`);
    }
  }
  return undefined;
}

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SINGLE = Array.from({ length: 0x80 }, (_, c) => String.fromCharCode(c));
/** The deepest nesting taken; recordings have four levels. */
const MAX_DEPTH = 64;

/**
 * Scans JSON straight from bytes, since `JSON.parse` rounds integers beyond 2^53 without a word (and needs a string of
 * every line first).
 */
class JsonScanner {
  readonly #bytes: Buffer;
  /** Strings of up to four bytes, as all names of operations are, by their bytes. */
  readonly #short = new Map<number, string>();
  #at = 0;
  #depth = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get ended(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Past the white space that a line begins with; false, and past its end, if there is nothing else. */
  begin(): boolean {
    if (this.#peek() !== NEWLINE) return true;
    this.#at++;
    return false;
  }

  /** The value that takes the rest of the line. */
  line(): unknown {
    this.#depth = 0;
    const value = this.#value();
    if (this.#peek() !== NEWLINE) this.#fail('something follows the value');
    this.#at++;
    return value;
  }

  #fail(what: string): never {
    throw new SyntaxError(`malformed JSON: ${what}`);
  }

  /** The next byte that is no white space; the end counts as the end of a line. */
  #peek(): number {
    for (; this.#at < this.#bytes.length; this.#at++) {
      const c = this.#bytes[this.#at];
      if (c !== 0x20 && c !== 0x09 && c !== 0x0d) return c;
    }
    return NEWLINE;
  }

  #value(): unknown {
    const c = this.#peek();
    if (c === QUOTE) return this.#string();
    if (c === 0x5b) return this.#array();
    if (c === 0x7b) return this.#object();
    if (c === 0x2d || (c >= 0x30 && c <= 0x39)) return this.#number();
    return this.#word();
  }

  #array(): unknown[] {
    this.#enter();
    const list = this.#elements();
    this.#depth--;
    return list;
  }

  /** Arrays of a trace have few elements: written as literals they are made at once, in their final size. */
  #elements(): unknown[] {
    if (this.#peek() === 0x5d) {
      this.#at++;
      return [];
    }
    const a = this.#value();
    if (this.#next(0x5d)) return [a];
    const b = this.#value();
    if (this.#next(0x5d)) return [a, b];
    const c = this.#value();
    if (this.#next(0x5d)) return [a, b, c];
    const d = this.#value();
    if (this.#next(0x5d)) return [a, b, c, d];
    const e = this.#value();
    if (this.#next(0x5d)) return [a, b, c, d, e];
    const f = this.#value();
    if (this.#next(0x5d)) return [a, b, c, d, e, f];
    const list = [a, b, c, d, e, f, this.#value()];
    while (!this.#next(0x5d)) list.push(this.#value());
    return list;
  }

  #object(): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    this.#enter();
    if (this.#peek() === 0x7d) this.#at++;
    else
      for (;;) {
        if (this.#peek() !== QUOTE) this.#fail('a key is missing');
        const key = this.#string();
        if (this.#peek() !== 0x3a) this.#fail('":" is missing');
        this.#at++;
        const value = this.#value();
        if (key === '__proto__') this.#fail('unusable key');
        result[key] = value;
        if (this.#next(0x7d)) break;
      }
    this.#depth--;
    return result;
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > MAX_DEPTH) this.#fail('nested too deep');
  }

  /** Past a comma: false; past `close`: true. */
  #next(close: number): boolean {
    const c = this.#peek();
    this.#at++;
    if (c !== 0x2c && c !== close) this.#fail('"," is missing or the line is cut off');
    return c === close;
  }

  #string(): string {
    const bytes = this.#bytes;
    const start = ++this.#at;
    let plain = true;
    let key = 0;
    let c = 0;
    for (; this.#at < bytes.length; this.#at++) {
      c = bytes[this.#at];
      if (c === QUOTE || c === NEWLINE) break;
      if (c >= 0x80 || c < 0x20) plain = false;
      if (c === BACKSLASH) {
        plain = false;
        this.#at++;
      }
      key = (key << 8) | c;
    }
    if (this.#at >= bytes.length || c === NEWLINE) this.#fail('a string is cut off');
    const end = this.#at++;
    if (!plain) return JSON.parse(bytes.toString('utf8', start - 1, end + 1));
    if (end - start === 1) return SINGLE[key];
    if (end - start > 4) return bytes.toString('latin1', start, end);
    let text = this.#short.get(key);
    if (text === undefined) {
      text = bytes.toString('latin1', start, end);
      this.#short.set(key, text);
    }
    return text;
  }

  #number(): number | bigint {
    const bytes = this.#bytes;
    const start = this.#at;
    const negative = bytes[start] === 0x2d;
    if (negative) this.#at++;
    const digits = this.#at;
    let value = 0;
    let c = 0;
    for (; this.#at < bytes.length; this.#at++) {
      c = bytes[this.#at] - 0x30;
      if (c < 0 || c > 9) break;
      value = value * 10 + c;
    }
    if (this.#at === digits) this.#fail('a number has no digits');
    if (c === -2 || c === 0x35 || c === 0x15) return this.#float(start); // ".", "e", "E"
    if (this.#at - digits <= 15) return negative ? -value : value;
    const exact = BigInt(bytes.toString('latin1', start, this.#at));
    return BigInt.asIntN(54, exact) === exact ? Number(exact) : exact;
  }

  #float(start: number): number {
    while (this.#at < this.#bytes.length && /[-+.eE0-9]/.test(String.fromCharCode(this.#bytes[this.#at]))) this.#at++;
    return JSON.parse(this.#bytes.toString('latin1', start, this.#at));
  }

  #word(): boolean | null {
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.#bytes.toString('latin1', this.#at, this.#at + word.length) !== word) continue;
      this.#at += word.length;
      return value;
    }
    return this.#fail(this.#peek() === NEWLINE ? 'the line is cut off' : 'no value begins so');
  }
}
