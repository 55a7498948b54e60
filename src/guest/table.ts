import type { Arena } from '../core/index.ts';

/** Where each of `fields` stands in a row of {@link Table.words}, and how long a row is. */
export function placesOf<F extends string>(fields: readonly F[]): Readonly<Record<F | 'width', number>> {
  return { ...(Object.fromEntries(fields.map((field, i) => [field, i])) as Record<F, number>), width: fields.length };
}

/** Rows of named 32-bit fields. */
export class Table<F extends string> {
  readonly rows: number;
  readonly #name: string;
  readonly #fields: readonly F[];
  /** All rows, one after another. */
  readonly words: Int32Array;
  readonly #at: Record<F, number>;

  constructor(arena: Arena, name: string, rows: number, fields: readonly F[]) {
    this.rows = rows;
    this.#name = name;
    this.#fields = fields;
    this.words = arena.int32(rows * fields.length, `kernel ${name}s`);
    this.#at = Object.fromEntries(fields.map((field, i) => [field, i])) as Record<F, number>;
  }

  get(row: number, field: F): number {
    return this.words[row * this.#fields.length + this.#at[field]] >>> 0;
  }

  set(row: number, field: F, value: number): void {
    this.words[row * this.#fields.length + this.#at[field]] = value;
  }

  or(row: number, field: F, bits: number): number {
    const value = this.get(row, field) | bits;
    this.set(row, field, value);
    return value;
  }

  clear(row: number): 0 {
    this.words.fill(0, row * this.#fields.length, (row + 1) * this.#fields.length);
    return 0;
  }

  row(row: number): Record<F, number> {
    const record = {} as Record<F, number>;
    let at = row * this.#fields.length;
    for (const field of this.#fields) record[field] = this.words[at++] >>> 0;
    return record;
  }

  /** `name.field` and `name.field=`; the value set follows the `keys` arguments that address the row. */
  calls(rowOf: (a: number, b: number) => number, keys: 1 | 2): Record<string, (...args: number[]) => number> {
    const calls: Record<string, (...args: number[]) => number> = {};
    const words = this.words;
    const width = this.#fields.length;
    for (const [at, field] of this.#fields.entries()) {
      calls[`${this.#name}.${field}`] = (a, b) => words[rowOf(a, b) * width + at] >>> 0;
      calls[`${this.#name}.${field}=`] = (a, b, c) => {
        words[rowOf(a, b) * width + at] = keys === 1 ? b : c;
        return 0;
      };
    }
    return calls;
  }
}
