import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ADMIN, MemoryNamespace, NVM } from '../../../../src/pci/devices/nvme/index.ts';
import { layOut, type PrpLayout } from './prp-layout.ts';
import { QEMU_RAM_BASE, QemuNvme, whyNoQemu } from './qemu.ts';
import { setUp } from './setup.ts';
import { type Command, ToyDriver } from './toy-driver.ts';

const PAGE = 4096;
type Case = (d: ToyDriver) => unknown;

const status = (d: ToyDriver, id: number, c: Command) => d.run(id, c).status.toString(16);
const cq = (d: ToyDriver, over: Partial<Command> = {}) =>
  status(d, 0, { opcode: ADMIN.createIoCq, prp1: d.allocate(), cdw10: 1 | (15 << 16), cdw11: 3, ...over });
const sq = (d: ToyDriver, over: Partial<Command> = {}) =>
  status(d, 0, { opcode: ADMIN.createIoSq, prp1: d.allocate(), cdw10: 1 | (15 << 16), cdw11: 0x10001, ...over });
const feature = (d: ToyDriver, set: boolean, cdw10: number, cdw11 = 0, nsid = 0) => {
  const c = { opcode: set ? ADMIN.setFeatures : ADMIN.getFeatures, nsid, cdw10, cdw11, prp1: d.allocate() };
  const done = d.admin(c);
  return `${done.status.toString(16)}:${done.result.toString(16)}`;
};
const log = (d: ToyDriver, id: number, over: Partial<Command> = {}) =>
  status(d, 0, { opcode: ADMIN.getLogPage, nsid: 0xffffffff, cdw10: id | (127 << 16), prp1: d.allocate(), ...over });
const io = (d: ToyDriver, c: Partial<Command>) => {
  const buffer = d.allocate(2);
  return status(d, 1, { opcode: NVM.read, nsid: 1, prp1: buffer, prp2: buffer + PAGE, ...c });
};
const event = (d: ToyDriver, poke: () => void) => {
  d.push(0, { opcode: ADMIN.asyncEventRequest });
  d.ring(0);
  poke();
  return reap(d).map((c) => c.result.toString(16));
};
/** Completions of admin commands, when the first is there. */
const reap = (d: ToyDriver) => {
  let done = d.reap(0);
  for (let tries = 0; done.length === 0 && d.regs.wait && tries < 500; tries++) {
    d.regs.wait();
    done = d.reap(0);
  }
  return done;
};
const enabled = (d: ToyDriver, aqa: number, asq: number, cc: number) => {
  d.writeCc(0);
  d.regs.writeRegister(0x24, 4, aqa);
  d.regs.writeRegister(0x28, 4, asq);
  d.writeCc(cc);
  const csts = d.csts;
  d.writeCc(0);
  return [csts, d.csts];
};

const CASES: Record<string, Case> = {
  'registers after enable': (d) => [0x08, 0x14, 0x1c, 0x20, 0x24, 0x38, 0x3c].map((at) => d.regs.readRegister(at, 4)),
  'interrupt mask': (d) => {
    d.regs.writeRegister(0x0c, 4, 0xff0);
    d.regs.writeRegister(0x10, 4, 0x0f0);
    return [d.regs.readRegister(0x0c, 4), d.regs.readRegister(0x10, 4)];
  },
  shutdown: (d) => {
    d.writeCc(0x00464001);
    return d.csts;
  },
  'enable with queues of one entry': (d) => enabled(d, 0, QEMU_RAM_BASE, 0x00460001),
  'enable with large pages': (d) => enabled(d, 0x001f001f, QEMU_RAM_BASE, 0x00460001 | (5 << 7)),
  'enable with a misaligned queue': (d) => enabled(d, 0x001f001f, QEMU_RAM_BASE + PAGE, 0x00460001 | (1 << 7)),
  'CQ identifier 0': (d) => cq(d, { cdw10: 15 << 16 }),
  'CQ identifier too large': (d) => cq(d, { cdw10: 5 | (15 << 16) }),
  'CQ of one entry': (d) => cq(d, { cdw10: 1 }),
  'CQ of too many entries': (d) => cq(d, { cdw10: 1 | (2048 << 16) }),
  'CQ not contiguous': (d) => cq(d, { cdw11: 2 }),
  'CQ with an offset': (d) => cq(d, { prp1: d.allocate() + 16 }),
  'CQ with a vector that is not there': (d) => cq(d, { cdw11: 3 | (5 << 16) }),
  'CQ twice': (d) => [cq(d), cq(d)],
  'SQ without CQ': (d) => sq(d),
  'SQ of CQ 0': (d) => sq(d, { cdw11: 1 }),
  'SQ of CQ out of range': (d) => sq(d, { cdw11: 1 | (9 << 16) }),
  'SQ of one entry': (d) => [cq(d), sq(d, { cdw10: 1 })],
  'SQ not contiguous': (d) => [cq(d), sq(d, { cdw11: 0x10000 })],
  'SQ with an offset': (d) => [cq(d), sq(d, { prp1: d.allocate() + 64 })],
  'SQ twice': (d) => [cq(d), sq(d), sq(d)],
  'queue deletion in the wrong order, then the right one': (d) => {
    const drop = (opcode: number, id: number) => status(d, 0, { opcode, cdw10: id });
    const { deleteIoCq, deleteIoSq } = ADMIN;
    const made = [cq(d), sq(d), drop(deleteIoCq, 1), drop(deleteIoSq, 1), drop(deleteIoCq, 1), drop(deleteIoCq, 1)];
    return [...made, drop(deleteIoSq, 1), drop(deleteIoSq, 0), drop(deleteIoCq, 0), drop(deleteIoSq, 9)];
  },
  'entry sizes not set': (d) => {
    d.enable(32, 1);
    return d.csts & 2 ? d.csts : cq(d);
  },
  'unknown admin opcodes': (d) => [0x03, 0x07, 0x0e, 0x7f, 0xc0].map((opcode) => status(d, 0, { opcode })),
  'fused admin command': (d) => status(d, 0, { opcode: 6, cdw10: 1, prp1: d.allocate(), flags: 0x100 }),
  'admin command with SGL': (d) => status(d, 0, { opcode: 6, cdw10: 1, prp1: d.allocate(), flags: 0x4000 }),
  'identify a namespace': (d) => [0, 1, 0x1234, 0xfffffffe, 0xffffffff].map((nsid) => d.identify(0, nsid).status),
  'identify: size and block size': (d) => {
    const { data } = d.identify(0, 1);
    return [data.getUint32(0, true), data.getUint8(128 + 2)];
  },
  'identify: controller sizes': (d) => {
    const { data } = d.identify(1);
    return [data.getUint8(512), data.getUint8(513), data.getUint32(80, true), data.getUint8(77), data.getUint8(111)];
  },
  'identify: active list': (d) =>
    [0, 1, 0xfffffffd, 0xfffffffe, 0xffffffff].map((nsid) => {
      const { status: s, data } = d.identify(2, nsid);
      return [s, data.getUint32(0, true)];
    }),
  'identify: unknown CNS': (d) => [0x0a, 0x1f, 0xff].map((cns) => d.identify(cns, 1).status),
  'identify with PRP errors': (d) => {
    const page = d.allocate(4);
    const at = (prp1: number, prp2: number) => status(d, 0, { opcode: 6, cdw10: 1, prp1, prp2 });
    return [at(page + 512, page + PAGE), at(page + 512, page + PAGE + 8), at(page, 8)];
  },
  abort: (d) => {
    const one = d.admin({ opcode: ADMIN.abort, cdw10: 0x1234 << 16 });
    return [one.status, one.result, status(d, 0, { opcode: ADMIN.abort, cdw10: 3 })];
  },
  'event request limit': (d) => {
    for (let i = 0; i < 5; i++) d.push(0, { opcode: ADMIN.asyncEventRequest });
    d.ring(0);
    return reap(d).map((c) => c.status);
  },
  'number of queues': (d) => [
    feature(d, false, 7),
    feature(d, true, 7, 0xffff),
    feature(d, true, 7, 0x00630063),
    cq(d),
    feature(d, true, 7, 0x00010001),
  ],
  'features that QEMU fixes': (d) => [0x01, 0x08, 0x0a].map((fid) => feature(d, true, fid, 0)),
  'write cache': (d) => [
    feature(d, true, 0x06, 0),
    feature(d, false, 0x06),
    feature(d, false, 0x106),
    feature(d, false, 0x306),
  ],
  'feature that does not exist': (d) =>
    [0x00, 0x0c, 0x7f].map((fid) => [feature(d, true, fid), feature(d, false, fid)]),
  'feature saved': (d) => feature(d, true, 0x80000001),
  'feature of a namespace that has none': (d) => [feature(d, true, 0x01, 0, 1), feature(d, true, 0x05, 0, 0x1234)],
  'vector configuration': (d) => [feature(d, true, 9, 0x10002), feature(d, false, 9, 2), feature(d, false, 9, 3)],
  'vector configuration out of range': (d) => [feature(d, true, 9, 99), feature(d, false, 9, 99)],
  'temperature threshold': (d) => [feature(d, false, 4), feature(d, true, 4, 400), feature(d, false, 4)],
  'log pages': (d) => [0x01, 0x02, 0x03, 0x05].map((id) => log(d, id)),
  'log pages that do not exist': (d) => [0x06, 0xc0].map((id) => log(d, id)),
  'log page offsets': (d) => [512, 516, 2].map((cdw12) => log(d, 2, { cdw12 })),
  'doorbell of no queue': (d) => event(d, () => d.regs.writeRegister(0x1010, 4, 1)),
  'tail out of range': (d) => {
    d.createPair(1);
    return event(d, () => d.regs.writeRegister(0x1008, 4, 16));
  },
  'head out of range': (d) => {
    d.createPair(1);
    return event(d, () => d.regs.writeRegister(0x100c, 4, 16));
  },
  'read and write': (d) => {
    d.createPair(1);
    const buffer = d.allocate(2);
    for (let i = 0; i < 2 * PAGE; i++) d.ram.bytes[buffer + i] = i * 13;
    const wrote = d.io(1, true, 3, 16, buffer).status;
    d.ram.bytes.fill(0, buffer, buffer + 2 * PAGE);
    const read = d.io(1, false, 4, 8, buffer).status;
    return [wrote, read, d.ram.bytes[buffer], d.ram.bytes[buffer + 4095], d.ram.bytes[buffer + 4096]];
  },
  'I/O errors': (d) => {
    d.createPair(1);
    return [
      io(d, { nsid: 0 }),
      io(d, { nsid: 0x1234 }),
      io(d, { nsid: 0xffffffff }),
      io(d, { cdw10: 2048 }),
      io(d, { cdw10: 2047, cdw12: 1 }),
      io(d, { cdw11: 0xffffffff, cdw10: 0xffffffff }),
      io(d, { cdw12: 0xffff }),
      io(d, { opcode: 0x7f }),
      io(d, { flags: 0x100 }),
      io(d, { cdw12: 15, prp2: d.allocate() + 16 }),
    ];
  },
  'PRP list with an offset in an entry': (d) => {
    d.createPair(1);
    const list = d.allocate();
    for (let i = 0; i < 3; i++) d.ram.view.setUint32(list + 8 * i, d.allocate() + (i === 1 ? 8 : 0), true);
    return io(d, { prp2: list, cdw12: 31 });
  },
  'data through PRP lists, chained and not': (d) => {
    d.createPair(1);
    const take = () => d.allocate();
    const sums: string[] = [];
    // length, offset in the first page, slots in the first list page
    for (const [length, offset, slots] of [
      [12288, 0, 512],
      [16384, 4, 3],
      [20480, 4092, 1],
      [24576, 2048, 2],
    ]) {
      const run = (opcode: number, l: PrpLayout) => io(d, { opcode, ...l, cdw12: length / 512 - 1 });
      const from = layOut(d.ram, PAGE, length, offset, slots, take);
      from.segments.forEach((s, i) => {
        for (let k = 0; k < s.length; k++) d.ram.bytes[s.address + k] = (k * 31) ^ i;
      });
      const to = layOut(d.ram, PAGE, length, (offset + 512) % PAGE, slots === 1 ? 4 : slots - 1, take);
      if (run(NVM.write, from) !== '0' || run(NVM.read, to) !== '0') throw new Error(`${length} at ${offset} failed`);
      for (const s of to.segments)
        sums.push(
          createHash('sha1')
            .update(d.ram.bytes.subarray(s.address, s.address + s.length))
            .digest('hex'),
        );
    }
    return sums;
  },
  'data through scatter gather lists': (d) => {
    d.createPair(1);
    const [list, data] = [d.allocate(), d.allocate(2)];
    const descriptor = (at: number, type: number, address: number, length: number) => {
      d.ram.view.setUint32(at, address, true);
      d.ram.view.setUint32(at + 8, length, true);
      d.ram.view.setUint32(at + 12, type << 24, true);
    };
    d.ram.bytes.fill(9, data, data + 1024);
    const run = (opcode: number, sgl: [number, number, number]) => status(d, 1, { opcode, nsid: 1, sgl, cdw12: 1 });
    const wrote = run(NVM.write, [0, data, 1024]);
    descriptor(list, 0, data + 5000, 100);
    descriptor(list + 16, 0x30, list + 64, 32);
    descriptor(list + 64, 0, data + 2051, 24);
    descriptor(list + 80, 0, data + 3000, 900);
    const read = run(NVM.read, [0x20, list, 32]);
    const sum = createHash('sha1')
      .update(d.ram.bytes.subarray(data, data + 2 * PAGE))
      .digest('hex');
    descriptor(list + 128, 0x40, data, 1024);
    descriptor(list + 144, 0, data, 1024);
    const errors = [
      run(NVM.read, [0, data, 1023]),
      run(NVM.read, [0x30, list + 128, 32]),
      run(NVM.read, [0x30, list, 24]),
      run(NVM.read, [0x30, list, 32]),
    ];
    return [wrote, read, sum, errors, status(d, 0, { opcode: 6, cdw10: 1, sgl: [0, data, PAGE] })];
  },
  'compare, write zeroes, deallocate, flush': (d) => {
    d.createPair(1);
    const buffer = d.allocate(2);
    d.ram.bytes.fill(5, buffer, buffer + PAGE);
    const wrote = d.io(1, true, 0, 8, buffer).status;
    const same = io(d, { opcode: NVM.compare, prp1: buffer });
    d.ram.bytes[buffer] = 6;
    const other = io(d, { opcode: NVM.compare, prp1: buffer });
    const zeroed = io(d, { opcode: NVM.writeZeroes, cdw10: 1, cdw12: 1 });
    const ranges = d.allocate();
    d.ram.view.setUint32(ranges + 4, 2, true);
    d.ram.view.setUint32(ranges + 8, 4, true);
    const dropped = io(d, { opcode: NVM.datasetManagement, prp1: ranges, cdw11: 4 });
    const read = d.io(1, false, 0, 8, buffer).status;
    const first = [0, 1, 2, 3].map((block) => d.ram.bytes[buffer + 512 * block]);
    const flush = [1, 0xffffffff, 0, 0x1234].map((nsid) => io(d, { opcode: NVM.flush, nsid }));
    return [wrote, same, other, zeroed, dropped, read, first, flush];
  },
};

/** Cases in which QEMU 7.2 answers otherwise, what it says, and why we do not follow. */
const DIFFERENT: Record<string, [theirs: unknown, why: string]> = {
  'SQ of CQ 0': ['100', '§5.4: Invalid Queue Identifier for 0 and what is out of range'],
  'SQ of CQ out of range': ['100', '§5.4, as before; Completion Queue Invalid is for one that was not made'],
  'queue deletion in the wrong order, then the right one': [
    ['0', '0', '10c', '0', '0', '100', '101', '101', '100', '101'],
    '§5.5: deleting a completion queue that is none is Invalid Queue Identifier',
  ],
  'entry sizes not set': [2, '§3.1.5: they are needed when the first I/O queue is made; QEMU fails to enable'],
  'features that QEMU fixes': [['10e:0', '10e:0', '10e:0'], 'they may be changed here'],
  'vector configuration': [['10e:0', '0:2', '0:3'], 'as before'],
  'vector configuration out of range': [['10e:0', '2:0'], 'as before'],
  'write cache': [['0:0', '0:0', '0:0', '0:4'], 'the default is what it starts with: on'],
  'log pages that do not exist': [['2', '2'], '§5.14: Invalid Log Page'],
  'log page offsets': [['2', '2', '2'], '§5.14: only an offset greater than the size is refused'],
};

describe('QEMU answers alike', () => {
  const why = whyNoQemu();
  let qemu: QemuNvme;
  beforeAll(() => {
    if (!why) qemu = new QemuNvme();
  });
  afterAll(() => qemu?.quit());

  test.for(Object.entries(CASES))('%s', ([name, run], ctx) => {
    if (why) ctx.skip(why);
    const ours = setUp({ namespaces: [new MemoryNamespace(1 << 20)], maxQueueEntries: 2048, mdts: 7 });
    ours.host.vectors = 5;
    ours.driver.enable();
    const theirs = new ToyDriver(qemu, qemu.ram, QEMU_RAM_BASE);
    qemu.enableMsix(true);
    theirs.enable();
    const answer = run(theirs);
    if (name in DIFFERENT) {
      expect(answer).toEqual(DIFFERENT[name][0]);
      expect(run(ours.driver)).not.toEqual(answer);
    } else expect(run(ours.driver)).toEqual(answer);
  });
});
