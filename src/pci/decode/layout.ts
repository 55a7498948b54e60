/** One hole of a line: prints a field of the register. */
export type Field = (value: number) => string;

/** A bit number prints as `+` or `-`; a function prints what it wants. */
type Hole = number | Field;

/**
 * The layout of a printed line, written as the line looks: `` reg`Status: D${bits(0, 2)} PME${15}` `` gives a function
 * from the register's value to the text. A bare number is a flag, printed `+` if that bit is set and `-` if not.
 */
export function reg(strings: TemplateStringsArray, ...holes: Hole[]): Field {
  return (value) => {
    let text = strings[0];
    for (let i = 0; i < holes.length; i++) {
      const hole = holes[i];
      text += (typeof hole === 'number' ? flag(value, hole) : hole(value)) + strings[i + 1];
    }
    return text;
  };
}

/** `+` if bit `at` of a 32-bit value is set, else `-`. */
export function flag(value: number, at: number): '+' | '-' {
  return (value >>> at) & 1 ? '+' : '-';
}

/** The `width` bits of `value` from bit `at`. */
export function field(value: number, at: number, width: number): number {
  return width === 32 ? value >>> 0 : (value >>> at) & (2 ** width - 1);
}

/** A field in decimal. */
export function bits(at: number, width: number): Field {
  return (value) => String(field(value, at, width));
}

/** A field in hexadecimal with leading zeros. */
export function hexBits(at: number, width: number, digits: number): Field {
  return (value) => hexText(field(value, at, width), digits);
}

/** A field by name; `other` for encodings without one. */
export function named(at: number, width: number, names: readonly (string | undefined)[], other = 'Unknown'): Field {
  return (value) => names[field(value, at, width)] ?? other;
}

/** A field as it is encoded by `print`. */
export function coded(at: number, width: number, print: (code: number) => string | number): Field {
  return (value) => String(print(field(value, at, width)));
}

/** Lower-case hex without prefix, at least `digits` long; unsigned. */
export function hexText(value: number, digits: number): string {
  return (value >>> 0).toString(16).padStart(digits, '0');
}

/** A 64-bit number from its halves, 16 hex digits. */
export function hexText64(high: number, low: number): string {
  return hexText(high, 8) + hexText(low, 8);
}
