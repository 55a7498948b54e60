import { describe, expect, test } from 'vitest';
import { imageSpec } from '../../src/fuzz/images.ts';
import { getTarget } from '../../src/fuzz/targets/index.ts';
import { OP } from '../../src/fuzz/targets/socket-steps.ts';
import { AccessChannel } from '../../src/harness/access-channel.ts';
import { ANSWER, accessRecord, encodeRecord, KIND, REGION, RecordReader } from '../../src/harness/access-record.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';
import { createFunction } from '../../src/pci/index.ts';

const NVME = 0x20;

/** What the fuzzer found in the model, each as it was shrunk. */

test('config: a power state that the function does not have is not entered (PM 1.2 §3.2.4)', () => {
  const f = createFunction(imageSpec({ name: 'no D1, no D2', pm: 0x0003 }));
  f.writeConfig(0x44, 1, 2);
  expect(f.readConfig(0x44, 1)).toBe(0);
  f.writeConfig(0x44, 1, 3);
  f.writeConfig(0x44, 1, 1);
  expect(f.readConfig(0x44, 1)).toBe(3);
  const all = createFunction(imageSpec({ name: 'D1 and D2', pm: 0x0603 }));
  all.writeConfig(0x44, 1, 2);
  expect(all.readConfig(0x44, 1)).toBe(2);
});

test.each([
  ['32 bit', 0x200, 0x5a],
  ['64 bit', 0x280, 0x5e],
])('msi: extended data without masks is there and is sent, %s (PCIe 5.0 §7.7.1.7)', (_, ctrl, at) => {
  const f = createFunction(imageSpec({ name: 'extended data', msi: ctrl }));
  f.writeConfig(0x04, 2, 4);
  f.writeConfig(at - 2, 4, 0x1234_5678);
  expect(f.readConfig(at, 2)).toBe(0x1234);
  f.writeConfig(0x52, 2, 0x0401);
  f.raise(0);
  expect(f.effects).toMatchObject([{ kind: 'message', data: 0x1234_5678 }]);
});

describe('socket: a record takes effect before the next is looked at, however the bytes are cut', () => {
  const write = encodeRecord(
    accessRecord({ kind: KIND.write, function: NVME, region: REGION.config, offset: 0x3c, width: 1, value: 7 }),
  );
  const unasked = encodeRecord(accessRecord({ kind: KIND.dmaRead | ANSWER, data: new Uint8Array(0) }));
  const bell = encodeRecord(
    accessRecord({ kind: KIND.write, function: NVME, region: REGION.bar0, offset: 0x1000, width: 4, value: 1 }),
  );
  const fetched = encodeRecord(accessRecord({ kind: KIND.dmaRead | ANSWER, data: new Uint8Array(64) }));
  const tooLong = encodeRecord(accessRecord({ kind: KIND.hypercall, value: 65537 }));

  /** Kinds of the records that came out, and why the conversation ended. */
  function talk(cut: 'joined' | 'apart', ...records: Uint8Array[]) {
    const hosted = hostFunction({ kind: 'nvme', bdf: NVME, queuePairs: 2 });
    const out: number[] = [];
    let end: string | undefined;
    const channel = new AccessChannel(
      { functions: functionMap([hosted]) },
      {
        send(bytes) {
          const reader = new RecordReader();
          reader.push(bytes);
          for (let r = reader.next(); r; r = reader.next()) out.push((r.kind << 8) | r.status);
        },
        fail: (why) => (end = why),
      },
    );
    for (const [at, value] of [
      [0x24, 0x70007],
      [0x28, 0x10000],
      [0x30, 0x11000],
      [0x14, 0x460001],
    ])
      hosted.fn.writeBar(0, at, 4, value);
    hosted.fn.writeConfig(4, 2, 0x406);
    for (const chunk of cut === 'joined' ? [Buffer.concat(records)] : records) channel.receive(chunk);
    return { out, end };
  }

  test.each([
    ['a request before a DMA answer that nobody asked for', [write, unasked], [0x8100], /nobody asked for/],
    ['a request and the answer to the read that it makes', [bell, fetched], [0x0700, 0x0800, 0x8100], undefined],
    ['a request that waits before a record that is too long', [bell, tooLong], [0x0700, 0x8100, 0x865a], /claims/],
  ])('%s', (_, records, kinds, end) => {
    for (const cut of ['apart', 'joined'] as const) {
      const result = talk(cut, ...records);
      expect(result.out).toEqual(kinds);
      if (end) expect(result.end).toMatch(end);
      else expect(result.end).toBeUndefined();
    }
  });
});

test('socket oracle: requests beyond the limit end the conversation though the answer comes in the same piece', async () => {
  const target = await getTarget('socket');
  const subject = target.open(3);
  const step = (op: number, cut: number, count: number, bytes: Uint8Array) => ({ client: 0, op, cut, count, bytes });
  const bell = Buffer.from('010004003000000008100000000000000400000000000000', 'hex');
  const hypercall = new Uint8Array(65544);
  hypercall.set(Buffer.from('06ffff00000000000000000021000000d9ff000000000000', 'hex'));
  subject.begin();
  // 16 of them are 128 bytes more than the server keeps while it waits for its read
  const steps = [step(OP.send, 0, 1, bell), step(OP.send, 1, 16, hypercall), step(OP.answer, 0, 0, new Uint8Array(0))];
  expect(steps.map((s) => subject.run(s)).find((broken) => broken)).toBeUndefined();
  expect(subject.finish()).toBeUndefined();
});
