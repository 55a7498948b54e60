import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';
import type { ToyDriver } from './toy-driver.ts';

type Descriptor = [type: number, address: number, length: number];
const BLOCK = 0x00;
const SEGMENT = 0x20;
const LAST = 0x30;

function ready() {
  const parts = setUp({ namespaces: [new MemoryNamespace(1 << 20)] });
  parts.driver.enable();
  parts.driver.createPair(1);
  return parts;
}

/** Writes descriptors to guest RAM. */
function put(d: ToyDriver, at: number, list: Descriptor[]): void {
  list.forEach(([type, address, length], i) => {
    d.ram.view.setBigUint64(at + 16 * i, BigInt(address), true);
    d.ram.view.setUint32(at + 16 * i + 8, length, true);
    d.ram.view.setUint32(at + 16 * i + 12, type << 24, true);
  });
}

const run = (d: ToyDriver, opcode: number, blocks: number, sgl: Descriptor) =>
  d.run(1, { opcode, sgl, nsid: 1, cdw12: blocks - 1 }).status;

/** Spreads data blocks over segments and writes those to guest RAM. @returns the command's own descriptor */
function chain(d: ToyDriver, segments: Descriptor[][]): Descriptor {
  const last = segments.length - 1;
  const places = segments.map(() => d.allocate());
  const pointers = segments.map(
    (s, i): Descriptor => [i === last ? LAST : SEGMENT, places[i], 16 * (s.length + (i === last ? 0 : 1))],
  );
  segments.forEach((s, i) => void put(d, places[i], i === last ? s : [...s, pointers[i + 1]]));
  return pointers[0];
}

test('data written is read back through lists of any shape', () => {
  const piece = fc.record({ length: fc.nat(1500), cut: fc.boolean() });
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(piece, { maxLength: 12 }), fc.nat(15), (p, q, more) => {
      const { driver, ram } = ready();
      const total = (more + 1) * 512;
      const lay = (pieces: typeof p) => {
        let at = driver.allocate(8) + 3;
        const segments: Descriptor[][] = [[]];
        for (const { length, cut } of [...pieces, { length: total, cut: false }]) {
          segments[segments.length - 1].push([BLOCK, at, length]);
          at += length + 1;
          if (cut) segments.push([]);
        }
        return segments;
      };
      const bytes = (segments: Descriptor[][]) =>
        Buffer.concat(segments.flat().map(([, at, n]) => ram.bytes.subarray(at, at + n))).subarray(0, total);
      const from = lay(p);
      for (const [i, [, at, n]] of from.flat().entries()) ram.bytes.fill(i + 1, at, at + n);
      const to = lay(q);
      expect(run(driver, NVM.write, more + 1, chain(driver, from))).toBe(0);
      expect(run(driver, NVM.read, more + 1, chain(driver, to))).toBe(0);
      expect(bytes(to).equals(bytes(from))).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test('one block of data needs no list', () => {
  const { driver, ram } = ready();
  const at = driver.allocate(2) + 5;
  ram.bytes.fill(7, at, at + 1024);
  expect(run(driver, NVM.write, 2, [BLOCK, at, 1024])).toBe(0);
  expect(run(driver, NVM.read, 2, [BLOCK, at + 2048, 5000])).toBe(0);
  expect(ram.bytes.subarray(at + 2048, at + 3073).filter((byte) => byte === 7)).toHaveLength(1024);
});

describe('lists that cannot be', () => {
  const page = 0x100000;
  test.each<[string, Descriptor, Descriptor[], number]>([
    ['data shorter than the transfer', [BLOCK, page, 511], [], STATUS.dataSglLengthInvalid],
    ['an unknown type', [0x40, page, 512], [], STATUS.sglDescriptorTypeInvalid],
    ['a bit bucket', [0x10, 0, 512], [], STATUS.sglDescriptorTypeInvalid],
    ['an offset instead of an address', [0x01, page, 512], [], STATUS.sglDescriptorTypeInvalid],
    ['an empty segment', [LAST, page, 0], [], STATUS.invalidSglSegmentDescriptor],
    ['half a descriptor', [LAST, page, 24], [], STATUS.invalidSglSegmentDescriptor],
    ['a last segment that goes on', [LAST, page, 16], [[LAST, page, 16]], STATUS.invalidSglSegmentDescriptor],
    ['a segment that does not go on', [SEGMENT, page, 16], [[BLOCK, page, 1]], STATUS.invalidSglSegmentDescriptor],
    [
      'a pointer in the middle',
      [SEGMENT, page, 32],
      [
        [LAST, page, 16],
        [BLOCK, page, 512],
      ],
      STATUS.invalidNumberOfSglDescriptors,
    ],
    [
      'a segment that leads to itself',
      [SEGMENT, page, 16],
      [[SEGMENT, page, 16]],
      STATUS.invalidNumberOfSglDescriptors,
    ],
    ['a huge segment', [LAST, page, 0xfffffff0], [], STATUS.invalidNumberOfSglDescriptors],
    ['memory that is not there', [LAST, 2 ** 40, 16], [], STATUS.dataTransferError],
    ['a last segment too short', [LAST, page, 16], [[BLOCK, page, 100]], STATUS.dataSglLengthInvalid],
  ])('%s', (_, own, list, status) => {
    const { driver } = ready();
    put(driver, page, list);
    expect(run(driver, NVM.read, 1, own)).toBe(status);
  });

  test('admin commands take none', () => {
    const { driver } = ready();
    const command = { opcode: ADMIN.identify, cdw10: 1, sgl: [BLOCK, page, 4096] as Descriptor };
    expect(driver.admin(command).status).toBe(STATUS.invalidFieldInCommand);
  });
});
