import { describe, expect, test } from 'vitest';
import { decodeRegister, explainRegister, explainRegisterDifference, reg } from '../../src/core/index.ts';

const CTRL = reg('msi.ctrl', 2, 2, {
  enable: { at: 0, access: 'rw' },
  mmc: { at: 1, width: 3, access: 'ro' },
  mme: { at: 4, width: 3, access: 'rw', reset: 2 },
  event: { at: 8, access: 'rw1c', sticky: true },
  rsvd: { at: 12, width: 4, access: 'rsvdp' },
});

describe('reg', () => {
  test('compiles fields to masks; bits of no field are reserved', () => {
    expect(CTRL).toMatchObject({
      writable: 0x0071,
      w1c: 0x0100,
      reserved: 0xfe80,
      resettable: 0x0171,
      reset: 0x0020,
      sticky: 0x0100,
    });
  });

  test('refuses overlapping fields and fields that do not fit', () => {
    const field = { at: 7, width: 2, access: 'ro' } as const;
    expect(() => reg('x', 0, 1, { field })).toThrow('x.field: does not fit');
    expect(() => reg('x', 0, 2, { field, other: { at: 8, access: 'ro' } })).toThrow('x.other');
  });

  test('takes a field of 32 bits', () => {
    expect(reg('x', 0, 4, { value: { at: 0, width: 32, access: 'rw' } }).writable).toBe(0xffffffff);
  });
});

test('values are decoded and worded by field', () => {
  expect(decodeRegister(CTRL, 0x1035)).toEqual({ enable: 1, mmc: 2, mme: 3, event: 0, rsvd: 1 });
  expect(explainRegister(CTRL, 0x0035)).toBe('msi.ctrl=0x0035 enable=1 mmc=2 mme=3');
  expect(explainRegisterDifference(CTRL, 0x0035, 0x0214)).toBe(
    'msi.ctrl: enable 0x0, not 0x1; mme 0x1, not 0x3; reserved bits 0x200, not 0x0',
  );
});
