import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex } from '../../../src/core/index.ts';
import {
  type Abi,
  ALL_STRUCTS,
  codec,
  DOMCTL_BIND_PT_IRQ_4_4,
  DOMCTL_IRQ_PERMISSION_4_4,
  fieldSize,
  offsetOf,
  PHYSDEV_MAP_PIRQ,
  type StructSpec,
  sizeOf,
  structParser,
} from '../../../src/xen/abi/index.ts';

const ABIS: Abi[] = ['x86-64', 'compat'];
const STRUCTS: StructSpec[] = [...ALL_STRUCTS, DOMCTL_BIND_PT_IRQ_4_4, DOMCTL_IRQ_PERMISSION_4_4];
const cases = STRUCTS.flatMap((spec) => ABIS.map((abi) => ({ spec, abi, name: `${spec.cName} ${abi}` })));

describe('structures of Xen’s ABI', () => {
  test.each(cases)('$name: members lie within the structure and at their natural alignment', ({ spec, abi }) => {
    for (const [name, field] of Object.entries(spec.fields)) {
      const at = offsetOf(spec, name, abi);
      const size = fieldSize(field, abi);
      expect(at + size).toBeLessThanOrEqual(sizeOf(spec, abi));
      if (field[0] !== 'bytes') expect(at % Math.min(size, abi === 'x86-64' ? 8 : 4)).toBe(0);
    }
  });

  test.each(cases)('$name: both decoders agree on any bytes', ({ spec, abi }) => {
    const parse = structParser(spec, abi);
    const size = sizeOf(spec, abi);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
        expect(codec(spec, abi).decode(bytes)).toEqual(normalize(parse(bytes)));
      }),
      { numRuns: 50 },
    );
  });

  test.each(cases)('$name: encoding what was decoded gives the same bytes, padding kept', ({ spec, abi }) => {
    const c = codec(spec, abi);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: c.size, maxLength: c.size }), (bytes) => {
        expect(toHex(c.encode(c.decode(bytes), bytes.slice()))).toBe(toHex(bytes));
      }),
      { numRuns: 50 },
    );
  });

  test('map_pirq of the reference’s §6.6, both ABIs', () => {
    const value = {
      domid: 5,
      type: 3,
      index: -1,
      pirq: 79,
      bus: (1 << 16) | 3,
      devfn: 8,
      entry_nr: 2,
      table_base: 0xf7a00000n,
    };
    const bytes = fromHex('05000000 03000000 ffffffff 4f000000 03000100 08000000 02000000 00000000 0000a0f7 00000000');
    expect(toHex(codec(PHYSDEV_MAP_PIRQ).encode(value))).toBe(toHex(bytes));
    const compat = new Uint8Array([...bytes.subarray(0, 28), ...bytes.subarray(32)]);
    expect(toHex(codec(PHYSDEV_MAP_PIRQ, 'compat').encode(value))).toBe(toHex(compat));
    expect(codec(PHYSDEV_MAP_PIRQ, 'compat').decode(compat)).toEqual(value);
  });

  test('bytes that do not hold the structure are the caller’s mistake', () => {
    expect(() => codec(PHYSDEV_MAP_PIRQ).decode(new Uint8Array(39))).toThrow(RangeError);
  });
});

/** The parser gives Buffers for byte members. */
function normalize(value: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([k, v]) => [k, v instanceof Uint8Array ? Uint8Array.from(v) : v]),
  );
}
