import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodePirqMessage, encodePirqMessage, msiGflags, PIRQ_DATA } from '../../../src/xen/abi/index.ts';

describe('pirq ↔ message', () => {
  test.each([
    [55, 0xfee37000, 0],
    [79, 0xfee4f000, 0],
    [255, 0xfeeff000, 0],
    [256, 0xfee00000, 0x100],
    [0x12345, 0xfee45000, 0x12300],
  ])('pirq %i ↔ 0x%x, high 0x%x', (pirq, addressLo, addressHi) => {
    expect(encodePirqMessage(pirq)).toEqual({ addressLo, addressHi, data: 0x4300 });
    expect(decodePirqMessage(addressLo, addressHi, 0x4300)).toBe(pirq);
  });

  test.each([
    ['address bits 32–39 are ignored', 0xfee4f000, 0xff, 79],
    ['the 0xfee prefix is not checked', 0x12345fff, 0x12300, 0x12345],
    ['address bits 0–11 are ignored', 0xfeeffffc, 0, 255],
    ['the top bit is a value bit', 0xfee00000, 0x80000000, 0x80000000],
  ])('%s', (_, lo, hi, pirq) => expect(decodePirqMessage(lo, hi, 0)).toBe(pirq));

  test('a vector other than 0 is no pirq', () => expect(decodePirqMessage(0xfee4f000, 0, 0x4341)).toBe(-1));

  test('the data word of both kernel generations names a pirq', () => {
    for (const data of Object.values(PIRQ_DATA)) expect(decodePirqMessage(0xfee37000, 0, data)).toBe(55);
  });

  test('decode ∘ encode is the identity on all 32 bits', () =>
    fc.assert(
      fc.property(fc.nat(0xffffffff), (pirq) => {
        const m = encodePirqMessage(pirq, PIRQ_DATA['linux-5.11']);
        return decodePirqMessage(m.addressLo, m.addressHi, m.data) === pirq;
      }),
    ));

  test.each([
    [0xfee4f000, 0x4300, 0x304f],
    [0xfee0100c, 0x4041, 0x0301],
    [0xfee02004, 0xc131, 0x9202],
  ])('gflags of (0x%x, 0x%x)', (addressLo, data, gflags) => expect(msiGflags(addressLo, data)).toBe(gflags));
});
