import { closeSync, openSync, writeSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { access, Client, dmaMap, dmaUnmap, message, u32s, version } from './client.ts';
import { openDescriptors, serveNvme, transports, until } from './setup.ts';

const { available, reason } = transports();

test('a way to pass descriptors is there', (ctx) => {
  if (available.length === 0) ctx.skip(`no way to pass descriptors: ${reason}`);
  expect(available.length).toBeGreaterThan(0);
});

const u32 = fc.oneof(
  fc.constantFrom(0, 1, 2, 4, 7, 8, 9, 16, 20, 32, 4096, 0x100000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff),
  fc.nat({ max: 0xffffffff }),
);

/** Payloads of the right shape with any numbers in them, and of any shape. */
const payload = fc.oneof(
  fc.array(u32, { maxLength: 12 }).map((values) => u32s(...values)),
  fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
  fc
    .tuple(u32, u32, fc.nat({ max: 10 }), fc.nat({ max: 5000 }), fc.uint8Array({ maxLength: 40 }))
    .map(([lo, hi, r, n, d]) => Buffer.concat([u32s(lo, hi, r, n), d])),
  fc.constantFrom(
    dmaMap({ address: 0n, size: 4096n }),
    dmaUnmap(0n, 0n, 2),
    Buffer.concat([u32s(20, 0x24, 2, 0, 2)]),
    Buffer.concat([access(0x14, 0, 4), u32s(0x00460001)]),
  ),
);
const command = fc.oneof(fc.integer({ min: 1, max: 18 }), fc.nat({ max: 0xffff }));
const flags = fc.constantFrom(0, 0, 0, 0, 0x10);

describe.each(available)('hostile clients over the $kind', (sockets) => {
  let served: ReturnType<typeof serveNvme>;

  beforeEach(() => {
    served = serveNvme(sockets);
  });

  afterEach(() => served.close());

  test('messages split anywhere or run together, with descriptors, get the same replies', async () => {
    const client = await Client.open(sockets, served.path);
    const spare = sockets.eventfd();
    const before = openDescriptors();
    const requests = [
      { command: 9, payload: access(0, 7, 64), fds: [] },
      { command: 8, payload: u32s(20, 0x24, 2, 0, 2), fds: [spare, spare] },
      { command: 9, payload: access(8, 0, 4), fds: [] },
      { command: 8, payload: u32s(20, 0x24, 2, 2, 1), fds: [spare] },
      { command: 2, payload: dmaMap({ address: 0x10000n, size: 0x1000n }), fds: [] },
      { command: 3, payload: dmaUnmap(0x10000n, 0x1000n), fds: [] },
      { command: 9, payload: access(5000, 7, 4), fds: [] },
    ];
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 60 }), async (cuts) => {
        let turn = 0;
        const replies = requests.map(({ command, payload, fds }) =>
          client.request(command, payload, fds, (bytes, first) => {
            for (let from = 0; from < bytes.length; ) {
              const to = Math.min(bytes.length, from + cuts[turn++ % cuts.length]);
              client.sendRaw(bytes.subarray(from, to), from === 0 ? first : []);
              from = to;
            }
          }),
        );
        const got = await Promise.all(replies);
        expect(got.map((r) => r.errno)).toEqual([0, 0, 0, 0, 0, 0, 22]);
        expect(got[0].payload.length).toBe(80);
        expect(openDescriptors()).toBe(before + 3);
      }),
      { numRuns: 60 },
    );
    const joined = Buffer.concat(Array.from({ length: 100 }, (_, i) => message(60000 + i, 9, access(i, 7, 1))));
    const last = client.expect(60099);
    client.sendRaw(joined);
    expect((await last).payload.readUInt32LE(0)).toBe(99);
    client.close();
    await until(() => openDescriptors() === before - 2);
    closeSync(spare);
  });

  test('any message is answered or ends the connection with one line; nothing is left over', async () => {
    const file = openSync('/dev/null', 'r');
    const event = sockets.eventfd();
    const before = openDescriptors();
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(command, payload, flags, fc.nat({ max: 3 })), { minLength: 1, maxLength: 20 }),
        async (messages) => {
          served.log.length = 0;
          const client = await Client.open(sockets, served.path);
          messages.forEach(([command, payload, flags, count], i) => {
            const fds = [event, file, event].slice(0, count);
            client.sendRaw(message(i, command, payload, flags), fds);
          });
          const end = client.expect(50000);
          client.sendRaw(message(50000, 9, access(0, 7, 4)));
          await Promise.race([end, client.ended]);
          expect(served.log.length).toBeLessThanOrEqual(1);
          client.close();
          await until(() => openDescriptors() === before);
        },
      ),
      { numRuns: 150 },
    );
    closeSync(file);
    closeSync(event);
  });

  test.each([
    ['a size below the header', message(1, 9).fill(15, 4, 5)],
    ['a size beyond the limit', Buffer.concat([message(1, 9).fill(0xff, 4, 8), Buffer.alloc(100)])],
    ['a type that is none', message(1, 9, Buffer.alloc(0), 2)],
    ['a reply to nothing', message(1, 11, Buffer.alloc(16), 1)],
  ])('%s ends the connection with one line', async (_, bytes) => {
    const client = await Client.open(sockets, served.path);
    client.sendRaw(bytes);
    await client.ended;
    expect(served.log).toHaveLength(1);
    expect(served.log[0]).toMatch(/^PATH: client 1: .*; connection closed$/);
  });

  test('more descriptors with one unfinished message than any message can have', async () => {
    const client = await Client.open(sockets, served.path);
    const event = sockets.eventfd();
    const before = openDescriptors();
    const bytes = message(1, 8, Buffer.alloc(1000));
    for (let i = 0; i < 300 && served.log.length === 0; i += client.trySend(bytes.subarray(i, i + 1), [event]))
      await new Promise((resolve) => setImmediate(resolve));
    await client.ended;
    expect(served.log).toEqual(['PATH: client 1: more than 253 descriptors with one message; connection closed']);
    expect(openDescriptors()).toBe(before - 2);
    closeSync(event);
  });

  test('a client that does not read is not read either, and gets every reply in order once it does', async () => {
    const client = await Client.open(sockets, served.path);
    client.stopReading();
    const one = message(0, 9, access(0, 7, 4096));
    let sent = 0;
    let refusals = 0;
    // the server takes what its socket buffer and its own bound hold, then no more
    while (refusals < 50) {
      const stamped = Buffer.from(one);
      stamped.writeUInt16LE(sent & 0xffff, 0);
      const took = client.sendSome(stamped);
      if (took === one.length) sent++;
      else {
        expect(took).toBe(-11);
        refusals++;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    }
    expect(sent).toBeGreaterThan(100);
    const replies = Array.from({ length: sent }, (_, i) => client.expect(i & 0xffff));
    client.resumeReading();
    const all = await Promise.all(replies);
    expect(all.every((r) => !r.failed && r.payload.length === 16 + 4096)).toBe(true);
    client.close();
  });

  test('an eventfd that is full holds nobody up', async () => {
    const client = await Client.open(sockets, served.path);
    const event = sockets.eventfd();
    writeSync(event, Buffer.from('feffffffffffffff', 'hex'));
    await client.setIrqs(0x24, 2, 0, 1, [event]);
    await client.setIrqs(0x21, 2, 0, 1);
    expect(await client.read32(7, 8)).toBe(0x01080201);
    client.close();
    closeSync(event);
  });

  test('hundreds of clients in a row leave nothing behind', async () => {
    const before = openDescriptors();
    for (let i = 0; i < 300; i++) {
      const client = new Client(sockets, served.path);
      if (i % 3 === 0) client.sendRaw(message(1, 1, version({})).subarray(0, i % 40));
      client.close();
      if (i % 50 === 0) (await Client.open(sockets, served.path)).close(); // served when all before it are gone
    }
    const client = await Client.open(sockets, served.path);
    expect(await client.read32(7, 8)).toBe(0x01080201);
    client.close();
    await until(() => openDescriptors() === before);
    expect(served.log).toEqual([]);
  });
});
