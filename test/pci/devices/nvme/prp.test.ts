import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { layOut, scatteredPages } from './prp-layout.ts';
import { setUp } from './setup.ts';

const MDTS = 6; // 256 KiB

function ready(mps = 0) {
  const parts = setUp({ namespaces: [new MemoryNamespace(1 << 20)], mdts: MDTS }, { ramBytes: 16 << 20 });
  parts.driver.enable(32, 0x00460001 | (mps << 7));
  return parts;
}

function slots(l: { offset: number; more: number; few: boolean }, length: number, size: number): number {
  const pages = Math.ceil((length - (size - ((l.offset * 4) % size))) / size);
  return Math.max(1, Math.min(size / 8, (l.few ? 3 : pages) + l.more));
}

describe('PRP layouts', () => {
  test('data written is read back, whatever the layouts of both transfers', () => {
    // offset in dwords, modulo the page size; slots of the first list page as more or fewer than are needed
    const layout = fc.record({ offset: fc.nat(4095), more: fc.integer({ min: -3, max: 2 }), few: fc.boolean() });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 512 }),
        fc.nat(1500),
        layout,
        layout,
        fc.integer(),
        fc.nat(2),
        (blocks, lba, from, to, seed, mps) => {
          const { driver, ram } = ready(mps);
          driver.createPair(1);
          const size = driver.pageSize;
          const takePage = scatteredPages(ram, driver.allocate(), size);
          const length = blocks * 512;
          const place = (l: typeof from) =>
            layOut(ram, size, length, (l.offset * 4) % size, slots(l, length, size), takePage);
          const out = place(from);
          let next = seed | 1;
          const data = Uint8Array.from({ length }, () => (next = Math.imul(next, 0x19660d) + 0x3c6ef35f) >>> 24);
          let at = 0;
          for (const s of out.segments) ram.bytes.set(data.subarray(at, (at += s.length)), s.address);
          const inward = place(to);
          const run = (opcode: number, { prp1, prp2 }: typeof out) =>
            driver.run(1, { opcode, nsid: 1, prp1, prp2, cdw10: lba, cdw12: blocks - 1 }).status;
          expect(run(NVM.write, out)).toBe(0);
          expect(run(NVM.read, inward)).toBe(0);
          const got = inward.segments.map((s) => ram.bytes.subarray(s.address, s.address + s.length));
          expect(Buffer.concat(got).equals(data)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('a list page of 8 KiB holds 1024 entries', () => {
    const namespaces = [new MemoryNamespace(16 << 20, 12)];
    const { driver, ram } = setUp({ namespaces, mdts: 11 }, { ramBytes: 20 << 20 });
    driver.enable(32, 0x00460001 | (1 << 7));
    driver.createPair(1);
    const place = layOut(ram, 8192, 8 << 20, 4, 1, scatteredPages(ram, driver.allocate(), 8192));
    place.segments.forEach((s, i) => void ram.bytes.fill(i, s.address, s.address + s.length));
    const command = { opcode: NVM.write, nsid: 1, ...place, cdw12: 2047 };
    expect(driver.run(1, command).status).toBe(0);
    const held = new Uint8Array(8 << 20);
    namespaces[0].read(0, held);
    let at = 0;
    for (const [i, s] of place.segments.entries()) {
      expect(held.subarray(at, at + s.length).every((byte) => byte === (i & 0xff))).toBe(true);
      at += s.length;
    }
  });

  test('memory pages up to 64 KiB', () => {
    const { driver, ram } = ready(4);
    const place = layOut(ram, 1 << 16, 4096, 65536 - 1024, 1, scatteredPages(ram, driver.allocate(), 1 << 16));
    expect(driver.admin({ opcode: ADMIN.identify, cdw10: 1, ...place }).status).toBe(0);
    expect(ram.view.getUint32(place.segments[0].address + 80, true)).toBe(0x0001_0400);
    expect(ram.view.getUint16(place.segments[1].address + 2048 - 1024, true)).toBe(2500);
  });

  // NVMe 1.4 §4.3: offsets other than PRP1's are zero, list pointers are qword aligned
  test.each<[string, (l: { prp1: number; prp2: number }, list: DataView) => void]>([
    ['PRP1 not at a dword', (l) => void (l.prp1 += 2)],
    ['a list at half a qword', (l) => void (l.prp2 += 4)],
    ['a list entry with an offset', (_, list) => list.setUint32(8, list.getUint32(8, true) + 512, true)],
    ['a chained list with an offset', (_, list) => list.setUint32(24, list.getUint32(24, true) + 8, true)],
  ])('%s ends with PRP Offset Invalid', (_, spoil) => {
    const { driver, ram } = ready();
    driver.createPair(1);
    const place = layOut(ram, 4096, 64 << 10, 0, 4, scatteredPages(ram, driver.allocate(), 4096));
    spoil(place, new DataView(ram.bytes.buffer, place.prp2));
    const command = { opcode: NVM.read, nsid: 1, ...place, cdw12: 127 };
    expect(driver.run(1, command).status).toBe(STATUS.prpOffsetInvalid);
  });

  test('PRP2 as second entry has no offset either', () => {
    const { driver } = ready();
    driver.createPair(1);
    const buffer = driver.allocate(4);
    const command = { opcode: NVM.read, nsid: 1, prp1: buffer, prp2: buffer + 8192 + 8, cdw12: 15 };
    expect(driver.run(1, command).status).toBe(STATUS.prpOffsetInvalid);
  });

  test('pages that follow on each other are one transfer', () => {
    const { driver, ram } = ready();
    driver.createPair(1);
    const list = driver.allocate();
    const buffer = driver.allocate(16);
    const order = [1, 2, 3, 8, 9, 5, 6, 7];
    for (const [slot, page] of order.entries()) ram.view.setUint32(list + 8 * slot, buffer + page * 4096, true);
    const writes: [page: number, length: number][] = [];
    const write = ram.writeBytes.bind(ram);
    ram.writeBytes = (address, bytes) => {
      writes.push([(address - buffer) / 4096, bytes.length / 4096]);
      write(address, bytes);
    };
    expect(driver.run(1, { opcode: NVM.read, nsid: 1, prp1: buffer, prp2: list, cdw12: 71 }).status).toBe(0);
    expect(writes.slice(0, 3)).toEqual([
      [0, 4],
      [8, 2],
      [5, 3],
    ]);
  });

  test('a list page that leads to itself ends where the data ends', () => {
    const { driver, ram } = ready();
    driver.createPair(1);
    const list = driver.allocate();
    const buffer = driver.allocate();
    for (let slot = 0; slot < 512; slot++) ram.view.setUint32(list + 8 * slot, slot === 511 ? list : buffer, true);
    // enters the list at its last slot, which points back to its start
    const command = { opcode: NVM.read, nsid: 1, prp1: buffer, prp2: list + 8 * 511, cdw12: 511 };
    expect(driver.run(1, command).status).toBe(0);
  });

  test('a list that cannot be read is a transfer error', () => {
    const { driver } = ready();
    driver.createPair(1);
    const command = { opcode: NVM.read, nsid: 1, prp1: driver.allocate(), prp2: 1 << 30, cdw12: 511 };
    expect(driver.run(1, command).status).toBe(STATUS.dataTransferError);
  });
});
