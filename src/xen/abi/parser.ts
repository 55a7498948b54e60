import { Parser } from 'binary-parser/dist/binary_parser.js'; // the bare name resolves to an untyped copy
import { type Abi, fieldSize, offsetOf, type StructSpec, type StructValue } from './struct.ts';

/**
 * A declarative parser of a structure, derived from the same table as {@link import('./codec.ts').codec}: for files and
 * traces at the edge, and the other opinion in the codec's tests.
 */
export function structParser<S extends StructSpec>(
  spec: S,
  abi: Abi = 'x86-64',
): (bytes: Uint8Array) => StructValue<S> {
  const members = Object.entries(spec.fields).map(([name, field], index) => ({
    name,
    field,
    key: `f${index}`, // C designators such as `u.pirq` are no identifiers
    at: offsetOf(spec, name, abi),
    size: fieldSize(field, abi),
  }));
  const parser = new Parser();
  let cursor = 0;
  for (const { field, key, at, size } of members) {
    parser.seek(at - cursor);
    cursor = at + size;
    if (field[0] === 'bytes') parser.buffer(key, { length: size });
    else if (field[0] === 'i32') parser.int32le(key);
    else if (size === 1) parser.uint8(key);
    else if (size === 2) parser.uint16le(key);
    else if (size === 8) parser.uint64le(key);
    else if (field[0] === 'long') parser.uint32le(key, { formatter: (value: number) => BigInt(value) });
    else parser.uint32le(key);
  }
  return (bytes) => {
    const parsed = parser.parse(bytes);
    return Object.fromEntries(members.map((m) => [m.name, parsed[m.key]])) as StructValue<S>;
  };
}
