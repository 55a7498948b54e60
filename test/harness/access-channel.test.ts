import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AccessChannel, MAX_BACKLOG_BYTES } from '../../src/harness/access-channel.ts';
import { dmaAnswer } from '../../src/harness/access-execute.ts';
import {
  type AccessRecord,
  ANSWER,
  accessRecord,
  encodeRecord,
  joinWords,
  KIND,
  MAX_DATA_BYTES,
  REGION,
  RecordReader,
  STATUS,
} from '../../src/harness/access-record.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';
import { Session } from '../../src/harness/session.ts';
import { SparseMemory } from '../../src/harness/sparse-memory.ts';
import { BDF, enableRequests, identifyCommand, ring } from './nvme-script.ts';

const RECIPE = { kind: 'nvme', bdf: BDF, queuePairs: 4, vectors: 5, sizeBytes: 1 << 20 } as const;

/** A client with memory of its own that answers DMA reads when told to. */
class Client {
  readonly memory = new SparseMemory();
  readonly received: AccessRecord[] = [];
  readonly owed: AccessRecord[] = [];
  readonly channel: AccessChannel;
  failure: string | undefined;
  ready = true;
  readonly #reader = new RecordReader();

  constructor(target: ConstructorParameters<typeof AccessChannel>[0]) {
    this.channel = new AccessChannel(target, {
      send: (bytes) => this.#take(bytes),
      fail: (reason) => {
        this.failure = reason;
      },
      ready: () => this.ready,
    });
  }

  send(...records: AccessRecord[]): void {
    for (const record of records) this.channel.receive(encodeRecord(record));
  }

  /** Answers all DMA reads until none is left. */
  serve(): void {
    while (this.owed.length > 0) this.answerOne();
  }

  answerOne(): void {
    const read = this.owed.shift()!;
    const address = joinWords(read.offsetLo, read.offsetHi);
    this.send(dmaAnswer(read, this.memory.readBytes(address, joinWords(read.valueLo, read.valueHi))));
  }

  take(): AccessRecord[] {
    return this.received.splice(0);
  }

  #take(bytes: Uint8Array): void {
    this.#reader.push(bytes);
    for (let record = this.#reader.next(); record; record = this.#reader.next()) {
      this.received.push(record);
      if (record.kind === KIND.dmaRead) this.owed.push(record);
      if (record.kind === KIND.dmaWrite)
        this.memory.writeBytes(joinWords(record.offsetLo, record.offsetHi), record.data!);
    }
  }
}

function open() {
  const hosted = hostFunction(RECIPE);
  const target = { functions: functionMap([hosted]) };
  return { hosted, target, client: new Client(target) };
}

const read = (region: number, offset: number, width: number, fn = BDF) =>
  accessRecord({ kind: KIND.read, function: fn, region, offset, width });
const kinds = (records: AccessRecord[]) => records.map((r) => r.kind);
const vectorEntry = (vector: number, address: number, data: number) =>
  [
    [0, address],
    [4, 0],
    [8, data],
    [12, 0],
  ].map(([at, value]) =>
    accessRecord({ kind: KIND.write, function: BDF, region: 0, offset: 0x2000 + 16 * vector + at, width: 4, value }),
  );

describe('accesses', () => {
  test('every width reads; eight bytes are low and high word', () => {
    const { client } = open();
    client.send(read(7, 0, 1), read(7, 0, 2), read(7, 0, 4), read(0, 0, 8), read(0, 0, 4), read(0, 4, 4));
    const [byte, word, dword, both, lo, hi] = client.take();
    expect([byte.valueLo, word.valueLo, dword.valueLo]).toEqual([0x34, 0x1234, 0x4e561234]);
    expect([both.valueLo, both.valueHi]).toEqual([lo.valueLo, hi.valueLo]);
    expect(both.status).toBe(STATUS.ok);
  });

  test('nobody there: configuration space reads all ones, a BAR cannot be', () => {
    const { client } = open();
    client.send(read(7, 0, 4, 0x28), read(7, 0, 8, 0x28), read(7, 0, 2, 0x28), read(0, 0, 4, 0x28));
    expect(client.take().map((r) => [r.status, r.valueLo, r.valueHi])).toEqual([
      [0, 0xffffffff, 0],
      [0, 0xffffffff, 0xffffffff],
      [0, 0xffff, 0],
      [STATUS.noDevice, 0, 0],
    ]);
  });

  test('what cannot be is EINVAL and leaves no trace; what follows is carried out', () => {
    const { client, hosted } = open();
    const before = hosted.arena.snapshot();
    const bad = [
      read(7, 0, 3),
      read(7, 0, 0),
      read(7, 0, 16),
      read(8, 0, 4),
      read(1, 0, 4),
      read(9, 0, 4),
      read(255, 0, 4),
      accessRecord({ kind: 9 }),
      accessRecord({ kind: 0x7f, function: BDF }),
      accessRecord({ kind: ANSWER | KIND.message }),
      accessRecord({ kind: KIND.message, function: BDF }),
      accessRecord({ kind: KIND.intx, function: BDF }),
      accessRecord({ kind: KIND.dmaRead, function: BDF, value: 64 }),
      accessRecord({ kind: KIND.dmaWrite, function: BDF, data: new Uint8Array(30) }),
      accessRecord({ kind: KIND.reset, function: BDF, value: 2 }),
      accessRecord({ kind: KIND.raise, function: BDF, offset: 32 }),
      accessRecord({ kind: KIND.raise, function: BDF, offset: 1n << 40n }),
      accessRecord({ kind: KIND.raise, function: BDF, value: 7 }),
    ];
    client.send(...bad, read(7, 0, 2));
    const answers = client.take();
    expect(answers.slice(0, -1).map((r) => r.status)).toEqual(bad.map(() => STATUS.invalid));
    expect(kinds(answers)).toEqual([...bad, read(7, 0, 2)].map((r) => r.kind | ANSWER));
    expect(answers.at(-1)!.valueLo).toBe(0x1234);
    expect(hosted.arena.equals(before)).toBe(true);
  });

  test('offsets at the extremes read all ones and write nothing', () => {
    const { client, hosted } = open();
    const before = hosted.arena.snapshot();
    for (const region of [0, 7])
      for (const offset of [0xffffffffn, 1n << 32n, (1n << 53n) - 1n, (1n << 64n) - 1n])
        for (const width of [1, 2, 4, 8]) {
          client.send(
            accessRecord({ kind: KIND.write, function: BDF, region, offset, width, value: (1n << 64n) - 1n }),
          );
          client.send(accessRecord({ kind: KIND.read, function: BDF, region, offset, width }));
          const value = client.take()[1];
          expect([value.valueLo, value.valueHi]).toEqual([
            width >= 4 ? 0xffffffff : 2 ** (8 * width) - 1,
            width === 8 ? 0xffffffff : 0,
          ]);
        }
    expect(hosted.arena.equals(before)).toBe(true);
  });

  test('a raised vector is told before the answer; reset takes everything back', () => {
    const { client, hosted } = open();
    client.send(accessRecord({ kind: KIND.reset, function: BDF }));
    client.take();
    const fresh = hosted.arena.snapshot();
    client.send(
      accessRecord({ kind: KIND.write, function: BDF, region: REGION.config, offset: 4, width: 2, value: 6 }),
    );
    const cap = hosted.fn.msix!.at;
    client.send(accessRecord({ kind: KIND.write, function: BDF, region: 7, offset: cap + 2, width: 2, value: 0x8000 }));
    client.send(...vectorEntry(3, 0xfee0_1000, 0x4041));
    expect(hosted.fn.msix!.tableOffset).toBe(0x2000);
    client.take();
    client.send(accessRecord({ kind: KIND.raise, function: BDF, offset: 3 }));
    const [message, answer] = client.take();
    expect(message).toMatchObject({ kind: KIND.message, function: BDF, offsetLo: 0xfee01000, valueLo: 0x4041 });
    expect(answer).toMatchObject({ kind: KIND.raise | ANSWER, status: 0, offsetLo: 3 });
    client.send(accessRecord({ kind: KIND.reset, function: BDF }));
    expect(kinds(client.take())).toEqual([KIND.reset | ANSWER]);
    expect(hosted.arena.explainDifference(fresh)).toBeUndefined();
  });

  test('INTx rises with raise and falls with its end', () => {
    const { client } = open();
    client.send(
      accessRecord({ kind: KIND.raise, function: BDF }),
      accessRecord({ kind: KIND.raise, function: BDF, value: 1 }),
    );
    expect(client.take().map((r) => [r.kind, r.offsetLo, r.valueLo])).toEqual([
      [KIND.intx, 1, 1],
      [KIND.raise | ANSWER, 0, 0],
      [KIND.intx, 1, 0],
      [KIND.raise | ANSWER, 0, 0],
    ]);
  });

  test('hypercalls go to their handler; without one they are ENOSYS', () => {
    const { client, target } = open();
    const call = accessRecord({ kind: KIND.hypercall, offset: (33n << 32n) | 13n, data: Uint8Array.of(1, 2, 3) });
    client.send(call);
    expect(client.take()[0]).toMatchObject({ status: STATUS.noHypercalls, valueLo: 0, data: new Uint8Array(0) });
    const able = new Client({
      ...target,
      hypercall: (nr, cmd, bytes) => ({ ret: -nr - cmd, bytes: bytes.map((b) => b + 1) }),
    });
    able.send(call);
    const answer = able.take()[0];
    expect(answer).toMatchObject({ status: 0, offsetHi: 0xffffffff, valueLo: 3, data: Uint8Array.of(2, 3, 4) });
    expect(answer.offsetLo | 0).toBe(-46);
  });
});

describe('DMA', () => {
  test('a doorbell reads its command and writes data and completion before it is answered', () => {
    const { client } = open();
    client.send(...enableRequests(0x10000));
    client.memory.writeBytes(0x10000, identifyCommand(7, 0x20000));
    client.take();
    client.send(ring(1));
    expect(client.take().map((r) => [r.kind, r.offsetLo, r.valueLo])).toEqual([[KIND.dmaRead, 0x10000, 64]]);
    client.serve();
    expect(client.take().map((r) => [r.kind, r.offsetLo, r.valueLo])).toEqual([
      [KIND.dmaWrite, 0x20000, 4096],
      [KIND.dmaWrite, 0x11000, 16],
      [KIND.write | ANSWER, 0x1000, 0],
    ]);
    expect(client.memory.readBytes(0x1100c, 4)).toEqual(Uint8Array.of(7, 0, 1, 0));
  });

  test('requests behind it wait, and those of other clients do not', () => {
    const { client, target } = open();
    client.send(...enableRequests(0x10000));
    client.memory.writeBytes(0x10000, identifyCommand(1, 0x20000));
    client.take();
    client.send(ring(1), read(7, 0, 4));
    expect(kinds(client.take())).toEqual([KIND.dmaRead]);
    const other = new Client(target);
    other.send(
      read(7, 0, 4),
      accessRecord({ kind: KIND.write, function: BDF, region: 7, offset: 0x3c, width: 1, value: 9 }),
    );
    expect(kinds(other.take())).toEqual([KIND.read | ANSWER, KIND.write | ANSWER]);
    client.serve();
    expect(kinds(client.take())).toEqual([KIND.dmaWrite, KIND.dmaWrite, KIND.write | ANSWER, KIND.read | ANSWER]);
    other.send(read(7, 0x3c, 1));
    expect(other.take()[0].valueLo).toBe(9);
  });

  test('a client that goes away fails its transfers; the function goes on', () => {
    const { client, target, hosted } = open();
    client.send(...enableRequests(0x10000), ring(1));
    client.channel.close();
    expect(hosted.fn.effects).toEqual([]);
    const next = new Client(target);
    next.send(accessRecord({ kind: KIND.reset, function: BDF }), ...enableRequests(0x10000));
    next.memory.writeBytes(0x10000, identifyCommand(1, 0x20000));
    next.send(ring(1));
    next.serve();
    expect(next.memory.readBytes(0x1100e, 2)).toEqual(Uint8Array.of(1, 0));
  });

  test('a client that only stops sending gets its answers, transfers failed', () => {
    const { client } = open();
    client.send(...enableRequests(0x10000), ring(1), read(7, 0, 2));
    client.take();
    expect(client.channel.finish()).toBe(0);
    expect(kinds(client.take())).toEqual([KIND.write | ANSWER, KIND.read | ANSWER]);
  });

  test('answers nobody asked for, of the wrong size, and requests without end close the conversation', () => {
    const answer = (length: number) =>
      accessRecord({ kind: KIND.dmaRead | ANSWER, function: BDF, data: new Uint8Array(length) });
    const stray = open().client;
    stray.send(answer(64));
    expect(stray.failure).toContain('nobody asked for');
    const short = open().client;
    short.send(...enableRequests(0x10000), ring(1), answer(63));
    expect(short.failure).toContain('answered with 63');
    const flood = open().client;
    flood.send(...enableRequests(0x10000), ring(1));
    const many = new Uint8Array(MAX_BACKLOG_BYTES + 48);
    flood.channel.receive(many);
    expect(flood.failure).toContain('DMA read waits');
  });

  test('a record with too much data is answered EMSGSIZE, after what came before it', () => {
    const { client } = open();
    client.send(read(7, 0, 2), { ...accessRecord({ kind: KIND.hypercall }), valueLo: MAX_DATA_BYTES + 1 });
    expect(client.take().map((r) => r.status)).toEqual([STATUS.ok, STATUS.tooLong]);
    expect(client.failure).toContain('65536');
  });

  test('nothing is carried out for a client that does not read', () => {
    const { client } = open();
    client.ready = false;
    client.send(read(7, 0, 2));
    expect(client.take()).toEqual([]);
    client.ready = true;
    client.channel.resume();
    expect(client.take()).toHaveLength(1);
  });

  test('memory that answers late and memory at hand give the same, whatever is read and written', () =>
    fc.assert(
      fc.property(fc.array(commandArb, { minLength: 1, maxLength: 7 }), (commands) => {
        const { client, hosted } = open();
        const session = new Session({ devices: [RECIPE] });
        const memory = session.memory as SparseMemory;
        for (const [i, command] of commands.entries()) {
          const entry = command(i);
          client.memory.writeBytes(0x10000 + 64 * i, entry);
          memory.writeBytes(0x10000 + 64 * i, entry);
        }
        for (const request of [...enableRequests(0x10000), ring(commands.length)]) {
          client.send(request);
          client.serve();
          session.execute(request);
        }
        expect(client.channel.isBusy).toBe(false);
        expect(hosted.arena.explainDifference(session.snapshot().functions[0])).toBeUndefined();
        const [late, atHand] = [client.memory, memory].map((m) => Buffer.from(m.readBytes(0x10000, 0x14000)));
        expect(late.equals(atHand)).toBe(true);
      }),
      { numRuns: 50 },
    ));
});

/** Admin commands that read, write and do neither: Identify, Set Features of a data structure, Get Log Page, rubbish. */
const commandArb = fc
  .record({
    opcode: fc.constantFrom(0x06, 0x02, 0x09, 0x0a, 0x0c, 0x80, 0x7f),
    page: fc.constantFrom(0x20000, 0x21000, 0x22800, 0x10000),
    cdw10: fc.constantFrom(0, 1, 2, 3, 0x0c, 0x0e, 0x02000001),
  })
  .map(({ opcode, page, cdw10 }) => (cid: number) => {
    const entry = new DataView(new ArrayBuffer(64));
    entry.setUint32(0, opcode | (cid << 16), true);
    entry.setUint32(24, page, true);
    entry.setUint32(32, page + 0x1000, true);
    entry.setUint32(40, cdw10, true);
    return new Uint8Array(entry.buffer);
  });
