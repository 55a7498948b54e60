import { describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, STATUS } from '../../../../src/pci/devices/nvme/index.ts';
import { setUp } from './setup.ts';
import type { Command } from './toy-driver.ts';

const text = (data: DataView, at: number, length: number) =>
  String.fromCharCode(...new Uint8Array(data.buffer, at, length)).trimEnd();

function ready(options = {}) {
  const parts = setUp({ namespaces: [new MemoryNamespace(1 << 20), new MemoryNamespace(1 << 22, 12)], ...options });
  parts.driver.enable();
  return parts;
}

describe('identify', () => {
  test('controller', () => {
    const { driver } = ready({ serial: 'S1', model: 'M', firmware: 'F', mdts: 5 });
    const { status, data } = driver.identify(1);
    expect(status).toBe(0);
    expect(data.getUint16(0, true)).toBe(0x1b36);
    expect([text(data, 4, 20), text(data, 24, 40), text(data, 64, 8)]).toEqual(['S1', 'M', 'F']);
    expect(data.getUint8(77)).toBe(5);
    expect(data.getUint32(80, true)).toBe(0x0001_0400);
    expect([data.getUint8(512), data.getUint8(513)]).toEqual([0x66, 0x44]);
    expect(data.getUint32(516, true)).toBe(2);
  });

  test('namespaces and their list', () => {
    const { driver } = ready();
    const one = driver.identify(0, 1).data;
    expect([one.getUint32(0, true), one.getUint8(130)]).toEqual([2048, 9]);
    expect(driver.identify(0, 2).data.getUint8(130)).toBe(12);
    for (const nsid of [0, 3, 0xffffffff])
      expect(driver.identify(0, nsid).status).toBe(STATUS.invalidNamespaceOrFormat);
    const list = (after: number) => driver.identify(2, after).data;
    expect([list(0).getUint32(0, true), list(0).getUint32(4, true), list(0).getUint32(8, true)]).toEqual([1, 2, 0]);
    expect(list(1).getUint32(0, true)).toBe(2);
    expect(driver.identify(2, 0xfffffffe).status).toBe(STATUS.invalidNamespaceOrFormat);
  });

  test('descriptors differ by namespace', () => {
    const { driver } = ready();
    const id = (nsid: number) => text(driver.identify(3, nsid).data, 4, 8);
    expect(driver.identify(3, 1).data.getUint16(0, true)).toBe(0x0801);
    expect(id(1)).not.toBe(id(2));
    expect(text(driver.identify(0, 2).data, 120, 8)).toBe(id(2));
    expect(driver.identify(3, 3).status).toBe(STATUS.invalidNamespaceOrFormat);
  });

  test.each([0x04, 0x10, 0x13, 0x14, 0xff])('CNS %i belongs to no feature here', (cns) => {
    expect(ready().driver.identify(cns, 1).status).toBe(STATUS.invalidFieldInCommand);
  });
});

describe('queue creation and deletion', () => {
  const cq = (over: Command | object = {}): Command => ({
    opcode: ADMIN.createIoCq,
    prp1: 0x10000,
    cdw10: 1 | (15 << 16),
    cdw11: 3,
    ...over,
  });
  const sq = (over: Command | object = {}): Command => ({
    opcode: ADMIN.createIoSq,
    prp1: 0x20000,
    cdw10: 1 | (15 << 16),
    cdw11: 1 | (1 << 16),
    ...over,
  });

  test.each<[string, Command, number]>([
    ['identifier 0', cq({ cdw10: 15 << 16 }), STATUS.invalidQueueIdentifier],
    ['identifier beyond those granted', cq({ cdw10: 5 | (15 << 16) }), STATUS.invalidQueueIdentifier],
    ['one entry', cq({ cdw10: 1 }), STATUS.invalidQueueSize],
    ['more entries than MQES', cq({ cdw10: 1 | (1024 << 16) }), STATUS.invalidQueueSize],
    ['not contiguous', cq({ cdw11: 2 }), STATUS.invalidFieldInCommand],
    ['an offset in PRP1', cq({ prp1: 0x10010 }), STATUS.prpOffsetInvalid],
    ['a vector that is not there', cq({ cdw11: 3 | (32 << 16) }), STATUS.invalidInterruptVector],
    ['SQ with completion queue 0', sq({ cdw11: 1 }), STATUS.invalidQueueIdentifier],
    ['SQ with completion queue out of range', sq({ cdw11: 1 | (9 << 16) }), STATUS.invalidQueueIdentifier],
    ['SQ with completion queue not made', sq({ cdw11: 1 | (2 << 16) }), STATUS.completionQueueInvalid],
    ['SQ identifier 0', sq({ cdw10: 15 << 16 }), STATUS.invalidQueueIdentifier],
    ['SQ of one entry', sq({ cdw10: 1 }), STATUS.invalidQueueSize],
    ['SQ not contiguous', sq({ cdw11: 1 << 16 }), STATUS.invalidFieldInCommand],
    ['SQ with an offset in PRP1', sq({ prp1: 0x20008 }), STATUS.prpOffsetInvalid],
  ])('%s is refused', (_, command, status) => {
    const { driver } = ready();
    if (command.opcode === ADMIN.createIoSq) driver.createCq(1);
    const done = driver.admin(command);
    expect(done.status).toBe(status);
    expect(done.flags).toBe(3); // more in the error log, do not retry
  });

  test('without entry sizes in CC no I/O queue can be made', () => {
    const { driver } = setUp();
    driver.enable(32, 1);
    expect(driver.admin(cq()).status).toBe(STATUS.invalidQueueSize);
  });

  test('a queue in use cannot be made again; a completion queue goes after its submission queues', () => {
    const { driver } = ready();
    driver.createPair(1);
    expect(driver.admin(cq()).status).toBe(STATUS.invalidQueueIdentifier);
    expect(driver.admin(sq()).status).toBe(STATUS.invalidQueueIdentifier);
    expect(driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 }).status).toBe(STATUS.invalidQueueDeletion);
    expect(driver.admin({ opcode: ADMIN.deleteIoSq, cdw10: 1 }).status).toBe(0);
    expect(driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 }).status).toBe(0);
    for (const cdw10 of [0, 1, 9])
      for (const opcode of [ADMIN.deleteIoCq, ADMIN.deleteIoSq])
        expect(driver.admin({ opcode, cdw10 }).status).toBe(STATUS.invalidQueueIdentifier);
    driver.createPair(1);
  });

  test('several submission queues share a completion queue', () => {
    const { driver } = ready();
    driver.createPair(1);
    expect(driver.admin(sq({ cdw10: 2 | (15 << 16) })).status).toBe(0);
    expect(driver.admin({ opcode: ADMIN.deleteIoSq, cdw10: 1 }).status).toBe(0);
    expect(driver.admin({ opcode: ADMIN.deleteIoCq, cdw10: 1 }).status).toBe(STATUS.invalidQueueDeletion);
  });
});

describe('other admin commands', () => {
  test.each([0x03, 0x0d, 0x10, 0x14, 0x18, 0x7c, 0x80, 0x81, 0x84, 0xc0])('opcode %i is refused', (opcode) => {
    expect(ready().driver.admin({ opcode, nsid: 1 }).status).toBe(STATUS.invalidCommandOpcode);
  });

  test.each([0x100, 0x200, 0x4000, 0x8000, 0xc000])('fused or SGL flags %i are refused', (flags) => {
    const { driver } = ready();
    const command = { opcode: ADMIN.identify, cdw10: 1, prp1: driver.allocate(), flags };
    expect(driver.admin(command).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('abort cancels an asynchronous event request, and says so', () => {
    const { driver } = ready();
    const cid = driver.push(0, { opcode: ADMIN.asyncEventRequest });
    driver.ring(0);
    const abort = driver.push(0, { opcode: ADMIN.abort, cdw10: cid << 16 });
    driver.ring(0);
    const [aborted, done] = driver.reap(0);
    expect([aborted.cid, aborted.status]).toEqual([cid, STATUS.commandAbortRequested]);
    expect([done.cid, done.status, done.result]).toEqual([abort, 0, 0]);
    expect(driver.admin({ opcode: ADMIN.abort, cdw10: cid << 16 }).result).toBe(1);
    expect(driver.admin({ opcode: ADMIN.abort, cdw10: 3 }).status).toBe(STATUS.invalidFieldInCommand);
  });

  test('asynchronous event requests are limited', () => {
    const { driver } = ready({ asyncEventRequests: 2 });
    for (let i = 0; i < 3; i++) driver.push(0, { opcode: ADMIN.asyncEventRequest });
    driver.ring(0);
    expect(driver.reap(0).map((c) => c.status)).toEqual([STATUS.asyncEventRequestLimitExceeded]);
  });
});
