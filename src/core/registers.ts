import { hex } from './bits.ts';

/**
 * How the bits of a field answer: `ro` fixed or set by hardware, `rw` takes the written value, `rw1c` a written 1 clears
 * it, `rsvdp` reserved: reads what it is (0 unless a device sets it) and ignores writes (PCIe 5.0 §7.4).
 */
export type AccessKind = 'ro' | 'rw' | 'rw1c' | 'rsvdp';

export interface Field {
  /** Lowest bit. */
  at: number;
  /** Bits, 1 if not given. */
  width?: number;
  access: AccessKind;
  /** Value after reset of a field that is not `ro`, 0 if not given. An `ro` field keeps what the image says. */
  reset?: number;
  /** RWS/RW1CS: survives hot reset and FLR, PCIe 5.0 §7.4. */
  sticky?: true;
  /** Survives FLR though not sticky, PCIe 5.0 §6.6.2. */
  keptByFlr?: true;
}

/** A register: where it stands relative to its structure, its fields, and the masks that follow from them. */
export interface Register {
  readonly name: string;
  /** Bytes from the start of the header or capability. */
  readonly offset: number;
  /** Bytes. */
  readonly width: 1 | 2 | 4;
  readonly fields: Readonly<Record<string, Field>>;
  readonly writable: number;
  readonly w1c: number;
  readonly reserved: number;
  /** Bits that a reset sets, and to what. */
  readonly resettable: number;
  readonly reset: number;
  readonly sticky: number;
  readonly keptByFlr: number;
}

/** Mask of `width` bits from bit `at`, unsigned. */
export function fieldMask(field: Field): number {
  const width = field.width ?? 1;
  return ((width === 32 ? 0xffffffff : (1 << width) - 1) << field.at) >>> 0;
}

/**
 * Declares a register at `offset` bytes, `width` bytes wide; bits named by no field are reserved.
 * @throws RangeError if fields overlap or do not fit (a mistake in a table, found when the module loads)
 */
export function reg(name: string, offset: number, width: 1 | 2 | 4, fields: Record<string, Field>): Register {
  const sum = { writable: 0, w1c: 0, reserved: 0, resettable: 0, reset: 0, sticky: 0, keptByFlr: 0 };
  let taken = 0;
  for (const [label, field] of Object.entries(fields)) {
    const mask = fieldMask(field);
    if (field.at + (field.width ?? 1) > 8 * width || taken & mask)
      throw new RangeError(`${name}.${label}: does not fit or overlaps another field`);
    taken |= mask;
    if (field.access === 'rsvdp') sum.reserved |= mask;
    if (field.access === 'rw') sum.writable |= mask;
    if (field.access === 'rw1c') sum.w1c |= mask;
    if (field.access === 'rw' || field.access === 'rw1c') {
      sum.resettable |= mask;
      sum.reset |= (field.reset ?? 0) << field.at;
    }
    if (field.sticky) sum.sticky |= mask;
    if (field.keptByFlr) sum.keptByFlr |= mask;
  }
  const all = fieldMask({ at: 0, width: 8 * width, access: 'ro' });
  return {
    name,
    offset,
    width,
    fields,
    writable: sum.writable >>> 0,
    w1c: sum.w1c >>> 0,
    reserved: (sum.reserved | (all & ~taken)) >>> 0,
    resettable: sum.resettable >>> 0,
    reset: sum.reset >>> 0,
    sticky: sum.sticky >>> 0,
    keptByFlr: sum.keptByFlr >>> 0,
  };
}

/** A register that is one field of one access kind: `whole('msi.data', 12, 2, 'rw')`. */
export function whole(
  name: string,
  offset: number,
  width: 1 | 2 | 4,
  access: AccessKind,
  more?: Partial<Field>,
): Register {
  return reg(name, offset, width, { value: { at: 0, width: 8 * width, access, ...more } });
}

/** The value of one field, unsigned. */
export function fieldValue(field: Field, value: number): number {
  return (value & fieldMask(field)) >>> field.at;
}

/** The value of each field. */
export function decodeRegister(register: Register, value: number): Record<string, number> {
  return Object.fromEntries(
    Object.entries(register.fields).map(([label, field]) => [label, fieldValue(field, value)] as const),
  );
}

/** `msi.ctrl=0x81 enable=1 addr64=1`: the value and the fields that are not 0. */
export function explainRegister(register: Register, value: number): string {
  const words = [`${register.name}=${hex(value, 2 * register.width)}`];
  for (const [label, field] of Object.entries(register.fields)) {
    const v = fieldValue(field, value);
    if (v !== 0 && label !== 'value') words.push(`${label}=${(field.width ?? 1) > 4 ? hex(v) : v}`);
  }
  return words.join(' ');
}

/** Names the fields in which two values differ: `enable 1, not 0`, `reserved 0x200, not 0x0`. */
export function explainRegisterDifference(register: Register, expected: number, actual: number): string {
  const words: string[] = [];
  let rest = (expected ^ actual) >>> 0;
  for (const [label, field] of Object.entries(register.fields)) {
    if (((expected ^ actual) & fieldMask(field)) === 0) continue;
    rest = (rest & ~fieldMask(field)) >>> 0;
    words.push(`${label} ${hex(fieldValue(field, actual))}, not ${hex(fieldValue(field, expected))}`);
  }
  if (rest) words.push(`reserved bits ${hex(actual & rest)}, not ${hex(expected & rest)}`);
  return `${register.name}: ${words.join('; ')}`;
}
