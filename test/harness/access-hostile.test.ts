import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AccessChannel } from '../../src/harness/access-channel.ts';
import { dmaAnswer } from '../../src/harness/access-execute.ts';
import {
  type AccessRecord,
  accessRecord,
  encodeRecord,
  joinWords,
  KIND,
  RecordReader,
} from '../../src/harness/access-record.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';
import { Session } from '../../src/harness/session.ts';
import { SparseMemory } from '../../src/harness/sparse-memory.ts';
import { BDF, enableRequests, ring } from './nvme-script.ts';

const RECIPE = { kind: 'nvme', bdf: BDF, queuePairs: 4, vectors: 5, sizeBytes: 1 << 20 } as const;
const ADMIN_SQ = 0x10000;
const IO_SQ = 0x14000;

/** A request that means something more often than random bytes do. */
const requestArb = fc
  .record({
    kind: fc.constantFrom(0, 0, 1, 1, 1, 2, 5, 6, 7, 8, 9, 0x80, 0x87),
    function: fc.constantFrom(BDF, BDF, BDF, 0, 0xffffffff),
    region: fc.constantFrom(0, 0, 7, 7, 6, 8, 255),
    width: fc.constantFrom(1, 2, 4, 4, 4, 8, 3, 0),
    offset: fc.oneof(
      fc.constantFrom(0x14n, 0x24n, 0x28n, 0x30n, 0x1000n, 0x1004n, 4n, 0x10n, (1n << 64n) - 1n),
      fc.bigInt({ min: 0n, max: 0x4000n }),
    ),
    value: fc.oneof(
      fc.constantFrom(0x460001n, 0x70007n, 0x10000n, 6n, 1n),
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
    ),
  })
  .map((fields) => encodeRecord(accessRecord({ ...fields, ...(fields.kind === 8 && { data: new Uint8Array(5) }) })));

test('whatever a client sends, another is served as before and nothing is thrown', () =>
  fc.assert(
    fc.property(fc.array(fc.oneof(requestArb, fc.uint8Array({ maxLength: 64 })), { maxLength: 60 }), (chunks) => {
      const target = { functions: functionMap([hostFunction(RECIPE)]) };
      const hostile = new AccessChannel(target, { send: () => {}, fail: () => {} });
      for (const chunk of chunks) hostile.receive(chunk);
      const answers: Uint8Array[] = [];
      const other = new AccessChannel(target, { send: (b) => answers.push(b), fail: (why) => expect.unreachable(why) });
      other.receive(encodeRecord(accessRecord({ kind: KIND.read, function: BDF, region: 7, offset: 0, width: 4 })));
      expect(Buffer.from(answers[0]).readUInt32LE(16)).toBe(0x4e561234);
      hostile.close();
      other.receive(encodeRecord(accessRecord({ kind: KIND.reset, function: BDF })));
      expect(target.functions.get(BDF)!.fn.effects).toEqual([]);
    }),
    { numRuns: 300 },
  ));

/** A client whose memory answers each DMA read with a record of its own. */
function lateClient() {
  const memory = new SparseMemory();
  const reader = new RecordReader();
  const owed: AccessRecord[] = [];
  const hosted = hostFunction(RECIPE);
  const channel = new AccessChannel(
    { functions: functionMap([hosted]) },
    { send: (bytes) => reader.push(bytes), fail: (why) => expect.unreachable(why) },
  );
  const take = () => {
    for (let record = reader.next(); record; record = reader.next()) {
      const address = joinWords(record.offsetLo, record.offsetHi);
      if (record.kind === KIND.dmaRead) owed.push(record);
      if (record.kind === KIND.dmaWrite) memory.writeBytes(address, record.data!);
    }
  };
  const execute = (request: AccessRecord) => {
    channel.receive(encodeRecord(request));
    for (take(); owed.length > 0; take()) {
      const read = owed.shift()!;
      const bytes = memory.readBytes(joinWords(read.offsetLo, read.offsetHi), joinWords(read.valueLo, read.valueHi));
      channel.receive(encodeRecord(dmaAnswer(read, bytes)));
    }
  };
  return { memory, execute, arena: hosted.arena };
}

function entry(cid: number, opcode: number, fields: Record<number, number>): Uint8Array {
  const view = new DataView(new ArrayBuffer(64));
  view.setUint32(0, opcode | (cid << 16), true);
  for (const [at, value] of Object.entries(fields)) view.setUint32(Number(at), value, true);
  return new Uint8Array(view.buffer);
}

const ioArb = fc.record({
  opcode: fc.constantFrom(0, 1, 1, 1, 2, 2, 2, 5, 8),
  page: fc.integer({ min: 0, max: 3 }),
  lba: fc.integer({ min: 0, max: 7 }),
});

test('reads and writes of one batch see each other in order, however late the memory answers', () =>
  fc.assert(
    fc.property(fc.array(ioArb, { minLength: 1, maxLength: 7 }), (batch) => {
      const late = lateClient();
      const session = new Session({ devices: [RECIPE] });
      const atHand = { memory: session.memory, execute: (request: AccessRecord) => void session.execute(request) };
      for (const { memory, execute } of [late, atHand]) {
        memory.writeBytes(ADMIN_SQ, entry(0, 5, { 24: 0x16000, 40: 0x70001, 44: 1 }));
        memory.writeBytes(ADMIN_SQ + 64, entry(1, 1, { 24: IO_SQ, 40: 0x70001, 44: 0x10001 }));
        for (const request of [...enableRequests(ADMIN_SQ), ring(2)]) execute(request);
        for (let page = 0; page < 4; page++)
          memory.writeBytes(0x20000 + 4096 * page, new Uint8Array(512).fill(page + 1));
        for (const [i, { opcode, page, lba }] of batch.entries())
          memory.writeBytes(IO_SQ + 64 * i, entry(i, opcode, { 4: 1, 24: 0x20000 + 4096 * page, 40: lba }));
        execute(
          accessRecord({ kind: KIND.write, function: BDF, region: 0, offset: 0x1008, width: 4, value: batch.length }),
        );
      }
      const [a, b] = [late, atHand].map(({ memory }) => Buffer.from(memory.readBytes(ADMIN_SQ, 0x14000)));
      expect(a.equals(b)).toBe(true);
      expect(late.arena.explainDifference(session.snapshot().functions[0])).toBeUndefined();
      expect(a.readUInt16LE(0x16000 - ADMIN_SQ + 16 * (batch.length - 1) + 14) & 1).toBe(1);
    }),
    {
      numRuns: 100,
      // a comparison whose block a later command of the batch changes
      examples: [[[5, 1, 0].map((opcode) => ({ opcode, page: 3, lba: 5 }))]],
    },
  ));
