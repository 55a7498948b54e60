import { readLe, type Width, writeLe } from '../../core/index.ts';
import { type Abi, type Field, fieldSize, offsetOf, type StructSpec, type StructValue, sizeOf } from './struct.ts';

/** Reads and writes one structure of one ABI; made by {@link codec}. */
export class StructCodec<S extends StructSpec> {
  readonly spec: S;
  readonly abi: Abi;
  readonly size: number;
  /** Offset of each member. */
  readonly at: { readonly [N in keyof S['fields']]: number };
  readonly #members: { name: string; field: Field; at: number; size: number }[];

  constructor(spec: S, abi: Abi) {
    this.spec = spec;
    this.abi = abi;
    this.size = sizeOf(spec, abi);
    this.#members = Object.entries(spec.fields).map(([name, field]) => ({
      name,
      field,
      at: offsetOf(spec, name, abi),
      size: fieldSize(field, abi),
    }));
    this.at = Object.fromEntries(this.#members.map((m) => [m.name, m.at])) as never;
  }

  /** The structure found at `base`. @throws RangeError if it does not lie within `bytes` */
  decode(bytes: Uint8Array, base = 0): StructValue<S> {
    this.#check(bytes, base);
    const value: Record<string, number | bigint | Uint8Array> = {};
    for (const { name, field, at, size } of this.#members) {
      const from = base + at;
      if (field[0] === 'bytes') value[name] = bytes.subarray(from, from + size);
      else if (field[0] === 'i32') value[name] = readLe(bytes, from, 4) | 0;
      else if (field[0] === 'u64' || field[0] === 'long') {
        const low = BigInt(readLe(bytes, from, 4));
        value[name] = size === 4 ? low : low | (BigInt(readLe(bytes, from + 4, 4)) << 32n);
      } else value[name] = readLe(bytes, from, size as Width);
    }
    return value as StructValue<S>;
  }

  /**
   * Writes the members given, each reduced to its width as C assigns it; other bytes of `into` (by default a new,
   * zeroed structure) stay as they are.
   */
  encode(value: Partial<StructValue<S>>, into: Uint8Array = new Uint8Array(this.size), base = 0): Uint8Array {
    this.#check(into, base);
    const members = value as Record<string, number | bigint | Uint8Array | undefined>;
    for (const { name, field, at, size } of this.#members) {
      const member = members[name];
      if (member === undefined) continue;
      const to = base + at;
      if (field[0] === 'bytes') into.set((member as Uint8Array).subarray(0, size), to);
      else if (typeof member === 'bigint') {
        writeLe(into, to, 4, Number(member & 0xffffffffn));
        if (size === 8) writeLe(into, to + 4, 4, Number((member >> 32n) & 0xffffffffn));
      } else writeLe(into, to, size as Width, member as number);
    }
    return into;
  }

  #check(bytes: Uint8Array, base: number): void {
    if (base < 0 || base + this.size > bytes.length)
      throw new RangeError(`${this.spec.cName} needs ${this.size} bytes at ${base}, there are ${bytes.length}`);
  }
}

const codecs = { 'x86-64': new WeakMap<StructSpec, unknown>(), compat: new WeakMap<StructSpec, unknown>() };

/** The codec of a structure, made once per ABI. */
export function codec<S extends StructSpec>(spec: S, abi: Abi = 'x86-64'): StructCodec<S> {
  let made = codecs[abi].get(spec) as StructCodec<S> | undefined;
  if (!made) codecs[abi].set(spec, (made = new StructCodec(spec, abi)));
  return made;
}
