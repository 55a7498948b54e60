import { readLe } from '../../core/index.ts';

/** A function to decode: its slot as number and the bytes that are known of it. */
export interface DecodedFunction {
  bdf: number;
  /** If it has more than the 16 bits that a bdf has for it. */
  domain?: number;
  bytes: Uint8Array;
}

/**
 * The bytes being decoded and the text so far. Reading is allowed only where {@link Page.has} said yes: a dump may end
 * anywhere, and what lies behind its end is not known to be zero.
 */
export class Page {
  readonly bytes: Uint8Array;
  readonly bdf: number;
  #text = '';

  constructor(fn: DecodedFunction) {
    this.bytes = fn.bytes;
    this.bdf = fn.bdf;
  }

  get text(): string {
    return this.#text;
  }

  get headerLayout(): number {
    return this.bytes[0x0e] & 0x7f;
  }

  has(at: number, length: number): boolean {
    return at + length <= this.bytes.length;
  }

  u8(at: number): number {
    return this.bytes[at];
  }

  u16(at: number): number {
    return readLe(this.bytes, at, 2);
  }

  u32(at: number): number {
    return readLe(this.bytes, at, 4);
  }

  /** Appends text as it is; lines end with `\n`, sub-lines begin with tabs. */
  put(text: string): void {
    this.#text += text;
  }

  /** Appends one line at a depth of tabs: 1 for the header, 2 for a capability's registers, 3 for their continuation. */
  line(depth: number, text: string): void {
    this.#text += `${'\t'.repeat(depth)}${text}\n`;
  }
}
