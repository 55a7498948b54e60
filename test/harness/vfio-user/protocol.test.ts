import { closeSync, ftruncateSync, openSync, readSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { access, Client, dmaMap, dmaUnmap, message, u32s, version } from './client.ts';
import { openDescriptors, serveNvme, transports, until } from './setup.ts';

const { available, reason } = transports();
const EINVAL = 22;

test('descriptors can be passed over sockets here', (ctx) => {
  if (available.length === 0) ctx.skip(`no way to pass descriptors: ${reason}`);
  expect(available.length).toBeGreaterThan(0);
});

/** Refused with this errno, and the connection lives. */
async function refused(client: Client, command: number, payload: Uint8Array, errno = EINVAL, fds: number[] = []) {
  const reply = await client.request(command, payload, fds);
  expect([reply.failed, reply.errno, reply.payload.length]).toEqual([true, errno, 0]);
}

describe.each(available)('vfio-user over the $kind', (sockets) => {
  let served: ReturnType<typeof serveNvme>;
  let client: Client;

  beforeEach(async () => {
    served = serveNvme(sockets);
    client = await Client.open(sockets, served.path);
  });

  afterEach(() => {
    client.close();
    served.close();
  });

  /** A descriptor that takes its 8 bytes without waiting, and its count so far. */
  const counted = () => {
    const fd = sockets.eventfd();
    const count = () => {
      const bytes = Buffer.alloc(8);
      try {
        readSync(fd, bytes);
      } catch {
        return 0; // EAGAIN: nothing since the last time
      }
      return Number(bytes.readBigUInt64LE());
    };
    return { fd, count };
  };

  test('the socket is private to its owner', () => {
    expect(statSync(served.path).mode & 0o777).toBe(0o600);
  });

  test('VERSION: nothing wider than proposed, and short enough for QEMU', async () => {
    client.close();
    client = new Client(sockets, served.path);
    const proposal = {
      capabilities: {
        max_msg_fds: 8,
        max_data_xfer_size: 4096,
        pgsizes: 4096,
        max_dma_maps: 100,
        write_multiple: true,
        migration: { pgsize: 4096, max_bitmap_size: 268435456 },
        something_new: [1],
      },
    };
    const { payload } = await client.request(1, version(proposal, 0, 3));
    expect(payload.subarray(0, 4)).toEqual(Buffer.alloc(4));
    expect(payload.at(-1)).toBe(0);
    expect(16 + payload.length).toBeLessThan(214);
    expect(JSON.parse(payload.subarray(4, -1).toString())).toEqual({
      capabilities: {
        max_msg_fds: 8,
        max_data_xfer_size: 4096,
        pgsizes: 4096,
        max_dma_maps: 100,
        write_multiple: true,
      },
    });
    await refused(client, 1, version(proposal));
  });

  test.each([
    ['another major version', version({}, 1)],
    ['no NUL', version('{}')],
    ['no JSON', version('{\0')],
    ['no object', version([])],
    ['a number that is text', version({ capabilities: { max_msg_fds: '8' } })],
    ['nothing', Buffer.alloc(3)],
  ])('VERSION with %s ends the connection with one line', async (_, payload) => {
    client.close();
    client = new Client(sockets, served.path);
    const reply = client.request(1, payload);
    expect((await reply).errno).toBe(EINVAL);
    await client.ended;
    expect(served.log).toHaveLength(1);
  });

  test('anything before VERSION ends the connection', async () => {
    client.close();
    client = new Client(sockets, served.path);
    client.sendRaw(message(1, 13));
    await client.ended;
    expect(served.log).toEqual(['PATH: client 2: command 13 before VERSION; connection closed']);
  });

  test('device, regions and interrupts are described as VFIO does', async () => {
    expect((await client.request(4, u32s(16, 0, 0, 0))).payload).toEqual(u32s(16, 3, 9, 5));
    expect((await client.request(4, u32s(20, 0, 0, 0, 0))).payload).toEqual(u32s(16, 3, 9, 5));
    const sizes = [];
    for (let index = 0; index < 9; index++) {
      const { payload } = await client.request(5, u32s(32, 0, index, 0, 0, 0, 0, 0));
      expect([payload.readUInt32LE(0), payload.readUInt32LE(8), payload.readUInt32LE(12)]).toEqual([32, index, 0]);
      sizes.push([payload.readUInt32LE(4), Number(payload.readBigUInt64LE(16))]);
    }
    const none = [0, 0];
    expect(sizes).toEqual([[3, 0x4000], none, none, none, none, none, none, [3, 4096], none]);
    const irqs = [];
    for (let index = 0; index < 5; index++) {
      const { payload } = await client.request(7, u32s(16, 0, index, 0));
      irqs.push([payload.readUInt32LE(4), payload.readUInt32LE(12)]);
    }
    expect(irqs).toEqual([
      [7, 1],
      [9, 32],
      [9, 5],
      [1, 1],
      [1, 1],
    ]);
    expect((await client.request(6, u32s(16, 0, 0, 0))).payload).toEqual(u32s(16, 0, 0, 0));
    await refused(client, 4, u32s(12, 0, 0, 0));
    await refused(client, 5, u32s(32, 0, 9, 0, 0, 0, 0, 0));
    await refused(client, 5, u32s(31, 0, 0, 0, 0, 0, 0, 0));
    await refused(client, 6, u32s(16, 0, 9, 0));
    await refused(client, 7, u32s(16, 0, 5, 0));
  });

  test('regions are read and written at any width', async () => {
    expect(await client.read32(7, 8)).toBe(0x01080201);
    const all = await client.read(7, 0, 4096);
    expect(all.readUInt32LE(8)).toBe(0x01080201);
    expect(await client.read(7, 9, 3)).toEqual(Buffer.from([2, 8, 1]));
    expect(await client.read(0, 8, 4)).toEqual(Buffer.from([0, 4, 1, 0])); // version 1.4
    await client.write(7, 0x3c, Buffer.from([11]));
    expect((await client.read(7, 0x3c, 1))[0]).toBe(11);
    await client.write(0, 0x28, Buffer.from('0010000078563412', 'hex'));
    expect(await client.read(0, 0x28, 8)).toEqual(Buffer.from('0010000078563412', 'hex'));
    expect(await client.read(7, 4096, 0)).toEqual(Buffer.alloc(0));
  });

  test('region accesses beyond anything are refused', async () => {
    const top = 2n ** 64n - 1n;
    await refused(client, 9, access(4093, 7, 4));
    await refused(client, 9, access(top, 7, 1));
    await refused(client, 9, access(top - 2n, 7, 4));
    await refused(client, 9, access(2n ** 53n + 1n, 0, 4));
    await refused(client, 9, access(0, 1, 4));
    await refused(client, 9, access(0, 8, 1));
    await refused(client, 9, access(0, 9, 1));
    await refused(client, 9, access(0, 0xffffffff, 0xffffffff));
    await refused(client, 9, access(0, 7, (1 << 20) + 1));
    await refused(client, 9, Buffer.concat([access(0, 7, 4), Buffer.alloc(1)]));
    await refused(client, 10, Buffer.concat([access(4093, 7, 4), Buffer.alloc(4)]));
    await refused(client, 10, Buffer.concat([access(4, 7, 4), Buffer.alloc(3)]));
    await refused(client, 10, access(top, 7, 0));
  });

  test('REGION_WRITE_MULTI carries out entries up to the first bad one', async () => {
    const entry = (offset: number, data: number, count = 4) => Buffer.concat([access(offset, 0, count), u32s(data, 0)]);
    const multi = (n: number, ...entries: Buffer[]) => Buffer.concat([u32s(n, 0), ...entries]);
    const done = await client.request(15, multi(2, entry(0x28, 0x1000), entry(0x30, 0x2000)));
    expect(done.payload).toEqual(u32s(2, 0));
    expect([await client.read32(0, 0x28), await client.read32(0, 0x30)]).toEqual([0x1000, 0x2000]);
    const half = await client.request(15, multi(3, entry(0x28, 0x3000), entry(0x4000, 0), entry(0x30, 0x4000)));
    expect(half.payload).toEqual(u32s(1, 0));
    expect([await client.read32(0, 0x28), await client.read32(0, 0x30)]).toEqual([0x3000, 0x2000]);
    await refused(client, 15, multi(2, entry(0x28, 0)));
    await refused(client, 15, multi(1, entry(0x28, 0, 9)));
    await refused(client, 15, u32s(0xffffffff, 0xffffffff));
    client.close();
    client = await Client.open(sockets, served.path, {});
    await refused(client, 15, multi(1, entry(0x28, 0x1000)));
  });

  test('commands without reply get none, and are carried out before what follows', async () => {
    const write = Buffer.concat([access(0x3c, 7, 1), Buffer.from([77])]);
    client.sendRaw(message(500, 10, write, 0x10));
    client.sendRaw(message(501, 999, Buffer.alloc(0), 0x10));
    expect((await client.read(7, 0x3c, 1))[0]).toBe(77);
  });

  test('unknown commands and features are refused', async () => {
    for (const command of [0, 14, 19, 999, 0xffff, 17, 18]) await refused(client, command, Buffer.alloc(16));
    for (const flags of [0x10001, 0x20002, 0x40006, 0x50007, 0x30001]) await refused(client, 16, u32s(8, flags));
    await refused(client, 16, Buffer.alloc(2));
  });

  test('INTx: one signal until unmasked, again while the level lasts', async () => {
    const line = counted();
    expect((await client.setIrqs(0x24, 0, 0, 1, [line.fd])).failed).toBe(false);
    served.fn.raise(0);
    await client.read32(7, 0);
    expect(line.count()).toBe(1);
    await client.read32(7, 0);
    expect(line.count()).toBe(0);
    await client.setIrqs(0x11, 0, 0, 1);
    await client.read32(7, 0);
    expect(line.count()).toBe(1);
    served.fn.lower();
    await client.setIrqs(0x11, 0, 0, 1);
    await client.read32(7, 0);
    expect(line.count()).toBe(0);
    await client.write(7, 4, Buffer.from([0, 4])); // INTx Disable
    served.fn.raise(0);
    await client.read32(7, 0);
    expect(line.count()).toBe(0);
    closeSync(line.fd);
  });

  test('MSI-X: a vector raised before it has an eventfd is told when it gets one', async () => {
    const first = counted();
    const control = served.fn.msix!.at + 2;
    await client.write(7, 4, Buffer.from([6, 0]));
    await client.write(7, control, Buffer.from([0, 0x80]));
    expect((await client.setIrqs(0x24, 2, 0, 1)).failed).toBe(false);
    served.fn.raise(3);
    await client.setIrqs(0x24, 2, 2, 2, [first.fd, first.fd]);
    await client.read32(7, 0);
    expect(first.count()).toBe(1);
    expect(served.fn.msix!.isPending(3)).toBe(false);
    served.fn.raise(2);
    await client.read32(7, 0);
    expect(first.count()).toBe(1);
    await client.setIrqs(0x21, 2, 2, 2); // loopback
    await client.setIrqs(0x22, 2, 2, 2, [], Buffer.from([0, 1]));
    expect(first.count()).toBe(3);
    await client.setIrqs(0x21, 2, 0, 0);
    served.fn.raise(2);
    await client.read32(7, 0);
    expect(first.count()).toBe(0);
    closeSync(first.fd);
  });

  test('MSI: granted vectors by eventfd', async () => {
    const fds = counted();
    const { at } = served.fn.msi!;
    await client.write(7, 4, Buffer.from([6, 0]));
    await client.write(7, at + 2, Buffer.from([0x21, 0])); // four vectors
    await client.setIrqs(0x24, 1, 1, 1, [fds.fd]);
    served.fn.raise(1);
    served.fn.raise(2);
    await client.read32(7, 0);
    expect(fds.count()).toBe(1);
    closeSync(fds.fd);
  });

  test('SET_IRQS that cannot be', async () => {
    const { fd } = counted();
    const file = openSync(served.path + '.file', 'w+');
    const before = openDescriptors();
    const bad: [number, number, number, number, number[]?, Buffer?][] = [
      [0x24, 5, 0, 1],
      [0x24, 2, 5, 1],
      [0x24, 2, 4, 2],
      [0x24, 2, 0xffffffff, 1],
      [0x24, 2, 1, 0xffffffff],
      [0x24, 2, 0, 0],
      [0x21, 2, 1, 0],
      [0x27, 2, 0, 1],
      [0x3c, 2, 0, 1],
      [0x04, 2, 0, 1],
      [0x20, 2, 0, 1],
      [0x124, 2, 0, 1],
      [0x22, 2, 0, 2, [], Buffer.alloc(1)],
      [0x24, 2, 0, 2, [fd]],
      [0x21, 2, 0, 1, [fd]],
      [0x24, 2, 0, 1, [file]],
      [0x09, 3, 0, 1],
      [0x11, 4, 0, 1],
    ];
    for (const [flags, index, start, count, fds, data] of bad)
      expect([flags, index, (await client.setIrqs(flags, index, start, count, fds, data)).errno]).toEqual([
        flags,
        index,
        EINVAL,
      ]);
    await refused(client, 8, u32s(20, 0x24, 2, 0));
    await refused(client, 8, u32s(19, 0x24, 2, 0, 1));
    expect(openDescriptors()).toBe(before);
    closeSync(file);
    closeSync(fd);
  });

  test('DMA maps: overlaps, exact unmaps, unmap all', async () => {
    const ok = async (command: number, payload: Buffer) => {
      const reply = await client.request(command, payload);
      expect([reply.failed, reply.payload]).toEqual([false, command === 3 ? payload : Buffer.alloc(0)]);
    };
    await ok(2, dmaMap({ address: 0x1000n, size: 0x1000n }));
    await ok(2, dmaMap({ address: 0x3000n, size: 0x1000n }));
    await ok(2, dmaMap({ address: 2n ** 64n - 4096n, size: 4096n, flags: 1 }));
    for (const [address, size] of [
      [0x1000n, 0x1000n],
      [0x0n, 0x1001n],
      [0x1fffn, 1n],
      [0x2000n, 0x1001n],
      [0n, 2n ** 63n],
    ])
      await refused(client, 2, dmaMap({ address, size }), 17);
    await ok(2, dmaMap({ address: 0x2000n, size: 0x1000n }));
    await refused(client, 2, dmaMap({ address: 0x10000n, size: 0n }));
    await refused(client, 2, dmaMap({ address: 2n ** 64n - 1n, size: 2n }));
    await refused(client, 2, dmaMap({ address: 0x10000n, size: 1n, flags: 0x10 }));
    await refused(client, 2, dmaMap({ address: 0x10000n, size: 1n, argsz: 31 }));
    await refused(client, 3, dmaUnmap(0x1000n, 0x2000n), 2);
    await refused(client, 3, dmaUnmap(0x1800n, 0x800n), 2);
    await refused(client, 3, dmaUnmap(0x1000n, 0x1000n, 1));
    await refused(client, 3, dmaUnmap(0x1000n, 0n, 2));
    await ok(3, dmaUnmap(0x1000n, 0x1000n));
    await refused(client, 3, dmaUnmap(0x1000n, 0x1000n), 2);
    await ok(3, dmaUnmap(0n, 0n, 2));
    await ok(2, dmaMap({ address: 0n, size: 2n ** 64n - 1n }));
  });

  test('thousands of maps with descriptors, and none is left when the client is gone', async () => {
    const file = join(served.directory, 'ram');
    writeFileSync(file, Buffer.alloc(4096));
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, 1 << 24);
    const before = openDescriptors();
    const replies = [];
    for (let i = 0; i < 3000; i++) {
      replies.push(client.mapRam(4096, i % 3 === 0 ? [] : [fd], BigInt(i) * 4096n, BigInt(i) * 4096n));
      if (i % 50 === 49) await Promise.all(replies.splice(0));
    }
    expect((await Promise.all(replies)).some((r) => r.failed)).toBe(false);
    expect(openDescriptors()).toBe(before + 2000);
    await refused(client, 2, dmaMap({ address: 1n << 40n, size: 4096n, fileOffset: 1n << 24n }), EINVAL, [fd]);
    await refused(client, 2, dmaMap({ address: 1n << 40n, size: 4096n }), EINVAL, [fd, fd]);
    expect(openDescriptors()).toBe(before + 2000);
    client.close();
    await until(() => openDescriptors() === before - 2);
    closeSync(fd);
    client = await Client.open(sockets, served.path);
    expect(await client.read32(7, 8)).toBe(0x01080201);
    expect(served.log).toEqual([]);
  });

  test('state stays from one client to the next; DEVICE_RESET resets it', async () => {
    await client.write32(0, 0x28, 0x5000);
    await client.write(7, 4, Buffer.from([6, 4]));
    client.close();
    client = await Client.open(sockets, served.path);
    expect(await client.read32(0, 0x28)).toBe(0x5000);
    expect(await client.read(7, 4, 2)).toEqual(Buffer.from([6, 4]));
    await refused(client, 13, Buffer.alloc(1));
    expect((await client.request(13)).failed).toBe(false);
    expect(await client.read32(0, 0x28)).toBe(0);
    expect(await client.read(7, 4, 2)).toEqual(Buffer.from([0, 0]));
  });

  test('a Function Level Reset by configuration write', async () => {
    await client.write32(0, 0x28, 0x5000);
    const control = 0x70 + 8; // Device Control
    await client.write(7, control, Buffer.from([0x10, 0xa8]));
    expect(await client.read32(0, 0x28)).toBe(0);
    expect(await client.read(7, control, 2)).toEqual(Buffer.from([0x10, 0x28]));
  });

  test('a second client waits until the first is gone', async () => {
    const second = new Client(sockets, served.path);
    let answered = false;
    const greeting = second.request(1, version({})).then((reply) => {
      answered = true;
      return reply;
    });
    for (let i = 0; i < 20; i++) await client.read32(7, 0);
    expect(answered).toBe(false);
    client.close();
    expect((await greeting).failed).toBe(false);
    second.close();
  });
});
