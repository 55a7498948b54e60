import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Arena } from '../../src/core/index.ts';
import { GuestRam } from '../../src/lab/guest-ram.ts';

test('bytes behave as one memory with holes, wherever an access begins and ends', () => {
  const regions = [
    { address: 0x100, length: 0x20 },
    { address: 0x120, length: 0x10, isScratch: true },
    { address: 0x140, length: 8 },
  ];
  const isMemory = (a: number) => regions.some((r) => a >= r.address && a < r.address + r.length);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0xf0, max: 0x150 }), fc.uint8Array({ maxLength: 0x60 }))),
      fc.integer({ min: 0xf0, max: 0x150 }),
      fc.nat(0x60),
      (writes, at, length) => {
        const ram = new GuestRam(regions, new Arena(256));
        const plain = new Uint8Array(0x300);
        for (const [address, bytes] of writes) {
          ram.writeBytes(address, bytes);
          for (const [i, byte] of bytes.entries()) if (isMemory(address + i)) plain[address + i] = byte;
        }
        expect(ram.readBytes(at, length)).toEqual(plain.slice(at, at + length));
      },
    ),
  );
});

test('overlapping regions are refused', () => {
  const regions = [
    { address: 0, length: 8 },
    { address: 4, length: 8 },
  ];
  expect(() => new GuestRam(regions, new Arena())).toThrow(/overlap/);
});
