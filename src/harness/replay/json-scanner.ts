import { UsageError } from '../../core/index.ts';

export const NEWLINE = 0x0a;
export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SINGLE = Array.from({ length: 0x80 }, (_, c) => String.fromCharCode(c));
/** The deepest nesting taken; recordings have four levels. */
const MAX_DEPTH = 64;

/**
 * Scans JSON straight from bytes, one value a line, since `JSON.parse` rounds integers beyond 2^53 without a word (and
 * needs a string of every line first). What is malformed throws a UsageError that names file and line.
 */
export class JsonScanner {
  readonly file: string;
  /** Number of the present line, 1 = the first. */
  line = 0;
  protected readonly bytes: Buffer;
  protected at = 0;
  /** Strings of up to four bytes, as all names of operations are, by their bytes. */
  readonly #short = new Map<number, string>();
  #depth = 0;

  constructor(bytes: Buffer, file: string) {
    this.bytes = bytes;
    this.file = file;
  }

  /** To the next line that is not blank; false if there is none. */
  begin(): boolean {
    while (this.at < this.bytes.length) {
      this.line++;
      if (this.peek() !== NEWLINE) return true;
      this.at++;
    }
    return false;
  }

  /** The value that takes the whole line. */
  whole(): unknown {
    this.#depth = 0;
    const value = this.value();
    if (this.peek() !== NEWLINE) this.fail('something follows the value');
    this.at++;
    return value;
  }

  protected fail(what: string): never {
    throw new UsageError(`${this.file}:${this.line}: malformed JSON: ${what}`);
  }

  /** The next byte that is no white space; the end counts as the end of a line. */
  protected peek(): number {
    for (; this.at < this.bytes.length; this.at++) {
      const c = this.bytes[this.at];
      if (c !== 0x20 && c !== 0x09 && c !== 0x0d) return c;
    }
    return NEWLINE;
  }

  protected value(): unknown {
    const c = this.peek();
    if (c === QUOTE) return this.string();
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
    if (this.peek() === 0x5d) {
      this.at++;
      return [];
    }
    const a = this.value();
    if (this.#next(0x5d)) return [a];
    const b = this.value();
    if (this.#next(0x5d)) return [a, b];
    const c = this.value();
    if (this.#next(0x5d)) return [a, b, c];
    const d = this.value();
    if (this.#next(0x5d)) return [a, b, c, d];
    const e = this.value();
    if (this.#next(0x5d)) return [a, b, c, d, e];
    const f = this.value();
    if (this.#next(0x5d)) return [a, b, c, d, e, f];
    const list = [a, b, c, d, e, f, this.value()];
    while (!this.#next(0x5d)) list.push(this.value());
    return list;
  }

  #object(): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    this.#enter();
    if (this.peek() === 0x7d) this.at++;
    else
      for (;;) {
        if (this.peek() !== QUOTE) this.fail('a key is missing');
        const key = this.string();
        if (this.peek() !== 0x3a) this.fail('":" is missing');
        this.at++;
        const value = this.value();
        if (key === '__proto__') this.fail('unusable key');
        result[key] = value;
        if (this.#next(0x7d)) break;
      }
    this.#depth--;
    return result;
  }

  #enter(): void {
    this.at++;
    if (++this.#depth > MAX_DEPTH) this.fail('nested too deep');
  }

  /** Past a comma: false; past `close`: true. */
  #next(close: number): boolean {
    const c = this.peek();
    this.at++;
    if (c !== 0x2c && c !== close) this.fail('"," is missing or the line is cut off');
    return c === close;
  }

  protected string(): string {
    const bytes = this.bytes;
    const start = ++this.at;
    let plain = true;
    let key = 0;
    let c = 0;
    for (; this.at < bytes.length; this.at++) {
      c = bytes[this.at];
      if (c === QUOTE || c === NEWLINE) break;
      if (c >= 0x80 || c < 0x20) plain = false;
      if (c === BACKSLASH) {
        plain = false;
        this.at++;
      }
      key = (key << 8) | c;
    }
    if (this.at >= bytes.length || c === NEWLINE) this.fail('a string is cut off');
    const end = this.at++;
    if (!plain) return this.#parse(start - 1, end + 1);
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
    const bytes = this.bytes;
    const start = this.at;
    const negative = bytes[start] === 0x2d;
    if (negative) this.at++;
    const digits = this.at;
    let value = 0;
    let c = 0;
    for (; this.at < bytes.length; this.at++) {
      c = bytes[this.at] - 0x30;
      if (c < 0 || c > 9) break;
      value = value * 10 + c;
    }
    if (this.at === digits) this.fail('a number has no digits');
    if (c === -2 || c === 0x35 || c === 0x15) return this.#float(start); // ".", "e", "E"
    if (this.at - digits <= 15) return negative ? -value : value;
    const exact = BigInt(bytes.toString('latin1', start, this.at));
    return BigInt.asIntN(54, exact) === exact ? Number(exact) : exact;
  }

  #float(start: number): number {
    while (this.at < this.bytes.length && /[-+.eE0-9]/.test(String.fromCharCode(this.bytes[this.at]))) this.at++;
    return this.#parse(start, this.at);
  }

  #parse<T>(start: number, end: number): T {
    try {
      return JSON.parse(this.bytes.toString('utf8', start, end));
    } catch (error) {
      return this.fail((error as Error).message);
    }
  }

  #word(): boolean | null {
    for (const [word, value] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (this.bytes.toString('latin1', this.at, this.at + word.length) !== word) continue;
      this.at += word.length;
      return value;
    }
    return this.fail(this.peek() === NEWLINE ? 'the line is cut off' : 'no value begins so');
  }
}
