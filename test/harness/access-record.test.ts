import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AccessRecord,
  accessRecord,
  carriesData,
  DataTooLong,
  encodeRecord,
  joinWords,
  KIND,
  MAX_DATA_BYTES,
  RECORD_BYTES,
  RecordReader,
  RecordWriter,
  splitWords,
} from '../../src/harness/access-record.ts';

const u8 = fc.integer({ min: 0, max: 255 });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const recordArb: fc.Arbitrary<AccessRecord> = fc
  .record({
    kind: u8,
    region: u8,
    width: u8,
    status: u8,
    function: u32,
    offsetLo: u32,
    offsetHi: u32,
    valueLo: u32,
    valueHi: u32,
    data: fc.uint8Array({ maxLength: 100 }),
  })
  .map(({ data, ...record }) =>
    carriesData(record.kind) ? { ...record, valueLo: data.length, valueHi: 0, data } : record,
  );

describe('the 24-byte record', () => {
  test('fields stand where the design says', () => {
    const record = accessRecord({
      kind: KIND.write,
      function: 0x00010320,
      region: 7,
      width: 2,
      offset: 0x1122334455667788n,
      value: 0x99aabbccddeeff00n,
    });
    expect(Buffer.from(encodeRecord(record)).toString('hex')).toBe(
      '01070200200301008877665544332211' + '00ffeeddccbbaa99',
    );
  });

  test('what is written is read, however the bytes are cut', () =>
    fc.assert(
      fc.property(fc.array(recordArb, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 60 })), (records, cuts) => {
        const writer = new RecordWriter();
        for (const record of records) writer.write(record);
        const bytes = writer.take();
        expect(bytes.length % RECORD_BYTES).toBe(0);
        const reader = new RecordReader();
        const read: AccessRecord[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = cuts[i % cuts.length] ?? bytes.length;
          reader.push(bytes.subarray(at, at + size));
          at += size;
          for (let record = reader.next(); record; record = reader.next()) read.push(record);
        }
        expect(read).toEqual(records);
        expect(reader.pendingBytes).toBe(0);
      }),
    ));

  test('data beyond the limit is refused before it arrives', () => {
    const reader = new RecordReader();
    const record = { ...accessRecord({ kind: KIND.hypercall }), valueLo: MAX_DATA_BYTES + 1 };
    reader.push(encodeRecord(record));
    expect(() => reader.next()).toThrow(DataTooLong);
  });

  test('64-bit fields split and join', () => {
    expect(splitWords(0x1_0000_0002)).toEqual([2, 1]);
    expect(splitWords(0xffff_ffff_ffff_ffffn)).toEqual([0xffffffff, 0xffffffff]);
    expect(joinWords(2, 1)).toBe(0x1_0000_0002);
  });
});
