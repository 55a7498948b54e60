import { closeSync, readSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client, dmaUnmap } from './client.ts';
import { type GuestMemory, mapMemory, NvmeClient, RAM_BYTES } from './nvme-client.ts';
import { serveNvme, transports, until } from './setup.ts';

const { available, reason } = transports();

test('a way to pass descriptors is there', (ctx) => {
  if (available.length === 0) ctx.skip(`no way to pass descriptors: ${reason}`);
  expect(available.length).toBeGreaterThan(0);
});

const LIST = 0x20000;
const DATA = 0x40000;
const pattern = (seed: number, bytes: number) => Buffer.from(Array.from({ length: bytes }, (_, i) => (i * seed) >> 3));

describe.each(available)('an NVMe controller over the $kind', (sockets) => {
  let served: ReturnType<typeof serveNvme>;
  let client: Client;
  let memory: GuestMemory;
  let vectors: number[];

  beforeEach(async () => {
    served = serveNvme(sockets);
    client = await Client.open(sockets, served.path);
    vectors = Array.from({ length: 3 }, () => sockets.eventfd());
  });

  afterEach(() => {
    client.close();
    memory.close();
    served.close();
    for (const fd of vectors) closeSync(fd);
  });

  const signals = (vector: number) => {
    const bytes = Buffer.alloc(8);
    try {
      readSync(vectors[vector], bytes);
      return Number(bytes.readBigUInt64LE());
    } catch {
      return 0;
    }
  };

  async function bringUp(kind: 'shared' | 'unshared'): Promise<NvmeClient> {
    memory = await mapMemory(client, served.directory, kind);
    const nvme = new NvmeClient(client, memory);
    await nvme.enable(served.fn.msix!.at + 2, vectors);
    await nvme.createPair(1);
    await nvme.createPair(2);
    return nvme;
  }

  test.each(['shared', 'unshared'] as const)('moves blocks over %s memory and signals', async (kind) => {
    const nvme = await bringUp(kind);
    expect(signals(0)).toBeGreaterThan(0);
    expect((await nvme.identify(DATA)).subarray(24, 46).toString()).toBe('pirqlab NVMe controlle');
    const written = pattern(13, 65536);
    memory.write(DATA, written);
    await nvme.io(1, true, 8, DATA, 65536, LIST);
    await nvme.io(2, false, 8, DATA + 65536, 65536, LIST);
    expect(memory.read(DATA + 65536, 65536).equals(written)).toBe(true);
    await until(() => signals(2) > 0);
    expect(signals(1)).toBe(1);
    expect(client.ram.log.length > 0).toBe(kind === 'unshared');
    expect(served.log).toEqual([]);
  });

  test('the doorbell write is answered before DMA begins, and registers while it waits', async () => {
    const nvme = await bringUp('unshared');
    client.violations.length = 0;
    await nvme.identify(DATA);
    expect(client.violations).toEqual([]);
    client.answersDma = false;
    const before = client.ram.log.length;
    await nvme.submit(1, 0, 1, [0, 0], []); // flush
    await until(() => client.ram.log.length > before);
    for (let i = 0; i < 10; i++) expect(await client.read32(0, 0x1c)).toBe(1);
    expect(client.ram.log.length).toBe(before + 1);
    expect(signals(1)).toBe(0);
  });

  test('transfers are cut to what the client takes', async () => {
    client.close();
    client = await Client.open(sockets, served.path, { max_data_xfer_size: 1000 });
    const nvme = await bringUp('unshared');
    client.ram.log.length = 0;
    await nvme.identify(DATA);
    const writes = client.ram.log.filter((line) => line.startsWith(`write ${DATA}`) || / 96$/.test(line));
    expect(writes).toEqual([`write ${DATA} 1000`, `write ${DATA + 4000} 96`]);
  });

  test('a refused transfer is a failed command, not a hang', async () => {
    const nvme = await bringUp('unshared');
    client.ram.refuse = 14;
    await nvme.submit(1, 0, 1, [0, 0], []);
    await until(() => served.fn.controller.readRegister(0x1c, 4) === 3); // the queue cannot be read: fatal
    delete client.ram.refuse;
    expect(await client.read32(0, 0x1c)).toBe(3);
  });

  test('a reset while the device waits for memory: what was fetched is forgotten', async () => {
    const nvme = await bringUp('unshared');
    client.answersDma = false;
    const before = client.ram.log.length;
    await nvme.submit(1, 0, 1, [0, 0], []);
    await until(() => client.ram.log.length > before);
    await client.request(13);
    expect(await client.read32(0, 0x1c)).toBe(0);
    client.close();
    client = await Client.open(sockets, served.path);
    const again = await bringUp('unshared');
    expect((await again.identify(DATA)).length).toBe(4096);
  });

  test('memory that is unmapped while the device waits for it is not touched any more', async () => {
    const nvme = await bringUp('unshared');
    client.answersDma = false;
    const before = client.ram.log.length;
    await nvme.submit(1, 0, 1, [0, 0], []);
    await until(() => client.ram.log.length > before);
    expect((await client.request(3, dmaUnmap(0n, BigInt(RAM_BYTES)))).failed).toBe(false);
    const after = client.ram.log.length;
    for (let i = 0; i < 10; i++) await client.read32(0, 0x1c);
    expect(client.ram.log.length).toBe(after);
  });

  test('a file cut short under its mapping is a failed transfer, and the server lives', async () => {
    await bringUp('shared');
    truncateSync(join(served.directory, 'ram'), 4096);
    await client.write32(0, 0x1008, 5);
    await until(() => served.fn.controller.readRegister(0x1c, 4) === 3);
    expect(await client.read32(0, 0x1c)).toBe(3);
  });

  test.each(['shared', 'unshared'] as const)(
    'a client that vanishes mid-command (%s): the next one goes on',
    async (kind) => {
      const nvme = await bringUp(kind);
      client.answersDma = false;
      for (let i = 0; i < 5; i++) await nvme.submit(1, 2, 1, [DATA, 0], [0, 0, 0]);
      client.close();
      memory.close();
      client = await Client.open(sockets, served.path);
      expect(await client.read32(0, 0x14)).toBe(0x00460001); // still enabled
      await client.request(13);
      const again = await bringUp(kind);
      expect((await again.identify(DATA)).subarray(24, 31).toString()).toBe('pirqlab');
      expect(served.log).toEqual([]);
    },
  );
});
