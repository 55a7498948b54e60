import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, type Namespace, NVM, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';
import type { Command } from './toy-driver.ts';

const PAGE = 4096;

function ready(namespaces: Namespace[] = [new MemoryNamespace(1 << 20), new MemoryNamespace(1 << 20, 12)]) {
  const parts = setUp({ namespaces, mdts: 4 }, { ramBytes: 8 << 20 });
  parts.driver.enable();
  parts.driver.createPair(1, 32);
  return parts;
}

describe('NVM commands', () => {
  test('what was written is read back, what was not is zero', () => {
    const { driver, ram } = ready();
    const buffer = driver.allocate(2);
    for (let i = 0; i < 1024; i++) ram.bytes[buffer + i] = i * 7;
    const wanted = ram.bytes.slice(buffer, buffer + 1024);
    expect(driver.io(1, true, 5, 2, buffer).status).toBe(0);
    ram.bytes.fill(0xaa, buffer, buffer + 2 * PAGE);
    expect(driver.io(1, false, 4, 4, buffer).status).toBe(0);
    const got = ram.bytes.slice(buffer, buffer + 2048);
    expect(got.subarray(0, 512)).toEqual(new Uint8Array(512));
    expect(got.subarray(512, 1536)).toEqual(wanted);
    expect(got.subarray(1536)).toEqual(new Uint8Array(512));
  });

  test('namespaces are apart and have their own block size', () => {
    const { driver, ram } = ready();
    const buffer = driver.allocate(2);
    ram.bytes[buffer] = 1;
    driver.io(1, true, 0, 1, buffer, 2);
    driver.io(1, false, 0, 1, buffer, 1);
    expect(ram.bytes[buffer]).toBe(0);
    driver.io(1, false, 0, 2, buffer, 2);
    expect(ram.bytes[buffer]).toBe(1);
  });

  test.each<[string, Partial<Command>, number]>([
    ['namespace 0', { nsid: 0 }, STATUS.invalidNamespaceOrFormat],
    ['namespace 3 of 2', { nsid: 3 }, STATUS.invalidNamespaceOrFormat],
    ['all namespaces', { nsid: 0xffffffff }, STATUS.invalidFieldInCommand],
    ['the block after the last', { cdw10: 2048 }, STATUS.lbaOutOfRange],
    ['a range over the end', { cdw10: 2047, cdw12: 1 }, STATUS.lbaOutOfRange],
    ['a block beyond 2^63', { cdw11: 0x80000000 }, STATUS.lbaOutOfRange],
    ['a block number of all ones', { cdw10: 0xffffffff, cdw11: 0xffffffff }, STATUS.lbaOutOfRange],
    ['more than MDTS', { cdw12: 128 }, STATUS.invalidFieldInCommand],
    ['PRP1 at a byte', { prp1: 0x100001 }, STATUS.prpOffsetInvalid],
    ['the reserved kind of data pointer', { flags: 0xc000 }, STATUS.invalidFieldInCommand],
    ['the first half of a fused pair', { flags: 0x100 }, STATUS.invalidFieldInCommand],
    ['memory that is not there', { prp1: 1 << 30 }, STATUS.dataTransferError],
    ['an address beyond 2^53', { prp1: 2 ** 60 }, STATUS.dataTransferError],
  ])('write naming %s is refused', (_, over, status) => {
    const { driver } = ready();
    const done = driver.run(1, { opcode: NVM.write, nsid: 1, prp1: 0x100000, ...over });
    expect(done.status).toBe(status);
  });

  test.each([0x04, 0x0c, 0x0d, 0x15, 0x80, 0xff])('opcode %i is refused', (opcode) => {
    expect(ready().driver.run(1, { opcode, nsid: 1 }).status).toBe(STATUS.invalidCommandOpcode);
  });

  test('compare', () => {
    const { driver, ram } = ready();
    const buffer = driver.allocate();
    ram.bytes[buffer + 100] = 9;
    driver.io(1, true, 7, 1, buffer);
    const compare = { opcode: NVM.compare, nsid: 1, prp1: buffer, cdw10: 7 };
    expect(driver.run(1, compare).status).toBe(0);
    ram.bytes[buffer + 511] = 1;
    expect(driver.run(1, compare).status).toBe(STATUS.compareFailure);
  });

  test('write zeroes', () => {
    const { driver, ram } = ready();
    const buffer = driver.allocate();
    ram.bytes.fill(0xff, buffer, buffer + PAGE);
    driver.io(1, true, 0, 8, buffer);
    expect(driver.run(1, { opcode: NVM.writeZeroes, nsid: 1, cdw10: 1, cdw12: 5 }).status).toBe(0);
    driver.io(1, false, 0, 8, buffer);
    const firstOf = (block: number) => ram.bytes[buffer + 512 * block];
    expect([0, 1, 6, 7].map(firstOf)).toEqual([0xff, 0, 0, 0xff]);
    expect(driver.run(1, { opcode: NVM.writeZeroes, nsid: 1, cdw10: 2047, cdw12: 1 }).status).toBe(
      STATUS.lbaOutOfRange,
    );
  });

  test('deallocation frees whole chunks, zeroes parts, and touches nothing if a range is out of bounds', () => {
    const ns = new MemoryNamespace(1 << 20);
    const { driver, ram } = ready([ns]);
    const buffer = driver.allocate(2);
    ram.bytes.fill(0xff, buffer, buffer + 2 * PAGE);
    for (let lba = 0; lba < 256; lba += 16) driver.io(1, true, lba, 16, buffer);
    expect(ns.allocatedBytes).toBe(128 << 10);
    const ranges = driver.allocate();
    const range = (i: number, lba: number, blocks: number) => {
      ram.view.setUint32(ranges + 16 * i + 4, blocks, true);
      ram.view.setUint32(ranges + 16 * i + 8, lba, true);
    };
    const run = (count: number) =>
      driver.run(1, { opcode: NVM.datasetManagement, nsid: 1, prp1: ranges, cdw10: count - 1, cdw11: 4 }).status;
    range(0, 0, 128);
    range(1, 2000, 49);
    expect(run(2)).toBe(STATUS.lbaOutOfRange);
    expect(ns.allocatedBytes).toBe(128 << 10);
    range(1, 130, 2);
    expect(run(2)).toBe(0);
    expect(ns.allocatedBytes).toBe(64 << 10);
    driver.io(1, false, 129, 4, buffer);
    expect([0, 1, 2, 3].map((b) => ram.bytes[buffer + 512 * b])).toEqual([0xff, 0, 0, 0xff]);
    driver.io(1, false, 0, 1, buffer);
    expect(ram.bytes[buffer]).toBe(0);
  });

  test('overlapping ranges are deallocated once, in any order', () => {
    const calls: [number, number][] = [];
    const ns = Object.assign(new MemoryNamespace(1 << 20), {
      deallocate: (offset: number, length: number) => calls.push([offset / 512, length / 512]) > 0,
    });
    const { driver, ram } = ready([ns]);
    const ranges = driver.allocate();
    for (const [i, [lba, blocks]] of [
      [40, 10],
      [0, 30],
      [10, 10],
      [45, 10],
      [5, 0],
      [30, 2],
    ].entries()) {
      ram.view.setUint32(ranges + 16 * i + 4, blocks, true);
      ram.view.setUint32(ranges + 16 * i + 8, lba, true);
    }
    const command = { opcode: NVM.datasetManagement, nsid: 1, prp1: ranges, cdw10: 5, cdw11: 4 };
    expect(driver.run(1, command).status).toBe(0);
    expect(calls).toEqual([
      [0, 30],
      [30, 2],
      [40, 10],
      [50, 5],
    ]);
  });

  test('flush of one, of all, of none', () => {
    const { driver } = ready();
    for (const nsid of [1, 2, 0xffffffff]) expect(driver.run(1, { opcode: NVM.flush, nsid }).status).toBe(0);
    for (const nsid of [0, 3]) expect(driver.run(1, { opcode: NVM.flush, nsid }).status).toBe(0x00b);
  });
});

describe('a failing medium', () => {
  function failing(over: Partial<Namespace>) {
    const calls: string[] = [];
    const note = (name: string, result: boolean) => () => {
      calls.push(name);
      return result;
    };
    const ns: Namespace = {
      blockSizeLog2: 9,
      blockCount: 64,
      read: note('read', true),
      write: note('write', true),
      writeZeroes: note('writeZeroes', true),
      flush: note('flush', true),
      ...over,
    };
    return { ...ready([ns]), calls };
  }

  test('turns into media errors', () => {
    const fail = () => false;
    const { driver } = failing({ read: fail, write: fail, writeZeroes: fail, flush: fail });
    const buffer = driver.allocate(2);
    expect(driver.io(1, true, 0, 1, buffer).status).toBe(STATUS.writeFault);
    expect(driver.io(1, false, 0, 1, buffer).status).toBe(STATUS.unrecoveredReadError);
    expect(driver.run(1, { opcode: NVM.writeZeroes, nsid: 1 }).status).toBe(STATUS.writeFault);
    expect(driver.run(1, { opcode: NVM.flush, nsid: 1 }).status).toBe(STATUS.internalError);
  });

  test('writes are flushed at once with FUA or without the write cache, else on request and at shutdown', () => {
    const { driver, calls } = failing({});
    const write = (flags = 0) =>
      driver.run(1, { opcode: NVM.write, nsid: 1, prp1: driver.allocate(), cdw12: flags }) && calls.splice(0);
    expect(write()).toEqual(['write']);
    expect(write(0x40000000)).toEqual(['write', 'flush']);
    driver.admin({ opcode: ADMIN.setFeatures, cdw10: 6, cdw11: 0 });
    expect(write()).toEqual(['write', 'flush']);
    driver.writeCc(0x00464001);
    expect(calls).toEqual(['flush']);
  });

  test('without deallocation, Dataset Management is a hint and Identify promises nothing', () => {
    const { driver } = failing({});
    const prp1 = driver.allocate();
    expect(driver.run(1, { opcode: NVM.datasetManagement, nsid: 1, prp1, cdw11: 4 }).status).toBe(0);
    expect(driver.identify(0, 1).data.getUint8(33)).toBe(0);
  });
});
