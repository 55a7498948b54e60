/** The two ABIs that Xen on x86 serves: 64-bit callers, and 32-bit ones through its compat layer. */
export type Abi = 'x86-64' | 'compat';

/**
 * Member types. `long` is what differs between the ABIs: unsigned long, frame numbers and guest handles, 8 bytes or 4.
 * `bytes` is an array of which only place and length matter here.
 */
export type FieldType = 'u8' | 'u16' | 'u32' | 'i32' | 'u64' | 'long' | 'bytes';

/** Type, offset for x86-64, offset for compat where it differs; for `bytes` also the two lengths. */
export type Field = readonly [type: FieldType, at: number, at32?: number, length?: number, length32?: number];

/** One structure of Xen's public headers. Member names are C designators below `cName`, such as `u.pci.bus`. */
export interface StructSpec<F extends Record<string, Field> = Record<string, Field>> {
  readonly cName: string;
  /** The public header that declares it. */
  readonly header: string;
  /** Size for x86-64 and compat, without any trailing flexible array. */
  readonly size: readonly [number, number];
  readonly fields: F;
}

/** What a decoded structure holds: 8-byte members (and `long`) as bigint, `bytes` as a view of the source. */
export type StructValue<S extends StructSpec> = {
  -readonly [N in keyof S['fields']]: S['fields'][N][0] extends 'u64' | 'long'
    ? bigint
    : S['fields'][N][0] extends 'bytes'
      ? Uint8Array
      : number;
};

/** Declares a structure; `size` is one number where both ABIs agree. */
export function struct<const F extends Record<string, Field>>(
  header: string,
  cName: string,
  size: number | readonly [number, number],
  fields: F,
): StructSpec<F> {
  return { cName, header, size: typeof size === 'number' ? [size, size] : size, fields };
}

export function sizeOf(spec: StructSpec, abi: Abi): number {
  return spec.size[abi === 'x86-64' ? 0 : 1];
}

/** Offset of a member. */
export function offsetOf<S extends StructSpec>(spec: S, name: keyof S['fields'] & string, abi: Abi): number {
  const [, at, at32] = spec.fields[name];
  return abi === 'x86-64' ? at : (at32 ?? at);
}

/** Size of a member in bytes. */
export function fieldSize(field: Field, abi: Abi): number {
  switch (field[0]) {
    case 'u8':
      return 1;
    case 'u16':
      return 2;
    case 'u32':
    case 'i32':
      return 4;
    case 'u64':
      return 8;
    case 'long':
      return abi === 'x86-64' ? 8 : 4;
    case 'bytes':
      return (abi === 'x86-64' ? field[3] : (field[4] ?? field[3]))!;
  }
}
