/** Widths of one access in bytes. Eight-byte accesses are split at the edge into two of four, low first. */
export type Width = 1 | 2 | 4;

/** All ones of a width, as an unsigned number. */
export function ones(width: Width): number {
  return 0xffffffff >>> (32 - 8 * width);
}

/** Reads `width` little-endian bytes as an unsigned number; the caller has checked the range. */
export function readLe(bytes: Uint8Array, at: number, width: Width): number {
  if (width === 1) return bytes[at];
  const low = bytes[at] | (bytes[at + 1] << 8);
  return width === 2 ? low : (low | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
}

/** Writes the low `width` bytes of `value`, little-endian; the caller has checked the range. */
export function writeLe(bytes: Uint8Array, at: number, width: Width, value: number): void {
  for (let i = 0; i < width; i++) bytes[at + i] = value >>> (8 * i);
}

/** `0x` and at least `digits` lower-case hexadecimal digits of an unsigned number. */
export function hex(value: number, digits = 1): string {
  return '0x' + (value < 0 && value >= -0x80000000 ? value >>> 0 : value).toString(16).padStart(digits, '0');
}

/** Bytes as lower-case hex without separators. */
export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** The inverse of {@link toHex}; white space is ignored. */
export function fromHex(text: string): Uint8Array {
  const digits = /\s/.test(text) ? text.replace(/\s+/g, '') : text;
  const bytes = new Uint8Array(digits.length >> 1);
  storeHex(bytes, 0, digits);
  return bytes;
}

/** Stores hexadecimal digits without separators as bytes from `at`. */
export function storeHex(bytes: Uint8Array, at: number, digits: string): void {
  for (let i = 0; i + 1 < digits.length; i += 2)
    bytes[at++] = (nibble(digits.charCodeAt(i)) << 4) | nibble(digits.charCodeAt(i + 1));
}

/** Value of a digit's character: letters have bit 6, and count 9 more than their low bits. */
function nibble(c: number): number {
  return (c & 15) + (c & 0x40 ? 9 : 0);
}
