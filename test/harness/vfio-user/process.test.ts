import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Client } from './client.ts';
import { mapMemory, NvmeClient } from './nvme-client.ts';
import { openDescriptors, transports } from './setup.ts';

const { available, reason } = transports();
const [sockets] = available;
const PROGRAM = fileURLToPath(new URL('../../../bin/pirqlab.mjs', import.meta.url));
const isBuilt = existsSync(fileURLToPath(new URL('../../../dist/harness/vfio-user/index.js', import.meta.url)));

describe('pirqlab serve --vfio-user as a process', () => {
  let directory: string;
  let server: ChildProcess | undefined;

  beforeEach((ctx) => {
    if (!sockets) ctx.skip(`no way to pass descriptors: ${reason}`);
    if (!isBuilt) ctx.skip('dist/ is not built');
    directory = mkdtempSync(join(tmpdir(), 'pirqlab-serve-'));
  });

  afterEach(async () => {
    if (server && server.exitCode === null && server.signalCode === null) {
      server.kill('SIGKILL');
      await once(server, 'exit');
    }
    server = undefined;
    if (directory) rmSync(directory, { recursive: true, force: true });
  });

  /** Starts it. @returns the first line it prints */
  async function start(...args: string[]): Promise<string> {
    server = spawn(process.execPath, [PROGRAM, 'serve', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: server.stdout! })) return line;
    throw new Error('the server ended without a word');
  }

  const path = () => join(directory, 's');
  const msixControl = 0xb2;

  test('killed after a flush: what was written is in the file', async () => {
    const file = join(directory, 'disk');
    expect(await start('--device', `nvme:size=1M,queues=2,file=${file}`, '--vfio-user', path())).toMatch(
      /^serving 0000:00:04\.0 nvme over vfio-user at .*\/s \((add-on|koffi)\)$/,
    );
    const client = await Client.open(sockets, path());
    const memory = await mapMemory(client, directory, 'shared');
    const nvme = new NvmeClient(client, memory);
    await nvme.enable(msixControl, [sockets.eventfd()]);
    await nvme.createPair(1);
    const data = Buffer.alloc(65536, 'pirqlab ');
    memory.write(0x40000, data);
    await nvme.io(1, true, 16, 0x40000, data.length, 0x20000);
    await nvme.run(1, 0, { nsid: 1, prp: [0, 0], cdw: [] });
    server!.kill('SIGKILL');
    await client.ended;
    memory.close();
    expect(
      readFileSync(file)
        .subarray(8192, 8192 + data.length)
        .equals(data),
    ).toBe(true);
  });

  test('a client that is killed in the middle of I/O: the server takes the next, with no descriptor more', async () => {
    await start('--device', 'nvme:size=1M,queues=2', '--vfio-user', path());
    const fds = () => openDescriptors(server!.pid);
    const idle = fds();
    const killed = spawn(process.execPath, ['-e', HASTY_CLIENT, path()], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(killed.stdout!, 'data');
    killed.kill('SIGKILL');
    await once(killed, 'exit');
    const client = await Client.open(sockets, path());
    expect(await client.read32(7, 8)).toBe(0x01080201);
    expect(fds()).toBe(idle + 1);
    client.close();
  });

  test('one device a path; told to end, it removes its sockets', async () => {
    const paths = ['a', 'b'].map((name) => join(directory, name));
    const printed = JSON.parse(
      await start('--json', '--device', 'nvme', '--device', 'nvme', '--vfio-user', paths[0], '--vfio-user', paths[1]),
    );
    expect(printed.devices.map((d: { path: string }) => d.path)).toEqual(paths);
    const clients = [await Client.open(sockets, paths[0]), await Client.open(sockets, paths[1])];
    await clients[0].write32(0, 0x28, 0x1000);
    expect([await clients[0].read32(0, 0x28), await clients[1].read32(0, 0x28)]).toEqual([0x1000, 0]);
    server!.kill('SIGTERM');
    const [status] = await once(server!, 'exit');
    expect([status, ...paths.map(existsSync)]).toEqual([0, false, false]);
    for (const client of clients) client.close();
  });
});

/** Greets, then reads registers as fast as it can; without descriptors, so `net` is enough. */
const HASTY_CLIENT = `
  const s = require('node:net').connect(process.argv[1]);
  const m = (command, ...words) => {
    const b = Buffer.alloc(16 + 4 * words.length);
    b.writeUInt16LE(command, 2);
    b.writeUInt32LE(b.length, 4);
    words.forEach((w, i) => b.writeUInt32LE(w, 16 + 4 * i));
    return b;
  };
  s.write(m(1, 0));
  s.write(m(2, 32, 3, 0, 0, 0, 0, 0x100000, 0));
  let seen = 0;
  s.on('data', (d) => { s.write(m(9, 0, 0, 7, 4096)); s.write(m(9, 0, 0, 7, 4096)); if (++seen === 50) console.log('busy'); });
`;
