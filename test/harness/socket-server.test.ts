import { linkSync, lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type AccessRecord, accessRecord, encodeRecord, KIND, RecordReader } from '../../src/harness/access-record.ts';
import { serveRecords } from '../../src/harness/access-server.ts';
import { functionMap, hostFunction } from '../../src/harness/hosted-function.ts';
import { SocketServer } from '../../src/harness/socket-server.ts';
import { BDF, enableRequests, ring } from './nvme-script.ts';

let folder: string;
let path: string;
let server: SocketServer | undefined;
const lines: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pirqlab-socket-'));
  path = join(folder, 's');
  lines.length = 0;
});

afterEach(async () => {
  await server?.close();
  server = undefined;
  rmSync(folder, { recursive: true });
});

async function start(): Promise<void> {
  const target = { functions: functionMap([hostFunction({ kind: 'nvme', bdf: BDF })]) };
  server = await SocketServer.listen(
    path,
    serveRecords(target, (line) => lines.push(line)),
  );
}

/** A client that reads only when asked to. */
class Client {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #reader = new RecordReader();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.on('close', () => resolve()));
  }

  static open(): Promise<Client> {
    return new Promise((resolve, reject) => {
      const socket = connect(path, () => resolve(new Client(socket)));
      socket.on('error', reject);
    });
  }

  send(...records: AccessRecord[]): void {
    this.socket.write(Buffer.concat(records.map(encodeRecord)));
  }

  async receive(count: number): Promise<AccessRecord[]> {
    const records: AccessRecord[] = [];
    while (records.length < count) {
      const record = this.#reader.next();
      if (record) records.push(record);
      else this.#reader.push(await this.#chunk());
    }
    return records;
  }

  #chunk(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const ended = () => reject(new Error('the server closed the connection'));
      this.socket.once('end', ended);
      this.socket.once('data', (chunk) => {
        this.socket.off('end', ended);
        this.socket.pause();
        resolve(chunk as Buffer);
      });
      this.socket.resume();
    });
  }
}

const vendor = accessRecord({ kind: KIND.read, function: BDF, region: 7, offset: 0, width: 2 });
const scratch = (value: number) =>
  accessRecord({ kind: KIND.write, function: BDF, region: 7, offset: 0x3c, width: 1, value });
const readScratch = accessRecord({ kind: KIND.read, function: BDF, region: 7, offset: 0x3c, width: 1 });

describe('the socket', () => {
  test('is private, and gone when the server is', async () => {
    await start();
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    await server!.close();
    server = undefined;
    expect(() => lstatSync(path)).toThrow('ENOENT');
  });

  test('replaces a dead one; a living one, a file and a link stay', async () => {
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(path, resolve));
    // a server that is killed leaves its socket: a second name keeps it when the first is removed
    linkSync(path, join(folder, 'dead'));
    await new Promise((resolve) => dead.close(resolve));
    path = join(folder, 'dead');
    await start();
    await expect(SocketServer.listen(path, async () => {})).rejects.toThrow('listens');
    const file = join(folder, 'file');
    writeFileSync(file, 'x');
    await expect(SocketServer.listen(file, async () => {})).rejects.toThrow('no socket');
    const link = join(folder, 'link');
    symlinkSync(path, link);
    await expect(SocketServer.listen(link, async () => {})).rejects.toThrow('no socket');
    await expect(SocketServer.listen(join(folder, 'none', 's'), async () => {})).rejects.toThrow('no such folder');
    await expect(SocketServer.listen(`/tmp/${'x'.repeat(110)}`, async () => {})).rejects.toThrow('107');
  });
});

describe('clients', () => {
  test('messages split anywhere are answered', async () => {
    await start();
    const client = await Client.open();
    client.socket.setNoDelay(true);
    for (const byte of encodeRecord(vendor)) {
      client.socket.write(Uint8Array.of(byte));
      await new Promise(setImmediate);
    }
    expect((await client.receive(1))[0].valueLo).toBe(0x1234);
  });

  test('come and go; what they changed stays', async () => {
    await start();
    const first = await Client.open();
    first.send(scratch(0x5a));
    await first.receive(1);
    first.socket.destroy();
    const second = await Client.open();
    second.send(readScratch);
    expect((await second.receive(1))[0].valueLo).toBe(0x5a);
    expect(lines).toEqual([]);
  });

  test('one that stops in the middle of a record, or is never done, does not disturb others', async () => {
    await start();
    const cut = await Client.open();
    cut.socket.end(encodeRecord(vendor).subarray(0, 10));
    cut.socket.resume();
    await cut.closed;
    expect(lines).toEqual(['client 1: went away in the middle of a record, after 10 bytes of it']);
    const owing = await Client.open();
    owing.send(...enableRequests(0x10000), ring(1));
    expect((await owing.receive(6)).at(-1)!.kind).toBe(KIND.dmaRead);
    const other = await Client.open();
    other.send(vendor, scratch(3));
    expect(await other.receive(2)).toHaveLength(2);
    owing.socket.destroy();
    await owing.closed;
    other.send(readScratch);
    expect((await other.receive(1))[0].valueLo).toBe(3);
  });

  test('one that never reads is not read either, and gets all its answers once it does', async () => {
    await start();
    const slow = await Client.open();
    const count = 200_000;
    const bytes = Buffer.concat(new Array(count).fill(encodeRecord(vendor)));
    slow.socket.write(bytes);
    const other = await Client.open();
    for (let i = 0; i < 200; i++) {
      other.send(vendor);
      await other.receive(1);
    }
    // what the server has not taken is still here: it stopped reading
    expect(slow.socket.writableLength).toBeGreaterThan(0);
    expect((await slow.receive(count)).every((record) => record.valueLo === 0x1234)).toBe(true);
  });

  test('one that talks nonsense is answered, then closed with one line', async () => {
    await start();
    const client = await Client.open();
    client.socket.write(Buffer.alloc(24 * 3, 0x86));
    client.socket.resume();
    await client.closed;
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^client 1: a record of kind 134 claims more than 65536 bytes.*closed$/);
  });
});
