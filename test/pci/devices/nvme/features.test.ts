import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM, type NvmeOptions, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';
import type { ToyDriver } from './toy-driver.ts';

function ready(options: NvmeOptions = {}): ToyDriver {
  const { driver } = setUp({ namespaces: [new MemoryNamespace(1 << 16)], ...options });
  driver.enable();
  return driver;
}
const set = (d: ToyDriver, fid: number, value: number, nsid = 0) =>
  d.admin({ opcode: ADMIN.setFeatures, nsid, cdw10: fid, cdw11: value });
const get = (d: ToyDriver, fid: number, select = 0, cdw11 = 0, nsid = 0) =>
  d.admin({ opcode: ADMIN.getFeatures, nsid, cdw10: fid | (select << 8), cdw11 });

describe('features', () => {
  test.each<[string, number, number, number, number]>([
    ['arbitration', 0x01, 0x01020307, 0x01020307, 0],
    ['power management', 0x02, 0x20, 0x20, 0],
    ['temperature threshold', 0x04, 400, 400, 343],
    ['volatile write cache', 0x06, 0, 0, 1],
    ['interrupt coalescing', 0x08, 0x1234, 0x1234, 0],
    ['write atomicity', 0x0a, 1, 1, 0],
    ['asynchronous event configuration', 0x0b, 0xffff, 0xff, 0],
  ])('%s is set, read, has a default, and returns to it by reset', (_, fid, value, kept, initial) => {
    const d = ready();
    expect(get(d, fid).result).toBe(initial);
    expect(set(d, fid, value).status).toBe(0);
    expect([0, 1, 2, 3].map((select) => get(d, fid, select).result)).toEqual([kept, initial, initial, 4]);
    d.enable();
    expect(get(d, fid).result).toBe(initial);
  });

  test.each([0x00, 0x03, 0x0c, 0x0d, 0x0e, 0x10, 0x80, 0x81, 0xc0])('feature %i does not exist', (fid) => {
    const d = ready();
    expect(set(d, fid, 0).status).toBe(STATUS.invalidFieldInCommand);
    expect(get(d, fid).status).toBe(STATUS.invalidFieldInCommand);
    expect(get(d, fid, 3).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('nothing is saveable, only error recovery belongs to a namespace', () => {
    const d = ready();
    expect(set(d, 0x80000001, 0).status).toBe(STATUS.featureIdentifierNotSaveable);
    expect(set(d, 0x01, 0, 1).status).toBe(STATUS.featureNotNamespaceSpecific);
    expect(set(d, 0x05, 7, 2).status).toBe(STATUS.invalidNamespaceOrFormat);
    expect(set(d, 0x05, 7, 0).status).toBe(STATUS.invalidNamespaceOrFormat);
    expect(set(d, 0x05, 7, 1).status).toBe(0);
    expect(get(d, 0x05, 0, 0, 1).result).toBe(7);
    expect(set(d, 0x05, 9, 0xffffffff).status).toBe(0);
    expect(get(d, 0x05, 0, 0, 1).result).toBe(9);
    expect(set(d, 0x05, 0x10000, 1).status).toBe(STATUS.invalidFieldInCommand);
    expect(get(d, 0x05, 3, 0, 1).result).toBe(6);
    expect(get(d, 0x01, 4).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('there is one power state', () => {
    expect(set(ready(), 0x02, 1).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('number of queues: granted, limiting, and settled before the first queue', () => {
    const d = ready({ queuePairs: 4 });
    expect(get(d, 7).result).toBe(0x0003_0003);
    expect(set(d, 7, 0x0063_0063).result).toBe(0x0003_0003);
    expect(set(d, 7, 0x0001_0000).result).toBe(0x0001_0000);
    expect(get(d, 7).result).toBe(0x0001_0000);
    expect(get(d, 7, 1).result).toBe(0x0003_0003);
    expect(set(d, 7, 0xffff_0000).status).toBe(STATUS.invalidFieldInCommand);
    expect(set(d, 7, 0x0000_ffff).status).toBe(STATUS.invalidFieldInCommand);
    d.createPair(1);
    expect(() => d.createPair(2)).toThrow('create SQ 2: 101');
    expect(() => d.createCq(3)).toThrow('create CQ 3: 101');
    expect(set(d, 7, 0x0003_0003).status).toBe(STATUS.commandSequenceError);
  });

  test('interrupt vector configuration is per vector', () => {
    const d = ready();
    expect(set(d, 9, 0x10005).status).toBe(0);
    expect([get(d, 9, 0, 5).result, get(d, 9, 0, 4).result]).toEqual([0x10005, 4]);
    expect(set(d, 9, 32).status).toBe(STATUS.invalidFieldInCommand);
    expect(get(d, 9, 0, 32).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('a temperature threshold that is crossed warns in the SMART log and, if wanted, by an event', () => {
    const d = ready();
    d.push(0, { opcode: ADMIN.asyncEventRequest });
    d.ring(0);
    set(d, 0x04, 300);
    expect(readLog(d, 2, 512).getUint8(0)).toBe(2);
    set(d, 0x04, 400);
    set(d, 0x0b, 2);
    d.push(0, { opcode: ADMIN.setFeatures, cdw10: 4, cdw11: 310 | (1 << 20) });
    d.ring(0);
    expect(d.reap(0).map((c) => c.result)).toEqual([0, 0x02_01_01]);
    expect(set(d, 0x04, 1 << 16).status).toBe(STATUS.invalidFieldInCommand);
    expect(set(d, 0x04, 2 << 20).status).toBe(STATUS.invalidFieldInCommand);
  });
});

function readLog(d: ToyDriver, id: number, bytes: number, offset = 0): DataView {
  const page = d.allocate(Math.ceil(bytes / 4096) + 1);
  const done = d.admin({
    opcode: ADMIN.getLogPage,
    nsid: 0xffffffff,
    prp1: page,
    prp2: page + 4096,
    cdw10: id | ((bytes / 4 - 1) << 16),
    cdw12: offset,
  });
  if (done.status !== 0) throw new Error(`log page ${id}: ${done.status.toString(16)}`);
  return new DataView(d.ram.bytes.slice(page, page + bytes).buffer);
}

describe('log pages', () => {
  test('errors, newest first, in a ring', () => {
    const d = ready({ errorLogEntries: 2 });
    d.createPair(1);
    d.admin({ opcode: 0x7f });
    d.run(1, { opcode: NVM.read, nsid: 1, cdw10: 0x1234, cdw11: 5 });
    const cid = d.admin({ opcode: 0x80, nsid: 6 }).cid;
    const log = readLog(d, 1, 128);
    expect(log.getUint32(0, true)).toBe(3);
    expect([log.getUint16(8, true), log.getUint16(10, true)]).toEqual([0, cid]);
    expect((log.getUint16(12, true) >> 1) & 0x7ff).toBe(STATUS.invalidCommandOpcode);
    expect(log.getUint32(24, true)).toBe(6);
    expect([log.getUint32(64, true), log.getUint16(72, true)]).toEqual([2, 1]);
    expect([log.getUint32(80, true), log.getUint32(84, true)]).toEqual([0x1234, 5]);
  });

  test('SMART counts commands and data', () => {
    const d = ready();
    d.createPair(1);
    const buffer = d.allocate(2);
    for (let i = 0; i < 3; i++) d.io(1, true, 0, 1, buffer);
    d.io(1, false, 0, 8, buffer);
    const log = readLog(d, 2, 512);
    expect([64, 80, 32, 48].map((at) => log.getUint32(at, true))).toEqual([1, 3, 1, 1]);
    expect(log.getUint16(1, true)).toBe(310);
  });

  test('firmware slot and supported commands', () => {
    const d = ready({ firmware: '7.2' });
    const slot = readLog(d, 3, 512);
    expect([slot.getUint8(0), slot.getUint32(8, true)]).toEqual([1, 0x20322e37]);
    const effects = readLog(d, 5, 4096);
    expect([0x06, 0x80].map((opcode) => effects.getUint32(opcode * 4, true))).toEqual([1, 0]);
    expect([1, 2].map((opcode) => effects.getUint32(1024 + opcode * 4, true))).toEqual([3, 1]);
  });

  test('offsets move the window; beyond the end it reads zero', () => {
    const d = ready({ firmware: '7.2' });
    expect(readLog(d, 3, 16, 8).getUint32(0, true)).toBe(0x20322e37);
    expect(readLog(d, 3, 16, 512).getUint32(0, true)).toBe(0);
    expect(() => readLog(d, 3, 16, 516)).toThrow(': 2');
    expect(() => readLog(d, 3, 16, 2)).toThrow(': 2');
  });

  test.each([0x00, 0x04, 0x06, 0x70, 0x80, 0xc0])('page %i does not exist', (id) => {
    expect(() => readLog(ready(), id, 16)).toThrow(': 109');
  });

  test('a transfer beyond MDTS and a namespace are refused', () => {
    const d = ready({ mdts: 1 });
    expect(() => readLog(d, 1, 8192 + 4)).toThrow(': 2');
    const one = d.admin({ opcode: ADMIN.getLogPage, nsid: 1, prp1: d.allocate(), cdw10: 2 });
    expect(one.status).toBe(STATUS.invalidFieldInCommand);
  });
});
