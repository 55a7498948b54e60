import { JsonScanner, NEWLINE, QUOTE } from './json-scanner.ts';
import type { RecordingLine } from './result.ts';

const OPEN = 0x5b;
const CLOSE = 0x5d;
const COMMA = 0x2c;
/** Digits of which any number is exact in a double. */
const EXACT_DIGITS = 15;
const NO_DIGIT = 0xff;
/** Values of hexadecimal digits by character. */
const NIBBLES = new Uint8Array(256).fill(NO_DIGIT);
for (const [value, digit] of [...'0123456789abcdef'].entries())
  NIBBLES[digit.charCodeAt(0)] = NIBBLES[digit.toUpperCase().charCodeAt(0)] = value;

/** A value as a line of a recording has it: JSON in which numbers above 2^53 are plain digits. */
export function formatLine(value: unknown): string {
  const text = JSON.stringify(value, (_, inner) => (typeof inner === 'bigint' ? `#${inner}#` : inner));
  return text.replace(/"#(\d+)#"/g, '$1');
}

/**
 * The lines of a recording after its header: as values, by iterating, or element by element, straight from the bytes
 * and without an object for any of them: {@link next}, one call for each element in its order, {@link end}. Most lines
 * are five small numbers, and the time of a replay goes into reading them. Whatever is not what was asked for throws a
 * UsageError that names file and line.
 */
export class RecordingReader extends JsonScanner implements Iterable<RecordingLine> {
  /** First element of the present line, the operation's name. */
  name = '';
  /** Low and high word of what {@link word64} has read. */
  readonly words = new Uint32Array(2);
  /** True just past an opening bracket, where no comma stands. */
  #fresh = false;

  /** A reader of lines that are in no file. */
  static of(lines: readonly RecordingLine[], file: string): RecordingReader {
    return new RecordingReader(Buffer.from(lines.map(formatLine).join('\n')), file);
  }

  *[Symbol.iterator](): Generator<RecordingLine, undefined> {
    while (this.begin()) yield this.whole() as RecordingLine;
    return undefined;
  }

  /** To the next line, which must be an array that begins with a name; false if there is none. */
  next(): boolean {
    if (!this.begin()) return false;
    if (this.peek() !== OPEN) this.fail('an operation is an array');
    this.at++;
    this.#fresh = true;
    this.name = this.text();
    return true;
  }

  /** Skips what is left of the line. */
  end(): void {
    while (!this.leave()) this.skip();
    if (this.peek() !== NEWLINE) this.fail('something follows the value');
    this.at++;
  }

  /** Into a list, which is the next element. */
  enter(): void {
    this.#separate();
    if (this.peek() !== OPEN) this.fail('a list is missing');
    this.at++;
    this.#fresh = true;
  }

  /** Out of the list, if it has no more elements; else false. */
  leave(): boolean {
    if (this.peek() !== CLOSE) return false;
    this.at++;
    this.#fresh = false;
    return true;
  }

  /** Any value. */
  skip(): void {
    this.#separate();
    this.value();
  }

  /** A string. */
  text(): string {
    this.#separate();
    if (this.peek() !== QUOTE) this.fail('a string is missing');
    return this.string();
  }

  /** A whole number of up to {@link EXACT_DIGITS} digits. */
  number(): number {
    this.#separate();
    this.peek();
    const start = this.at;
    const value = this.#digits();
    if (this.at - start > EXACT_DIGITS) this.fail('a number is too large');
    return value;
  }

  /** A whole number of up to 64 bits, into {@link words}. */
  word64(): void {
    this.#separate();
    this.peek();
    const start = this.at;
    const value = this.#digits();
    if (this.at - start <= EXACT_DIGITS) {
      this.words[0] = value;
      this.words[1] = value / 0x1_0000_0000;
      return;
    }
    const exact = BigInt(this.bytes.toString('latin1', start, this.at));
    if (exact > 0xffff_ffff_ffff_ffffn) this.fail('a number is too large');
    this.words[0] = Number(exact & 0xffff_ffffn);
    this.words[1] = Number(exact >> 32n);
  }

  /** A string of hexadecimal digits, as bytes. */
  hex(): Uint8Array {
    this.#quote();
    const end = this.bytes.indexOf(QUOTE, this.at);
    const bytes = new Uint8Array(Math.max(0, end - this.at) >> 1);
    this.#pairs(bytes, 0);
    return bytes;
  }

  /** Stores a string of hexadecimal digits as bytes from `at` on, as far as they fit. */
  hexInto(target: Uint8Array, at: number): void {
    this.#quote();
    this.#pairs(target, at);
  }

  #quote(): void {
    this.#separate();
    if (this.peek() !== QUOTE) this.fail('a string is missing');
    this.at++;
  }

  #pairs(target: Uint8Array, at: number): void {
    const { bytes } = this;
    let from = this.at;
    for (; from < bytes.length && bytes[from] !== QUOTE; from += 2) {
      const high = NIBBLES[bytes[from]];
      const low = NIBBLES[bytes[from + 1]];
      if ((high | low) > 15) this.fail('a string is cut off, or not of pairs of hexadecimal digits');
      target[at++] = (high << 4) | low;
    }
    if (from >= bytes.length) this.fail('a string is cut off');
    this.at = from + 1;
  }

  #digits(): number {
    const { bytes } = this;
    const start = this.at;
    let value = 0;
    for (; this.at < bytes.length; this.at++) {
      const digit = bytes[this.at] - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (this.at === start) this.fail('a number is missing');
    return value;
  }

  #separate(): void {
    if (this.#fresh) this.#fresh = false;
    else if (this.peek() === COMMA) this.at++;
    else this.fail('"," is missing or the line is cut off');
  }
}
